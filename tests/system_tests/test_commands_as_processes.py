"""`tfdqn` as a user's machine treats it: signals, kills, a second process, a closed terminal.

Starting a process takes seconds of one core, so a test's cases run side by side.
"""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import (
    ENDLESS,
    IN_GRAPH,
    OFTEN,
    PROJECT,
    REVERB,
    SAVES_IN_TIME,
    TAKES_TWO_FOR_ONE,
    assert_one_line,
    counters,
    newest,
    readable,
    side_by_side,
    tfdqn,
    write_config,
)


def test_sigterm_and_ctrl_c_save_and_the_line_that_they_print_resumes_the_run(tmp_path: Path) -> None:
    def case(folder: Path, given: tuple[tuple[str, ...], signal.Signals]) -> None:
        kind, number = given
        config, run = write_config(folder, *kind, OFTEN), folder / "a run"
        arguments = ("train", config, ENDLESS, "--run-dir", "a run")
        with tfdqn(folder, *arguments, program=TAKES_TWO_FOR_ONE, is_forked=True) as process:
            process.until_saved(run)
            process.send(number)
            process.send(number)  # as `timeout` does, to the command and to its group
            assert process.ended() == 0
        assert process.err == ""
        saved = counters(run)
        assert saved.env_steps > 0
        assert f"environment steps    {saved.env_steps:,}" in process.out
        assert not (run / "summary.json").exists()
        end = f"stop.env_steps={saved.env_steps + 1_000}"
        again = [end if each == ENDLESS else each for each in process.resumption()]
        with tfdqn(folder, *again) as resumed:
            assert resumed.ended() == 0
        assert f"resumed at {saved.env_steps:,} environment steps and {saved.train_steps:,} upd" in resumed.out
        assert json.loads((run / "summary.json").read_text())["status"] == "finished"
        finished = counters(run)
        assert finished.env_steps >= saved.env_steps + 1_000
        assert finished.train_steps > saved.train_steps

    # A terminal that is closed (SIGHUP) asks as Ctrl-C does: tests/system/test_signals.py.
    side_by_side(case, tmp_path, [(REVERB, signal.SIGTERM), (IN_GRAPH, signal.SIGINT)])


def test_a_second_ctrl_c_ends_it_at_once_and_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    config, run = write_config(tmp_path, ENDLESS, OFTEN), tmp_path / "run"
    with tfdqn(tmp_path, "train", config, "--run-dir", "run", program=SAVES_IN_TIME, is_forked=True) as process:
        process.until_saved(run)
        (tmp_path / "held").touch()  # it must not have saved within the time in which two signals count as one
        process.send(signal.SIGINT)
        process.until(lambda: "stopping" in process.out, "stopping")
        time.sleep(1.0)
        process.send(signal.SIGINT)
        assert process.ended() == 130
    assert process.err == ""
    readable(run)


@pytest.mark.long  # a follower that has just started: test_signals_at_any_moment.py
def test_a_signal_while_it_starts_ends_it_as_one_later_does(tmp_path: Path) -> None:
    def case(folder: Path, number: signal.Signals) -> None:
        config = write_config(folder, ENDLESS)
        with tfdqn(folder, "train", config, "--run-dir", "run", is_forked=False) as process:
            process.until(lambda: "libtensorflow" in Path(f"/proc/{process.pid}/maps").read_text(), "import")
            process.send(number)
            assert process.ended() == 0
        assert process.err == ""
        assert process.resumption() == ["train", config, "--run-dir", "run"]

    side_by_side(case, tmp_path, [signal.SIGTERM, signal.SIGINT])


@pytest.mark.long  # in one process: tests/training/test_train_final_evaluation.py
def test_a_signal_during_the_final_evaluation_ends_it_and_the_next_start_finishes(tmp_path: Path) -> None:
    config, run = write_config(tmp_path), tmp_path / "run"
    arguments = ["train", config, "--run-dir", "run"]
    with tfdqn(tmp_path, *arguments, "evaluation.final_episodes=100000") as process:
        process.until(lambda: "final evaluation" in process.out, "final evaluation")
        process.send(signal.SIGTERM)
        assert process.ended() == 0
    assert process.err == ""
    assert "evaluation.final_episodes=100000" in process.resumption()
    assert not (run / "summary.json").exists()
    with tfdqn(tmp_path, *arguments) as finishing:
        finishing.until(lambda: "drawing and exporting" in finishing.out, "export")
        finishing.send(signal.SIGINT)  # too late to stop it
        assert finishing.ended() == 0
    assert (finishing.err, "Saved." in finishing.out) == ("", False)
    assert json.loads((run / "summary.json").read_text())["final"]["episodes"] == 4


