"""The verb `tune`: what it takes, what it leaves and says, and what is wrong in one line."""

import re
import shlex
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.cli.conftest import SPACE
from tests.support.fake_trial import level
from tfdqn.cli import main
from tfdqn.cli.tune import _failures_said
from tfdqn.config import toml
from tfdqn.system.shell_commands import own_command
from tfdqn.tuning import seeds as seeds_module
from tfdqn.tuning import trial_runs as search_module
from tfdqn.tuning.study_folder import StudyFolder
from tfdqn.tuning.trial_records import TrialState

pytestmark = pytest.mark.usefixtures("search_files")


def tune(arguments: str) -> int:
    return main.main(["tune", *shlex.split(arguments)])


def failure(capsys: pytest.CaptureFixture[str], arguments: str) -> str:
    """The one line of a command that ends with status 2."""
    assert tune(arguments) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1, err
    return err.rstrip("\n")


@pytest.mark.parametrize("storage", ["", " --storage postgresql://host/database"])
def test_without_optuna_one_line_says_how_to_install_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    for package in ("optuna", "optuna.exceptions", "sqlalchemy", "sqlalchemy.exc", "sqlalchemy.engine"):
        monkeypatch.setitem(sys.modules, package, None)  # not found by an import
    monkeypatch.setattr("tfdqn.tuning.study_storage.find_spec", lambda _: None)
    line = failure(capsys, f"small.toml space.toml{storage}")
    assert re.match(r"^tfdqn: tfdqn tune needs Optuna: .*pip install .*\[tune\]", line)


def test_the_best_of_the_trials_is_kept_drawn_and_trained_with_other_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("small.toml space.toml seed=7 --trials 3 --jobs 2 --fresh-seeds 2") == 0
    out = capsys.readouterr().out
    folder = Path("runs/small-tune")
    assert sorted(each.name for each in (folder / "trials").iterdir()) == ["000", "001", "002"]
    best = toml.load(folder / "best.toml")
    levels = [level(toml.load(each)) for each in folder.glob("trials/*/processes/train.toml")]
    assert level(best) == max(levels)
    assert best.seed == 7
    (of_best,) = (folder / "best").iterdir()
    assert sorted(each.name for each in of_best.iterdir() if each.is_dir()) == ["seed-8", "seed-9"]
    assert (of_best / "learning_curve.png").exists()
    seeds = msgspec.json.decode((of_best / "seeds.json").read_bytes())
    assert seeds["final"]["mean"] == pytest.approx(level(best))
    assert f"mean return {level(best):.2f}" in out
    assert "was the best with seed 7; its configuration with others:" in out
    assert "<svg" in (folder / "study.html").read_text()


def test_the_same_command_again_runs_nothing_and_more_trials_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("small.toml space.toml --trials 2 --fresh-seeds 0 --study-dir here") == 0
    assert tune("small.toml space.toml --trials 2 --fresh-seeds 0 --study-dir here") == 0
    assert tune("small.toml space.toml --trials 3 --fresh-seeds 0 --study-dir here") == 0
    begun = [each.read_text() for each in sorted(Path("here/trials").glob("*/begun"))]
    assert begun == ["1\n"] * 3
    assert capsys.readouterr().out.count("is complete") == 3


def test_a_stopped_search_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search_module, "search", lambda *_: False)
    options = "--trials 5 --jobs 2 --pruner asha --prune-after 2 --fresh-seeds 1"
    url = "sqlite:///a.db"
    assert tune(f"small.toml space.toml seed=3 --study-dir 'my study' {options} --storage {url} --study-name x") == 0
    *_, said, again = capsys.readouterr().out.splitlines()
    assert said == "Nothing was saved yet. To begin again:"
    assert again == (
        f"tfdqn tune small.toml space.toml seed=3 --study-dir 'my study' {options} --storage {url} --study-name x"
    )


