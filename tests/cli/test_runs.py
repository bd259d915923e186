"""The verbs for one run: what reaches the functions behind them, and what they print."""

import json
import re
import shlex
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Recorder
from tests.cli.test_terminal import a_progress
from tests.support.waiting import until
from tfdqn.cli import arguments as arguments_of_verbs
from tfdqn.cli import main
from tfdqn.cli.arguments import say_on_stderr
from tfdqn.config import Config
from tfdqn.config.headline import headline
from tfdqn.config.toml import load
from tfdqn.errors import VideoError
from tfdqn.records import Progress
from tfdqn.storage.locks import holder_of
from tfdqn.storage.run_directory import RunDir
from tfdqn.tasks.registry import resolve_spec


def summary(status: str) -> types.SimpleNamespace:
    figures = {"env_steps": 20_000, "train_steps": 2_000, "episodes": 10, "seconds": 2.0}
    figures["environment_restarts"] = 0
    return types.SimpleNamespace(
        status=status, reason="", best_return=9.5, final=None, paths={"best policy": "runs/x/best"}, **figures
    )


def test_a_terminal_closed_at_the_end_of_a_run_is_no_error(
    behind: Callable[..., Recorder], config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    behind("training.train", "train_checked", summary("interrupted"))
    monkeypatch.setattr("typer.echo", closed)
    assert main.main(["train", "small.toml"]) == 0


def test_train_gets_the_resolved_configuration_and_a_directory_of_its_own(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = behind("training.train", "train_checked", summary("finished"))
    assert main.main(["train", "small.toml", "seed=3", "agent.n_step=2"]) == 0
    (((config, _, run, _, _, profile, *_), _),) = train.calls
    assert config == load(config_file, ["seed=3", "agent.n_step=2"])
    assert run.path == Path("runs/small-seed3")
    assert profile is False
    out = capsys.readouterr().out
    assert "20,000" in out
    assert "runs/x/best" in out
    given = "small.toml seed=3 agent.n_step=2"
    again = f"tfdqn train {given} stop.env_steps=40000 --run-dir runs/small-seed3"
    assert out.splitlines()[-2:] == ["To resume beyond this:", again]


def test_what_ended_a_run_is_replaced_in_the_command_that_trains_it_further(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("training.train", "train_checked", summary("finished"))
    assert main.main(["train", "small.toml", "stop.env_steps=20_000", "seed=3"]) == 0
    again = "tfdqn train small.toml seed=3 stop.env_steps=40000 --run-dir runs/small-seed3"
    assert capsys.readouterr().out.splitlines()[-2:] == ["To resume beyond this:", again]


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
    train = behind("training.train", "train_checked", summary("finished"))
    assert main.main(["train", *arguments]) == 0
    (((config, _, run, _, _, profile, *_), _),) = train.calls
    assert (config.seed, run.path, profile) == (3, Path("here"), True)


@pytest.mark.parametrize(
    ("has_checkpoint", "line"), [(True, "Saved. To resume:"), (False, "Nothing was saved yet. To begin again:")]
)
def test_an_interrupted_run_says_how_to_go_on_and_exits_0(
    behind: Callable[..., Recorder],
    config_file: Path,
    capsys: pytest.CaptureFixture[str],
    has_checkpoint: bool,
    line: str,
) -> None:
    def train(config: Config, cluster: None, run: RunDir, *_: object) -> types.SimpleNamespace:
        (run.checkpoints / "000001" if has_checkpoint else run.path).mkdir(parents=True)
        return summary("interrupted")

    behind("training.train", "train_checked", train)
    assert main.main(["train", "small.toml", "tracking.name=a b", "--run-dir", "my run"]) == 0
    again = "tfdqn train small.toml 'tracking.name=a b' --run-dir 'my run'"
    assert capsys.readouterr().out.splitlines()[-2:] == [line, again]


@pytest.mark.parametrize("has_checkpoint", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_starts_ends_it_at_once_and_gives_the_run_up(
    behind: Callable[..., Recorder],
    config_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    has_checkpoint: bool,
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("os._exit", ended.append)

    def starts(config: Config, cluster: None, run: RunDir, *args: object) -> types.SimpleNamespace:
        with run.claim(config):
            (run.checkpoints / "000001").mkdir(parents=True) if has_checkpoint else None
            signal.raise_signal(number)
            until(lambda: ended, "the end, although this call goes on")
            assert holder_of(run.lock_file) is None
            said.append(capsys.readouterr().out)
        return summary("finished")

    said: list[str] = []
    behind("training.train", "train_checked", starts)
    main.main(["train", "small.toml", "--run-dir", "here"])
    again = "To resume" if has_checkpoint else "To begin again"
    line = f"Stopped while starting: nothing was lost. {again}:\ntfdqn train small.toml --run-dir here\n"
    assert (ended, said) == ([0], [f"{headline(Config())}\n{line}"])


def test_a_signal_when_training_has_begun_is_acknowledged(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def learns(config: Config, cluster: None, run: RunDir, show: Callable[[Progress], None], *args: object) -> object:
        *_, interrupted, _ = args
        assert callable(interrupted)
        show(a_progress())
        signal.raise_signal(signal.SIGTERM)
        until(interrupted, "the signal")
        return summary("interrupted")

    behind("training.train", "train_checked", learns)
    assert main.main(["train", "small.toml"]) == 0
    line = "stopping on SIGTERM (phase: learning); Ctrl-C ends everything at once, saved or not"
    assert line in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", ["-x", "--seed", "it's $HOME", "two\nlines", "50% #of", "*"])
def test_the_command_to_resume_can_be_pasted_whatever_the_names_are(
    behind: Callable[..., Recorder], config_file: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    config_file.rename(config_file.with_name(f"{name}.toml"))
    train = behind("training.train", "train_checked", summary("interrupted"))
    assert main.main(["train", f"--run-dir={name}", "--", f"{name}.toml", "seed=7"]) == 0
    _, _, again = capsys.readouterr().out.partition("To begin again:\n")
    assert main.main(shlex.split(again)[1:]) == 0
    first, second = ((config.seed, run.path) for (config, _, run, *_), _ in train.calls)
    assert first == second == (7, Path(name))


def test_tasks_lists_those_that_match(behind: Callable[..., Recorder], capsys: pytest.CaptureFixture[str]) -> None:
    both = {"suite": "auto", "needs": "", "is_tried": True, "own_vector_version": True}
    entries = [
        types.SimpleNamespace(id="CartPole-v1", reason="", **both),
        types.SimpleNamespace(id="Pendulum-v1", reason="its actions are a Box", **both),
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
    figures = {"mean_return": 480.25, "std_return": 20.5, "median_return": 500.0, "ci_low": 476.0, "ci_high": 484.0}
    return types.SimpleNamespace(
        **figures, mean_length=480.25, episodes=7, video=Path("x.mp4"), to_json=lambda: json.dumps(figures)
    )


def test_evaluate_passes_on_what_it_was_told(
    behind: Callable[..., Recorder], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []  # before and after the first episode begins

    def found(*_: object, on_begin: Callable[[], None], **__: object) -> types.SimpleNamespace:
        told.append(capsys.readouterr().out)
        on_begin()
        told.append(capsys.readouterr().out)
        return an_evaluation()

    evaluate = behind("evaluation.evaluate", "evaluate", found)
    arguments = ["runs/x", "--episodes", "7", "--seed", "5", "--video", "--checkpoint", "latest"]
    assert main.main(["evaluate", *arguments, "--set", "task.kwargs.a=1", "--set", "task.kwargs.b=2"]) == 0
    (((path,), options),) = evaluate.calls
    assert path == Path("runs/x")
    assert options.pop("overrides") == ["task.kwargs.a=1", "task.kwargs.b=2"]
    del options["on_begin"]
    assert options == {"episodes": 7, "seed": 5, "video": "mp4", "checkpoint": "latest"}
    assert told == ["", "CartPole-v1: 7 episodes of the latest policy of runs/x\n"]
    out = capsys.readouterr().out
    for figure in ("480.25 (std 20.50)", "476.00 to 484.00", "500.00", "480.2 steps", "x.mp4"):
        assert figure in out


def test_evaluate_prints_json_and_nothing_else_for_machines(
    behind: Callable[..., Recorder], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = behind("evaluation.evaluate", "evaluate", an_evaluation())
    assert main.main(["evaluate", "runs/x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean_return"] == 480.25
    assert evaluate.calls[0][1]["checkpoint"] == "best"


def test_the_figures_are_shown_where_only_the_video_failed(
    behind: Callable[..., Recorder], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behind("evaluation.evaluate", "evaluate", VideoError("x/videos/1.mp4: no room", an_evaluation()))
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
    assert plot.calls == [((runs, Path(output), say_on_stderr), {})]
    assert capsys.readouterr().out == f"{output}\n"


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
    ("attribute", "value"), [("platform.machine", "arm64"), ("sys.platform", "darwin"), ("sys.version_info", (3, 12))]
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
    monkeypatch.setattr(arguments_of_verbs, module, stand_in)
    assert main.main(verb) == 2
    written = capsys.readouterr()
    assert len(written.err.splitlines()) == 1
    assert "needs Linux on x86-64 and Python 3.11" in written.err