def survives_kills(folder: Path, kind: tuple[str, ...], kills: int, seed: int) -> None:
    """Kills a run at random moments; nothing that was once on disk is lost, and in the end it finishes."""
    moments = random.Random(seed)
    interval_seconds = 0.2
    config, run = write_config(folder, *kind, OFTEN, "logging.interval_seconds=0.05", ENDLESS), folder / "run"
    seen = (0, 0)
    for kill in range(kills):
        with tfdqn(folder, "train", config, "--run-dir", "run") as process:
            if kill % 4 < 3:  # else while it starts
                process.until_saved(run, beyond=newest(run))
            moment = time.monotonic() + moments.uniform(0, 6.0 if kill % 4 == 3 else 1.0)
            process.until(lambda: time.monotonic() > moment, "moment")  # noqa: B023
        if newest(run) is None:
            continue
        saved = counters(run)
        assert (saved.env_steps, saved.train_steps) >= seen
        seen = (saved.env_steps, saved.train_steps)
        assert_no_leftovers(run, keep=2, killed=True)
        if (run / "metrics.jsonl").exists():
            lost_seconds = _last_logged_seconds(run) - saved.seconds
            assert lost_seconds < interval_seconds + 2.0  # and what it takes to save, on a busy machine
    stop = f"stop.env_steps={seen[0] + 500}"
    with tfdqn(folder, "train", config, stop, "--run-dir", "run") as process:
        assert process.ended() == 0
    assert process.err == ""
    assert f"resumed at {seen[0]:,} environment steps and {seen[1]:,} updates" in process.out
    assert (run / "summary.json").exists()
    assert_no_leftovers(run, keep=2, killed=False)


def _last_logged_seconds(run: Path) -> float:
    whole_lines = (run / "metrics.jsonl").read_bytes().rpartition(b"\n")[0].splitlines()
    return max((json.loads(line)["seconds"] for line in whole_lines if line), default=0.0)


def assert_no_leftovers(run: Path, keep: int, killed: bool) -> None:
    """However often it was killed, what is left over is of the last time alone."""
    names = [path.name for path in (run / "checkpoints").iterdir()]
    assert len([name for name in names if name.isdecimal()]) <= keep + killed
    assert len([name for name in names if not name.isdecimal()]) <= killed
    assert len(list((run / ".scratch").iterdir())) <= killed
    assert not killed or len(list(run.iterdir())) < 20


@pytest.mark.long
def test_a_run_that_is_killed_again_and_again_loses_little_and_finishes(tmp_path: Path) -> None:
    def case(folder: Path, given: tuple[tuple[str, ...], int]) -> None:
        survives_kills(folder, *given, seed=1)

    side_by_side(case, tmp_path, [(REVERB, 3), (IN_GRAPH, 2)])


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_run_that_is_killed_forty_times_loses_little_and_finishes(tmp_path: Path) -> None:
    def case(folder: Path, given: tuple[tuple[str, ...], int]) -> None:
        survives_kills(folder, *given, seed=2)

    side_by_side(case, tmp_path, [(REVERB, 20), (IN_GRAPH, 20)])


@pytest.mark.long  # in one process: tests/storage/test_locks.py
def test_a_second_process_on_a_run_is_refused_with_the_first_ones_number(tmp_path: Path) -> None:
    arguments = ["train", write_config(tmp_path, ENDLESS, OFTEN), "--run-dir", "run"]
    with tfdqn(tmp_path, *arguments) as first:
        first.until_saved(tmp_path / "run")
        with tfdqn(tmp_path, *arguments) as second:
            assert second.ended() == 2
        assert_one_line(second, "run is in use by process", str(first.pid))
        first.until_saved(tmp_path / "run", beyond=newest(tmp_path / "run"))  # unharmed