def test_a_ctrl_c_while_the_study_is_drawn_stops_before_the_fresh_seeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tfdqn.tuning.study_page.write_page", lambda _: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(StudyFolder, "has_checkpoint", False)  # as where the trials have run on another host
    assert tune("small.toml space.toml --trials 1 --fresh-seeds 1") == 0
    *_, said, again = capsys.readouterr().out.splitlines()
    assert said == "Saved. To go on:"
    assert again.startswith("tfdqn tune small.toml space.toml ") and again.endswith(" --fresh-seeds 1")
    assert not Path("runs/small-tune/best").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("small.toml empty.toml", "tfdqn: empty.toml: is empty: it names the keys to search, such as"),
        ("small.toml nowhere.toml", "tfdqn: nowhere.toml: there is no such file"),
        ("small.toml space.toml --trials 0", "tfdqn: Invalid value for '--trials': 0 is not in the range x>=1"),
        (
            "small.toml space.toml --jobs many",
            "tfdqn: Invalid value for '--jobs': 'many' must be a whole number at least 1",
        ),
        ("small.toml space.toml --pruner best", "tfdqn: Invalid value for '--pruner': 'best' is not one of 'none',"),
        (
            "small.toml space.toml agent.n_step=3",
            "tfdqn: agent.n_step is given on the command line, and searched by space.toml: leave out one of them",
        ),
        (
            "small.toml space.toml --prune-after 3",
            "tfdqn: --prune-after 3: a trial has 2 evaluations, by stop.env_steps = 1200 and "
            "evaluation.interval_env_steps = 500",
        ),
        ("small.toml space.toml task.id=Nowhere-v0", "tfdqn: "),
        ("small.toml space.toml --storage mysql://a:b@c/d", "tfdqn: --storage mysql://a:***@c/d needs a driver"),
        ("small.toml space.toml --storage database", "tfdqn: --storage: must be a database's URL"),
        (
            "space.toml small.toml",
            "tfdqn: space.toml is a space, not a configuration: the configuration comes first, then the space: "
            "tfdqn tune small.toml space.toml",
        ),
        ("small.toml space.toml --study-name x", "tfdqn: --study-name x is a name in a database: give its --storage"),
        ("small.toml space.toml --study-dir taken", "tfdqn: taken holds other files, such as thesis.tex,"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(capsys: pytest.CaptureFixture[str], arguments: str, line: str) -> None:
    Path("empty.toml").touch()
    Path("taken").mkdir()
    Path("taken/thesis.tex").touch()
    assert failure(capsys, arguments).startswith(line)
    assert not Path("runs/small-tune/trials").exists()


def test_a_folder_of_another_search_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("small.toml space.toml --trials 1 --fresh-seeds 0") == 0
    capsys.readouterr()
    assert failure(capsys, "small.toml space.toml agent.discount=0.9").startswith(
        "tfdqn: runs/small-tune belongs to a study of another configuration: agent.discount is 0.99 there, 0.9 here;"
    )
    Path("space.toml").write_text('"agent.n_step" = { low = 1, high = 4 }')
    assert failure(capsys, "small.toml space.toml").startswith(
        "tfdqn: runs/small-tune belongs to a study of another space: optimizer.learning_rate is "
        "{low = 0.0001, high = 0.01, log = true} there, absent here; agent.n_step is"
    )
    Path("space.toml").write_text(f'{SPACE}"agent.loss" = {{ choices = ["huber", "squared"] }}')
    line = failure(capsys, "small.toml space.toml")
    assert 'agent.loss is absent there, {choices = ["huber", "squared"]} here; ' in line


def test_the_best_trial_is_printed_and_one_warning_says_why_there_is_no_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write_page(study: Any) -> None:
        study.folder.page.touch()  # as an earlier search has written it
        raise ValueError("Expected end_group")

    monkeypatch.setattr("tfdqn.tuning.study_page.write_page", write_page)
    assert tune("small.toml space.toml --trials 1") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines.count("warning: the page is not written: ValueError: Expected end_group") == 1
    assert "its configuration runs/small-tune/best.toml" in lines
    assert not any(line.startswith("page ") for line in lines)
    assert lines[-2] == "To train the best configuration:"


def test_an_argument_that_the_task_does_not_take_is_refused_before_any_trial(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("space.toml").write_text("[task.kwargs]\nsutton_barto = { choices = [3, 4] }")
    assert "sutton_barto" in failure(capsys, "small.toml space.toml")
    assert not Path("runs").exists()


def test_a_key_without_effect_is_refused_in_a_new_study_alone(capsys: pytest.CaptureFixture[str]) -> None:
    useless = f"{SPACE}\n'network.memory_units' = {{ low = 10, high = 20 }}"
    Path("space.toml").write_text(useless)
    assert "network.memory_units has no effect in any trial" in failure(capsys, "small.toml space.toml")
    assert not Path("runs").exists()
    with pytest.MonkeyPatch.context() as as_before:
        as_before.setattr("tfdqn.tuning.search_space.SearchSpace.refuse_keys_without_effect", lambda *_: None)
        assert tune("small.toml space.toml --trials 1 --fresh-seeds 0") == 0
    assert tune("small.toml space.toml --trials 2 --fresh-seeds 0") == 0


def test_inspect_shows_the_trials_and_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("small.toml space.toml --trials 2 --fresh-seeds 0") == 0
    tuned = capsys.readouterr().out
    assert main.main(["inspect", "runs/small-tune", "--watch"]) == 0
    shown = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines[0] == "trial state evaluations best evaluation score optimizer.learning_rate agent.n_step"
    assert [line.split()[:2] for line in lines[1:3]] == [["0", "complete"], ["1", "complete"]]
    for line in ("study runs/small-tune", "trials 2 of 2 have ended: 2 complete", "page runs/small-tune/study.html"):
        assert line in lines
    (best,) = (line for line in lines if line.startswith("best trial "))
    assert best in [" ".join(line.split()) for line in tuned.splitlines()]
    assert main.main(["inspect", "runs/small-tune", "--json"]) == 0
    report = msgspec.json.decode(capsys.readouterr().out)
    assert report["counts"] == {"complete": 2} and best.startswith(f"best trial {report['best']}, mean return ")
    assert report["trials"][1]["run"] == "runs/small-tune/trials/001"
    assert report["trials"][1]["values"].keys() == {"optimizer.learning_rate", "agent.n_step"}


def test_a_study_is_worked_on_until_its_fresh_seeds_have_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reports: list[bool] = []
    folder = StudyFolder("runs/small-tune")
    search, train = search_module.search, seeds_module.train_seeds

    def searched_while_worked_on(*arguments: Any) -> bool:
        reports.append(bool(folder.workers()))
        return search(*arguments)

    def trained_while_worked_on(*arguments: Any) -> seeds_module.SeedsOutcome:
        reports.append(bool(folder.workers()))
        return train(*arguments)

    monkeypatch.setattr(search_module, "search", searched_while_worked_on)
    monkeypatch.setattr(seeds_module, "train_seeds", trained_while_worked_on)
    assert tune("small.toml space.toml --trials 1 --fresh-seeds 1") == 0
    assert [*reports, bool(folder.workers())] == [True, True, False]


def test_inspect_says_where_to_look_if_it_cannot_read_the_study(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tune("small.toml space.toml --trials 2 --fresh-seeds 0") == 0
    assert tune("small.toml space.toml --trials 1 --fresh-seeds 0 --study-dir shared --storage sqlite:///a.db") == 0
    monkeypatch.setattr("tfdqn.tuning.study_storage.find_spec", lambda _: None)
    for folder, why in (
        ("runs/small-tune", ", and reading it needs Optuna: "),
        ("shared", ", and its trials are in the database sqlite:///a.db: its newest run is shared/trials/000; "),
    ):
        capsys.readouterr()
        assert main.main(["inspect", folder]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"tfdqn: {folder} is a study's folder{why}")
        assert err.endswith(f"; what it has come to is in {folder}/study.html\n")


def test_a_storage_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """After the trials, too."""

    def lose_a_table(*_: object) -> bool:
        with closing(sqlite3.connect("a.db")) as database:
            database.execute("DROP TABLE trials")
        return True

    monkeypatch.setattr(search_module, "search", lose_a_table)
    line = failure(capsys, "small.toml space.toml --storage sqlite:///a.db")
    assert line == "tfdqn: the storage of the study in runs/small-tune fails: no such table: trials"


def test_a_closed_terminal_hides_no_error_that_ends_the_training_of_fresh_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def closed(line: str) -> None:
        said.append(line)
        raise BrokenPipeError

    said: list[str] = []
    monkeypatch.setattr("tfdqn.cli.tune.typer.echo", closed)
    study: Any = SimpleNamespace(folder=StudyFolder("study"))
    trial: Any = SimpleNamespace(number=3, state=TrialState.FAILED)
    with pytest.raises(ZeroDivisionError), _failures_said(study, [trial]):
        raise ZeroDivisionError
    assert said == [f"1 of 1 trial failed (trial 3); why: {own_command(['inspect', 'study'])}"]
    with pytest.raises(BrokenPipeError), _failures_said(study, [trial]):
        pass


def test_a_system_to_track_in_that_is_missing_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tfdqn.tracking.systems.find_spec", lambda name: None)
    line = failure(capsys, "small.toml space.toml tracking.wandb=true")
    assert line.startswith("tfdqn: tracking.wandb = true needs wandb, which is not installed: ")
    assert not Path("runs").exists()


def test_a_cluster_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", cluster)
    line = failure(capsys, "small.toml space.toml")
    assert line == "tfdqn: tune runs its trials on this host, and TF_CONFIG names a cluster: unset TF_CONFIG"
