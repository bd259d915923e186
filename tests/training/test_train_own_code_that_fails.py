"""A loss from outside the package that raises, or gives what it must not: one line, status 2, and where to look."""

import re
from pathlib import Path

import pytest

from tests.support.tiny_runs import TINY, tiny
from tfdqn.cli.main import main
from tfdqn.config.toml import dump, from_mapping
from tfdqn.launch.inspector import Inspector, Status
from tfdqn.training.call import train

MODULE = """
from typing import Annotated

import tensorflow as tf

from tfdqn.agents.losses.dqn import dqn
from tfdqn.agents.losses.table import LOSSES
from tfdqn.config import DQN
from tfdqn.config.fields import doc


class Own(DQN, frozen=True, kw_only=True, tag_field="kind", tag="failing_loss:own"):
    fault: Annotated[str, doc("what is wrong with it")] = ""


def own_loss(settings, networks, batch):
    output = dqn(settings, networks, batch)
    if settings.fault == "raises":
        return output._replace(loss=output.loss + tf.zeros(7))  # here
    if settings.fault == "nothing":
        return None
    if settings.fault == "no gradient":
        return output._replace(loss=tf.stop_gradient(output.loss))
    if settings.fault == "assertion":
        return output._replace(loss=tf.debugging.check_numerics(output.loss / 0.0, "too large"))  # in the graph
    if settings.fault == "metrics mean":
        return output._replace(metrics={"spread": tf.reduce_mean(output.loss)})
    field, _, change = settings.fault.partition(" ")
    changes = {"mean": tf.reduce_mean, "float64": lambda x: tf.cast(x, tf.float64), "column": lambda x: x[:, None]}
    return output._replace(**({field: changes[change](getattr(output, field))} if field else {}))


LOSSES[Own] = own_loss
"""
OWN = 'agent.kind = "failing_loss:own": own_loss returned '


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "failing_loss.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write(folder: Path, fault: str, *overrides: str) -> None:
    agent = {"kind": "failing_loss:own", "fault": fault}
    config = from_mapping({**TINY, "agent": agent}, ("replay.backend=in_graph", *overrides))
    (folder / "mine.toml").write_text(dump(config))


@pytest.mark.parametrize(
    ("fault", "overrides", "said"),
    [
        ("loss mean", (), "loss = float32[]; expected float32[16]"),
        ("td_error column", (), "td_error = float32[16, 1]; expected float32[16]"),
        ("loss float64", (), "loss = float64[16]; expected float32[16]"),
        ("q_tm1 mean", (), "q_tm1 = float32[]; expected float32[16, 2]"),
        ("td_error mean", ("ensemble.size=3",), "td_error = float32[]; expected float32[3, 16]"),
        ("nothing", (), "NoneType; expected a LossOutput"),
        ("metrics mean", (), "metrics ('spread',); the class of its settings says metrics = ()"),
    ],
)
def test_what_a_loss_gives_of_another_shape_is_named_before_the_first_update(
    folder: Path, capsys: pytest.CaptureFixture[str], fault: str, overrides: tuple[str, ...], said: str
) -> None:
    write(folder, fault, *overrides)
    assert main(["train", "mine.toml", "--run-dir", "run"]) == 2
    written = capsys.readouterr()
    assert written.err == f"tfdqn: {OWN}{said}; nothing was saved yet\n"
    assert written.out.splitlines()[-2:] == [
        "Correct that first. To begin again:",
        "tfdqn train mine.toml --run-dir run",
    ]


@pytest.mark.parametrize("schedule", ["overlap", "alternate"])
def test_what_a_loss_raises_is_one_line_with_its_place_and_the_traceback_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str], schedule: str
) -> None:
    write(folder, "raises", f"learner.schedule={schedule}")
    assert main(["train", "mine.toml", "--run-dir", "run"]) == 2
    line = next(i for i, text in enumerate(MODULE.splitlines(), 1) if text.endswith("# here"))
    (said,) = capsys.readouterr().err.splitlines()
    assert re.match(rf"tfdqn: own_loss failed at /\S+/failing_loss\.py:{line}: ValueError: ", said)  # once imported
    assert said.endswith("; its traceback is in run/native.log; nothing was saved yet")
    kept = (folder / "run" / "native.log").read_text()
    assert "in own_loss\n" in kept and kept.rstrip().splitlines()[-1].startswith("ValueError: ")


