"""A caller that asks training to stop for its own reasons need not handle signals, and keeps those that it handles."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from tests.support.commands import PROJECT
from tests.support.tiny_runs import latest, tiny
from tfdqn.records import Progress
from tfdqn.training.call import train

ENDLESS = tiny("replay.backend=in_graph", "stop.env_steps=1_000_000_000")


def raises(number: signal.Signals) -> Callable[[Progress], None]:
    """A function for progress that raises the signal once something was learned."""
    sent: list[int] = []

    def on_progress(progress: Progress) -> None:
        if progress.train_steps > 0 and not sent:
            sent.append(progress.env_steps)
            signal.raise_signal(number)

    return on_progress


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_the_caller_does_not_handle_saves(tmp_path: Path, number: signal.Signals) -> None:
    run, before = tmp_path / "run", signal.getsignal(number)
    summary = train(ENDLESS, run, on_progress=raises(number), interrupted=lambda: False)
    assert summary.status == "interrupted" and "its caller" not in summary.reason
    assert latest(run).counters.env_steps == summary.env_steps > 0
    assert signal.getsignal(number) is before


def test_a_signal_that_the_caller_handles_is_left_to_it(tmp_path: Path) -> None:
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, hear)
    try:
        summary = train(ENDLESS, tmp_path / "run", on_progress=raises(signal.SIGTERM), interrupted=lambda: bool(heard))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    assert (summary.status, summary.reason) == ("interrupted", "by its caller")


WHILE_TENSORFLOW_IS_IMPORTED = """
import signal, sys, time
import tfdqn

class Finder:
    def find_spec(self, name, *_):
        if name == "tensorflow":
            sys.meta_path.remove(self)
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
                time.sleep(0.6)  # so that the second is no part of the first

sys.meta_path.insert(0, Finder())
config = tfdqn.Config(
    replay=tfdqn.Replay(backend="in_graph", min_size=100),
    learner=tfdqn.Learner(batch_size=16, updates_per_call=1, xla="off"),
    evaluation=tfdqn.Evaluation(episodes=1, confirm_episodes=0, final_episodes=1),
    stop=tfdqn.Stop(env_steps=300),
)
assert "tensorflow" not in sys.modules
print(tfdqn.train(config, "run").status, tfdqn.train(config, "run").status)
"""


def test_ctrl_c_while_tensorflow_is_imported_interrupts_the_run_alone(tmp_path: Path) -> None:
    """An import that breaks off could not be done again in this process, such as a notebook's kernel."""
    done = subprocess.run(
        [sys.executable, "-c", WHILE_TENSORFLOW_IS_IMPORTED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted finished\n"), done.stderr
