"""The command line: what reaches the functions behind the verbs, and how errors end."""

import json
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfdqn.cli import main, platform_check
from tfdqn.cluster.program import Restart
from tfdqn.config.toml import dump, load
from tfdqn.errors import (
    FAILED_STATUS,
    ClusterError,
    EnvironmentFailedError,
    FilmError,
    ProcessFailedError,
    TaskError,
    UserError,
)
from tfdqn.exporting import formats
from tfdqn.tasks.registry import resolve_spec

HEAVY = ("tensorflow", "keras", "tf_agents", "reverb", "gymnasium", "gym", "matplotlib", "rich")


class Recorder:
    """Stands in for the function behind a verb."""

    def __init__(self, result: Any = None):
        self.result = result
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recorder]:
    """behind("training.train", "train", result): tfdqn.training.train.train, replaced without importing it."""

    def replace(module: str, function: str, result: Any = None) -> Recorder:
        recorder = Recorder(result)
        stand_in = types.ModuleType(f"tfdqn.{module}")
        setattr(stand_in, function, recorder)
        monkeypatch.setitem(sys.modules, f"tfdqn.{module}", stand_in)
        # `from tfdqn import exporting` looks at the package first.
        if "." not in module:
            monkeypatch.setattr(f"tfdqn.{module}", stand_in, raising=False)
        return recorder

    return replace


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "small.toml"
    file.write_text("[stop]\nenv_steps = 20_000\n")
    return file


def summary(status: str) -> types.SimpleNamespace:
    figures = {"env_steps": 20_000, "train_steps": 2_000, "episodes": 10, "seconds": 2.0}
    figures["environment_restarts"] = 0
    return types.SimpleNamespace(
        status=status, reason="", best_return=9.5, final=None, paths={"best policy": "runs/x/best"}, **figures
    )


def test_train_gets_the_resolved_configuration_and_a_directory_of_its_own(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = behind("training.train", "train", summary("finished"))
    assert main.main(["train", "small.toml", "seed=3", "agent.n_step=2"]) == 0
    (((config, path), options),) = train.calls
    assert config == load(config_file, ["seed=3", "agent.n_step=2"])
    assert path == Path("runs/small-seed3")
    assert options["profile"] is False
    out = capsys.readouterr().out
    assert "20,000" in out
    assert "runs/x/best" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["small.toml", "seed=3", "--run-dir", "here", "--profile"],
        ["--run-dir", "here", "--profile", "small.toml", "seed=3"],
        ["small.toml", "--run-dir=here", "seed=3", "--profile"],
    ],
)
def test_overrides_may_stand_before_and_after_options(
    behind: Callable[..., Recorder], config_file: Path, arguments: list[str]
) -> None:
    train = behind("training.train", "train", summary("finished"))
    assert main.main(["train", *arguments]) == 0
    (((config, path), options),) = train.calls
    assert (config.seed, path, options["profile"]) == (3, Path("here"), True)