def test_before_anything_acts_the_loss_is_traced(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "raises")
    monkeypatch.setattr("tfdqn.training.train.run_to_end", None)
    assert main(["train", "mine.toml", "--run-dir", "run"]) == 2
    assert "own_loss failed at " in capsys.readouterr().err


def test_a_loss_without_a_gradient_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "no gradient")
    assert main(["train", "mine.toml", "--run-dir", "run"]) == 2
    said = (
        'tfdqn: agent.kind = "failing_loss:own": the loss has no gradient with respect to '
        "hidden_0/kernel; hidden_0/bias; q/kernel; "
    )
    assert capsys.readouterr().err.startswith(said)


def test_an_operation_that_fails_in_an_update_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "assertion")
    assert main(["train", "mine.toml", "--run-dir", "run"]) == 2
    line = next(i for i, text in enumerate(MODULE.splitlines(), 1) if text.endswith("# in the graph"))
    (said,) = capsys.readouterr().err.splitlines()
    assert re.match(rf"tfdqn: own_loss failed at /\S+/failing_loss\.py:{line}: InvalidArgumentError: too large", said)


@pytest.mark.parametrize(
    ("verb", "mistake", "said"),
    [
        ("evaluate", "numpy raises", r"<lambda> failed at /\S+/mistaken_network\.py:\d+: ZeroDivisionError: "),
        ("export", "raises", r"<lambda> failed at /\S+/mistaken_network\.py:\d+: ZeroDivisionError: "),
        ("export", "own layer", r"torso at /\S+/mistaken_network\.py:\d+: the variable "),
    ],
)
def test_a_torso_that_fails_after_training_is_one_line(
    verb: str, mistake: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = {"kind": "tests.support.mistaken_network:torso"}
    config = from_mapping({**TINY, "network": network}, ("replay.backend=in_graph", "stop.env_steps=600"))
    (folder / "mine.toml").write_text(dump(config))
    assert main(["train", "mine.toml", "--run-dir", "run"]) == 0
    capsys.readouterr()
    kept = folder / "run" / "config.toml"
    kept.write_text(kept.read_text().replace('mistake = ""', f'mistake = "{mistake}"'))
    assert main([verb, "run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(f"tfdqn: {said}", line)


def test_after_a_checkpoint_the_line_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "", "stop.env_steps=600")
    assert main(["train", "mine.toml", "--run-dir", "run"]) == 0
    capsys.readouterr()
    write(folder, "raises")
    (folder / "run" / "config.toml").write_text((folder / "mine.toml").read_text())
    assert main(["train", "mine.toml", "--run-dir", "run"]) == 2
    written = capsys.readouterr()
    assert written.err.endswith("; the last checkpoint is intact\n")
    assert written.out.splitlines()[-2:] == ["Correct that first. To resume:", "tfdqn train mine.toml --run-dir run"]


@pytest.mark.parametrize("name", ["on_progress", "interrupted"])
def test_what_a_callback_of_training_raises_is_the_callers(folder: Path, name: str) -> None:
    """Even where it is defined beside a loss; and it is no failure of the run."""

    def stop(*_: object) -> bool:
        raise LookupError

    config = tiny("task.id=tests.support.toy_environments:Catch-v0", "replay.backend=in_graph")  # `tests` is the user's
    with pytest.raises(LookupError):
        train(config, folder / "run", **{name: stop})
    assert Inspector(str(folder / "run")).report().status is Status.STOPPED


def test_what_this_package_raises_by_itself_keeps_its_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "")
    monkeypatch.setattr("tfdqn.agents.dqn.LossExtra", None)
    with pytest.raises(TypeError, match="NoneType"):
        main(["train", "mine.toml", "--run-dir", "run"])
