"""`tfdqn tasks --check`, from its arguments to the table, the JSON and the exit status."""

import ctypes
import faulthandler
import io
import json
import os
import re
import signal
import subprocess
import time
from multiprocessing import active_children, current_process, get_context
from multiprocessing.util import Finalize
from typing import Any

import gymnasium
import numpy as np
import pytest
from rich.console import Console

from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.cli.main import main
from tfdqn.cli.task_check_view import CheckProgress, print_check
from tfdqn.config import Task
from tfdqn.tasks.checking import check_process
from tfdqn.tasks.checking.check import TaskCheck, Tell
from tfdqn.tasks.checking.check_process import check_in_process
from tfdqn.tasks.checking.findings import Finding

FEW = ["task.num_envs=2", "task.max_episode_steps=20"]


def test_a_task_that_can_be_trained_ends_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--check", "CartPole-v1", *FEW]) == 0
    printed = capsys.readouterr()
    assert "Training can run." in printed.out and "2 environments" in printed.out and printed.err == ""


def test_json_has_what_the_table_has_and_nothing_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--check", "CartPole-v1", "--json", *FEW]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["can_train"] and max(found["episode_lengths"]) <= 20 and found["transition_bytes"] == 44


class Loud(gymnasium.Env):
    """Prints in every way that a process has, C's buffered one among them."""

    observation_space, action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,)), gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        if seed is not None:
            subprocess.run(["echo", "from a process"], check=True)
        print("from Python")
        os.write(1, b"from a descriptor\n")
        ctypes.CDLL(None).puts(b"from C")
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        return np.zeros(1, np.float32), 1.0, True, False, {}


gymnasium.register("Loud-v0", Loud)


def test_what_an_environment_prints_is_kept_out_of_the_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--check", "Loud-v0", "--json", "task.num_envs=1"]) == 0
    ctypes.CDLL(None).fflush(None)
    printed = capfd.readouterr()
    assert json.loads(printed.out)["can_train"]
    for way in "Python", "a descriptor", "C", "a process":
        assert f"from {way}\n" in printed.err
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_a_task_that_can_t_be_made_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--check", "CartPol-v1"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith('tfdqn: unknown task "CartPol-v1"') and printed.err.count("\n") == 1


def test_a_failure_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    gymnasium.register("NotFinite-v0", lambda: gymnasium.wrappers.TransformReward(Loud(), lambda reward: float("nan")))
    arguments = ["tasks", "--check", "NotFinite-v0", "task.num_envs=2"]
    assert main(arguments) == 2
    printed = capsys.readouterr()
    for about in "1 environment ", "2 environments ":
        (row,) = [line for line in printed.out.splitlines() if line.startswith(about)]
        assert row.split()[2] == "no" and "reward is nan" in row
    assert printed.err == 'tfdqn: NotFinite-v0 can\'t be trained on: see "1 environment" and "2 environments" above\n'
    assert main([*arguments, "--json"]) == 2
    printed = capsys.readouterr()
    assert not json.loads(printed.out)["can_train"] and printed.err.count("tfdqn: NotFinite-v0") == 1


class Crashing(Loud):
    """Ends its process at its third step."""

    def __init__(self, how: str) -> None:
        self._how, self._steps = how, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._steps += 1
        if self._steps == 3:
            if self._how == "exits":
                os._exit(0)
            if self._how == "leaves a process" and os.fork() == 0:
                time.sleep(1.0)
                os._exit(0)
            faulthandler.disable()  # pytest's
            ctypes.string_at(0)
        return np.zeros(1, np.float32), 1.0, False, False, {}