def test_an_interrupted_run_says_how_to_resume_it_and_exits_0(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.train", "train", summary("interrupted"))
    assert main.main(["train", "small.toml", "task.kwargs.name=a b", "--run-dir", "my run"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Saved. To resume: tfdqn train small.toml 'task.kwargs.name=a b' --run-dir 'my run'"


@pytest.mark.parametrize("name", ["-x", "--seed", "it's $HOME", "two\nlines", "50% #of", "*"])
def test_the_command_to_resume_can_be_pasted_whatever_the_names_are(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    config_file.rename(config_file.with_name(f"{name}.toml"))
    train = behind("training.train", "train", summary("interrupted"))
    assert main.main(["train", f"--run-dir={name}", "--", f"{name}.toml", "seed=7"]) == 0
    _, _, again = capsys.readouterr().out.partition("Saved. To resume: ")
    assert main.main(shlex.split(again)[1:]) == 0
    first, second = ((config.seed, path) for (config, path), _ in train.calls)
    assert first == second == (7, Path(name))


def test_an_error_that_a_user_can_mend_is_one_line_and_status_2(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.train", "train", TaskError("CartPol-v1: unknown task;\n did you mean CartPole-v1?"))
    assert main.main(["train", "small.toml"]) == 2
    written = capsys.readouterr()
    assert written.err == "tfdqn: CartPol-v1: unknown task; did you mean CartPole-v1?\n"


@pytest.mark.parametrize("kind", [ClusterError, EnvironmentFailedError])
def test_a_lost_process_is_one_line_and_how_to_resume(
    kind: type[UserError],
    behind: Callable[..., Recorder],
    config_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    behind("training.train", "train", kind("worker 1 was killed by signal 9"))
    assert main.main(["train", "small.toml", "task.kwargs.name=a b", "--run-dir", "my run"]) == 2
    written = capsys.readouterr()
    assert written.err == "tfdqn: worker 1 was killed by signal 9\n"
    assert written.out == "To resume: tfdqn train small.toml 'task.kwargs.name=a b' --run-dir 'my run'\n"


def test_a_process_whose_part_failed_is_to_be_started_again(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.train", "train", ProcessFailedError("Fails-v0, step 5: the simulator is gone"))
    status = main.main(["train", "small.toml"])
    assert status == FAILED_STATUS and capsys.readouterr().err.startswith("tfdqn: Fails-v0, step 5: ")
    # A supervisor starts it again after a pause that grows, and gives up where it fails again and again.
    assert FAILED_STATUS not in (*Restart().never, *Restart().at_once)


def test_a_bug_is_not_hidden(behind: Callable[..., Recorder], config_file: Path) -> None:
    behind("training.train", "train", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main.main(["train", "small.toml"])


def test_ctrl_c_where_nothing_is_to_be_saved_exits_130(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    behind("evaluation.evaluate", "evaluate", KeyboardInterrupt())
    assert main.main(["evaluate", "runs/x"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "Missing argument 'CONFIG'"),
        (["trian", "x"], "No such command 'trian'"),
        (["train", "small.toml", "--run-dirr", "x"], "No such option: --run-dirr"),
        (["train", "small.toml", "--run-dir"], "--run-dir"),
        (["evaluate", "x", "--episodes", "0"], "'--episodes': 0 is not in the range x>=1"),
        (["evaluate", "x", "--checkpoint", "newest"], "'newest' is not one of 'best', 'latest'"),
        (
            ["evaluate", "x", "task.kwargs.gravity=-11.0"],
            "unexpected extra argument(s) (task.kwargs.gravity=-11.0)",
        ),
        (["plot"], "Missing argument 'RUN'"),
        (["train", "nowhere.toml"], "nowhere.toml: there is no such file"),
        (
            ["train", "small.toml", "agent.nstep=3"],
            'override: agent.nstep is no key (did you mean "n_step"?)',
        ),
        (["train", "small.toml", "seed"], 'override "seed": must be key=value'),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    config_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main.main(arguments) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert len(written.err.splitlines()) == 1
    assert written.err.startswith("tfdqn: ")
    assert said in written.err


def test_config_prints_the_resolved_configuration(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["config", "small.toml", "optimizer.kind=sgd"]) == 0
    assert capsys.readouterr().out == dump(load(config_file, ["optimizer.kind=sgd"]))


def test_tasks_lists_those_that_match(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [
        types.SimpleNamespace(id="CartPole-v1", usable=True, reason="", own_vector_version=True),
        types.SimpleNamespace(
            id="Pendulum-v1", usable=False, reason="its actions are a Box", own_vector_version=False
        ),
    ]
    behind("tasks.registry", "installed_tasks", entries)
    assert main.main(["tasks", "pend"]) == 0
    out = capsys.readouterr().out
    assert "Pendulum-v1" in out
    assert "its actions are a Box" in out
    assert "CartPole" not in out
    assert main.main(["tasks", "cart*"]) == 0
    out = capsys.readouterr().out
    assert "CartPole-v1" in out and "Pendulum" not in out
    assert main.main(["tasks", "chess"]) == 2
    assert capsys.readouterr().err == 'tfdqn: no installed task has "chess" in its id\n'


def an_evaluation() -> types.SimpleNamespace:
    figures = {
        "mean_return": 480.25,
        "std_return": 20.5,
        "median_return": 500.0,
        "ci_low": 476.0,
        "ci_high": 484.0,
    }
    return types.SimpleNamespace(
        **figures, mean_length=480.25, episodes=7, video=Path("x.mp4"), to_json=lambda: json.dumps(figures)
    )


def test_evaluate_passes_on_what_it_was_told(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = behind("evaluation.evaluate", "evaluate", an_evaluation())
    arguments = ["runs/x", "--episodes", "7", "--seed", "5", "--video", "--checkpoint", "latest"]
    assert main.main(["evaluate", *arguments, "--set", "task.kwargs.a=1", "--set", "task.kwargs.b=2"]) == 0
    (((path,), options),) = evaluate.calls
    assert path == Path("runs/x")
    assert options.pop("overrides") == ["task.kwargs.a=1", "task.kwargs.b=2"]
    assert options == {"episodes": 7, "seed": 5, "video": "mp4", "checkpoint": "latest"}
    out = capsys.readouterr().out
    for figure in ("480.25 (std 20.50)", "476.00 to 484.00", "500.00", "480.2 steps", "x.mp4"):
        assert figure in out


def test_evaluate_prints_json_and_nothing_else_for_machines(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = behind("evaluation.evaluate", "evaluate", an_evaluation())
    assert main.main(["evaluate", "runs/x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean_return"] == 480.25
    assert evaluate.calls[0][1]["checkpoint"] == "best"


def test_the_figures_are_shown_where_only_the_film_failed(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    behind("evaluation.evaluate", "evaluate", FilmError("x/videos/1.mp4: no room", an_evaluation()))
    assert main.main(["evaluate", "runs/x", "--video", "--json"]) == 2
    written = capsys.readouterr()
    assert json.loads(written.out)["mean_return"] == 480.25
    assert written.err == "tfdqn: x/videos/1.mp4: no room\n"


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["runs/x"], "runs/x/learning_curve.png"),
        (["runs/x", "runs/y"], "learning_curves.png"),
        (["runs/x", "-o", "z.png"], "z.png"),
    ],
)
def test_plot_prints_where_the_picture_is(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str], arguments: list[str], output: str
) -> None:
    plot = behind("reports.learning_curves", "plot", Path(output))
    assert main.main(["plot", *arguments]) == 0
    runs = [Path(each) for each in arguments if each.startswith("runs")]
    assert plot.calls == [((runs, Path(output)), {})]
    assert capsys.readouterr().out == f"{output}\n"


def test_export_prints_where_the_model_is(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    export = behind("exporting", "export_run", Path("runs/x/exports/2"))
    assert main.main(["export", "runs/x", "--checkpoint", "latest", "--min-return", "-5.5"]) == 0
    assert export.calls == [((Path("runs/x"), "latest", -5.5, ["savedmodel"]), {})]
    assert capsys.readouterr().out == "runs/x/exports/2\n"
    assert main.main(["export", "runs/x", "--format", "tflite", "--format", "savedmodel"]) == 0
    assert export.calls[1:] == [((Path("runs/x"), "best", None, ["tflite", "savedmodel"]), {})]
    assert capsys.readouterr().out == "runs/x/exports/2/policy.tflite\nruns/x/exports/2\n"


def test_a_missing_converter_is_said_before_any_work(
    behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export = behind("exporting", "export_run")
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert main.main(["export", "runs/x", "--format", "onnx"]) == 2
    assert export.calls == []
    line = "tfdqn: ONNX needs tf2onnx, which is not installed: pip install tf2onnx==1.17.0 onnx==1.17.0\n"
    assert capsys.readouterr().err == line


def test_the_change_of_a_task_that_help_and_readme_suggest_works_on_the_run_that_the_readme_makes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main.main(["evaluate", "--help"])
    project = Path(__file__).parents[2]
    for text in (capsys.readouterr().out, (project / "README.md").read_text()):
        (override,) = re.findall(r"task\.[a-z_.]+=-?[\d.]*\d", "".join(text.split()))
        changed = resolve_spec(load(project / "configs" / "cartpole.toml", [override]).task)
        assert (changed.id, changed.max_episode_steps) == ("CartPole-v1", 1_000)


@pytest.mark.parametrize("verb", [["train", "small.toml"], ["evaluate", "x"], ["export", "x"]])
@pytest.mark.parametrize(
    ("attribute", "value"),
    [("platform.machine", "arm64"), ("sys.platform", "darwin"), ("sys.version_info", (3, 12))],
)
def test_an_unsupported_machine_gets_one_sentence(
    config_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: list[str],
    attribute: str,
    value: Any,
) -> None:
    module, name = attribute.split(".")
    stand_in = types.SimpleNamespace(**vars(sys.modules[module]))
    setattr(stand_in, name, value() if callable(value) else value)
    if name == "machine":
        stand_in.machine = lambda: value
    monkeypatch.setattr(platform_check, module, stand_in)
    assert main.main(verb) == 2
    written = capsys.readouterr()
    assert len(written.err.splitlines()) == 1
    assert "needs Linux on x86-64 and Python 3.11" in written.err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], [], ["version"], ["config", "/dev/null"]]
)
def test_help_and_configurations_need_nothing_heavy(arguments: list[str]) -> None:
    probe = (
        f"import sys; from tfdqn.cli.main import main; status = main({arguments}); "
        f"print([name for name in {HEAVY} if name in sys.modules], status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"