@pytest.mark.long  # of a task by itself: tests/tasks/suites/test_processes.py
def test_no_environment_process_outlives_the_run(tmp_path: Path) -> None:
    def case(folder: Path, number: signal.Signals) -> None:
        config = write_config(folder, ENDLESS, OFTEN, "task.vectorization=async")
        with tfdqn(folder, "train", config, "--run-dir", "run") as process:
            process.until_saved(folder / "run")
            assert len(process.relatives()) > 8  # four to act and four to evaluate
            process.send(number)
            assert process.ended() == (0 if number == signal.SIGTERM else -number)
            deadline = time.monotonic() + 20
            while process.relatives() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert process.relatives() == []
        assert process.err == ""

    side_by_side(case, tmp_path, [signal.SIGTERM, signal.SIGKILL])


def test_a_whole_run_and_a_video_show_nothing_but_what_tfdqn_says(tmp_path: Path) -> None:
    config = write_config(tmp_path, "logging.tensorboard=true")
    with tfdqn(tmp_path, "train", config, "--run-dir", "run", is_forked=False) as process:
        assert process.ended() == 0
    assert process.err == ""
    ours = (
        "CartPole-v1: DQN, ",
        "filling replay: ",
        "compiling the first updates: ",
        "learning: ",
        "saving: ",
        "final evaluation: ",
        "drawing and exporting: ",
        "finished ",
        "environment steps",
        "updates ",
        "episodes ",
        "training time ",
        "best evaluation ",
        "final evaluation ",
        "best policy ",
        "learning curve ",
        "exported policy ",
        "checkpoints ",
        "TensorBoard logs ",
        "To resume beyond this:",
        "tfdqn train ",
    )
    assert [line for line in process.out.splitlines() if not line.startswith(ours)] == []
    assert "reverb" in (tmp_path / "run" / "native.log").read_text()
    without_screen = {"DISPLAY": None, "SDL_VIDEODRIVER": None, "SDL_AUDIODRIVER": None}
    with tfdqn(
        tmp_path, "evaluate", "run", "--video", "--json", environment=without_screen, is_forked=False
    ) as process:
        assert process.ended() == 0
    assert process.err == ""
    assert Path(tmp_path, json.loads(process.out)["video"]).stat().st_size > 1_000


def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    command = [sys.executable, "-m", "tfdqn", "train", config, "--run-dir", "run"]
    script = f"{shlex.join(map(str, command))} | head -n 1"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], cwd=tmp_path, env=environment, capture_output=True, timeout=240
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "run" / "summary.json").exists()


HELD_UP = """
import atexit, sys, time
from tfdqn import __main__
class Held:
    def __del__(self, sleep=time.sleep):
        sleep(1000)
held = Held()
def command():
    atexit.register(print, "a handler is heard")
    print("said")
    {body}
__main__.main = command
__main__.run()
"""


@pytest.mark.parametrize(("body", "status"), [("return 3", 3), ("sys.exit(4)", 4), ("raise ValueError", 1)])
def test_a_process_ends_with_its_command_whatever_would_hold_up_pythons_own_end(
    tmp_path: Path, body: str, status: int
) -> None:
    with tfdqn(tmp_path, program=HELD_UP.format(body=body)) as process:
        assert process.ended() == status
    assert process.out == "said\na handler is heard\n"
    assert ("ValueError" in process.err) == (status == 1)


def test_what_cannot_be_written_in_the_end_is_a_failure() -> None:
    program = "from tfdqn import __main__\n__main__.main = lambda: print('said') or 0\n__main__.run()"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode != 0 and b"No space left on device" in done.stderr


def test_an_error_of_ours_still_shows(tmp_path: Path) -> None:
    (tmp_path / "broken_task.py").write_text(
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "from tfdqn.training import loops\n"
        "def loop(session, watch):\n"
        "    raise RuntimeError('a mistake of ours')\n"
        "loops.alternate = loops.overlap = loop\n"
        "gymnasium.register('Broken-v0', CartPoleEnv, max_episode_steps=100)\n"
    )
    config = write_config(tmp_path, "task.id=broken_task:Broken-v0")
    with tfdqn(tmp_path, "train", config, "--run-dir", "run", is_forked=False) as process:
        assert process.ended() == 1
    assert "RuntimeError: a mistake of ours" in process.err