gymnasium.register("Crashing-v0", Crashing)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exits", "has ended with status 0"),
        ("crashes", "was killed by signal 11 (SIGSEGV)"),
        ("leaves a process", "was killed by signal 11 (SIGSEGV)"),
    ],
)
def test_an_environment_that_ends_its_process_is_one_line(
    how: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["tasks", "--check", "Crashing-v0", f"task.kwargs.how={how}", "task.num_envs=1"]
    line = f"tfdqn: Crashing-v0, 1 environment, after 2 steps: its process {said}\n"
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", line)
    assert main([*arguments, "--json"]) == 2
    printed = capsys.readouterr()
    assert not json.loads(printed.out)["can_train"] and printed.err == line


class Hanging(Loud):
    """Doesn't return from its making, a reset, or its third step; "holds" keeps Python's lock meanwhile.

    "in processes" is the third step where another process has made the environment than the first one's.
    """

    def __init__(self, how: str) -> None:
        self._how, self._steps = how, 0
        if how == "making":
            time.sleep(600)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        if self._how == "reset":
            time.sleep(600)
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._steps += 1
        if self._steps == 3 and (self._how != "in processes" or "Worker" in current_process().name):
            (ctypes.PyDLL(None).sleep if self._how == "holds" else time.sleep)(600)
        return np.zeros(1, np.float32), 1.0, False, False, {}


gymnasium.register("Hanging-v0", Hanging)
AT = rf" \(Hanging\.{{}} at {__file__}:\d+\)"


@pytest.mark.parametrize(
    ("how", "call", "place"),
    [
        ("step", r"environment 0, step 3: step\(\)", AT.format("step")),
        ("reset", r"environment 0, step 0: reset\(\)", AT.format("reset")),
        ("making", "environment 0: the call that makes an environment", AT.format("__init__")),
        ("holds", "1 environment, after 2 steps: a call", ""),
        ("in processes", r"a batch of 1, after 2 steps: step\(\)", ""),
    ],
)
def test_a_call_that_doesnt_return_is_named_and_ends_the_check(
    how: str, call: str, place: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wait = 5.0 if how == "in processes" else 1.0  # on a busy machine, these processes take seconds to start
    for name, seconds in {"_LOOK_SECONDS": 0.2, "_SAID_EVERY_SECONDS": wait, "_MOST_SECONDS": wait + 0.5}.items():
        monkeypatch.setattr(check_process, name, seconds)
    arguments = ["tasks", "--check", "Hanging-v0", f"task.kwargs.how={how}", "task.num_envs=1"]
    arguments += ["task.vectorization=async", "task.max_episode_steps=9"]
    assert main(arguments) == 2
    printed = capfd.readouterr()
    said = rf"{call} has not returned for \d s{place}"
    assert re.fullmatch(rf"{said}\n", printed.out)
    assert re.fullmatch(rf"tfdqn: Hanging-v0: {said}: given up\n", printed.err)
    if how == "step":
        assert main([*arguments, "--json"]) == 2
        printed = capfd.readouterr()
        assert not json.loads(printed.out)["can_train"] and re.match(said, printed.err)


class MadeSlowly(Loud):
    """Its making takes a while."""

    def __init__(self) -> None:
        time.sleep(0.2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        return np.zeros(1, np.float32), {}


gymnasium.register("MadeSlowly-v0", MadeSlowly)


def test_calls_that_return_are_not_taken_for_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, seconds in {"_LOOK_SECONDS": 0.02, "_SAID_EVERY_SECONDS": 2.0, "_MOST_SECONDS": 2.0}.items():
        monkeypatch.setattr(check_process, name, seconds)
    assert main(["tasks", "--check", "MadeSlowly-v0", "task.num_envs=20", "task.max_episode_steps=9"]) == 0
    printed = capfd.readouterr()
    assert "Training can run." in printed.out and "has not returned" not in printed.out + printed.err


def test_an_interrupted_check_leaves_no_process() -> None:
    """Nor is it killed: it is interrupted, too, and closes its environments."""
    others = active_children()
    with pytest.raises(KeyboardInterrupt), check_in_process(Task(id="MadeSlowly-v0", num_envs=100)) as result:
        (process,) = {*active_children()} - {*others}
        result(lambda about, steps, total: signal.raise_signal(signal.SIGINT), print)
    assert process.exitcode == 1 and active_children() == others


@pytest.mark.parametrize("how", ["at its end", "by Ctrl-C"])
def test_a_process_that_ends_already_when_it_is_interrupted_says_nothing(
    how: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found, kill = TaskCheck(task="Some-v0", can_train=False, findings=()), os.kill
    is_ending, is_interrupted = get_context("fork").Event(), get_context("fork").Event()

    def end() -> None:
        is_ending.set()
        is_interrupted.wait(PATIENCE_SECONDS)

    def ends_slowly(task: Task, tell: Tell) -> TaskCheck:
        Finalize(None, end, exitpriority=1)
        if how == "by Ctrl-C":
            signal.raise_signal(signal.SIGINT)
        return found

    def interrupt(pid: int, number: int) -> None:
        kill(pid, number)
        is_interrupted.set()

    monkeypatch.setattr(check_process, "check", ends_slowly)
    monkeypatch.setattr(os, "kill", interrupt)
    with check_in_process(Task(id="Some-v0")) as result:
        if how == "at its end":
            assert result(lambda about, steps, total: None, print) == found
        assert is_ending.wait(PATIENCE_SECONDS)
    assert is_interrupted.is_set() and capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--check", "CartPole-v1", "agent.n_step=3"], "agent.n_step=3: only keys of [task] can be changed here"),
        (["--check", "CartPole-v1", "task.kwargs.x=nan"], "override: task.kwargs.x = nan: must be a finite number"),
        (["--check", "CartPole-v1", "task.numenvs=3"], "override: task.numenvs is not a key"),
        (["cart", "pole"], "more than one pattern is only for --check ID"),
        (["--json"], "--json is only for --check ID"),
    ],
)
def test_a_misuse_is_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", *arguments]) == 2
    assert line in capsys.readouterr().err


def test_square_brackets_are_text() -> None:
    """Rich would take [4] for a style."""
    written = io.StringIO()
    findings = (Finding("observation", "yes", "float32[4]"), Finding("1 environment", "no", "[box2d] is missing"))
    found = TaskCheck(task="Some-v0", can_train=False, findings=findings, suggestions={"task.frame_stack=4": "[why]"})
    print_check(found, Console(file=written, width=100))
    lines = [" ".join(line.split()) for line in written.getvalue().splitlines()]
    assert "observation yes float32[4]" in lines and "1 environment no [box2d] is missing" in lines
    assert "task.frame_stack=4 [why]" in lines


def test_where_no_terminal_is_progress_is_a_line_now_and_then() -> None:
    written = io.StringIO()
    with CheckProgress(Console(file=written)) as progress:
        for step in range(1_000):
            progress.tell("1 environment", step, 1_000)
    assert written.getvalue().count("\n") <= 1
