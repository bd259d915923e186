"""Environments in processes of their own: the same steps, and no process outlives the one that wants it."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from gymnasium import registry, spaces
from gymnasium.vector import AsyncVectorEnv

from tests.support import odd_environments
from tests.support.disks import fill, small_disk
from tests.support.processes import is_running
from tests.support.tiny_runs import tiny
from tests.support.toy_environments import Chain
from tests.support.waiting import until
from tfdqn import evaluate, train
from tfdqn.config import Task
from tfdqn.config.toml import dump
from tfdqn.errors import EnvironmentFailedError, TaskError
from tfdqn.tasks.registry import make_task
from tfdqn.tasks.suites import gymnasium, processes

MASKED = "tests.support.toy_environments:Masked-v0"


def test_environments_in_processes_of_their_own_do_the_same_as_in_turn():
    settings = {"num_envs": 2, "frame_stack": 2, "action_masks": True}
    in_turn = make_task(Task(id=MASKED, **settings))
    in_processes = make_task(Task(id=MASKED, vectorization="async", **settings))
    assert isinstance(in_processes._envs, AsyncVectorEnv)
    try:
        first, second = in_turn.reset(seed=3), in_processes.reset(seed=3)
        np.testing.assert_array_equal(first[0]["observation"], second[0]["observation"])
        for _ in range(9):
            actions = np.argmax(in_turn.legal_actions, axis=1).astype(np.int32)
            for mine, theirs in zip(in_turn.step(actions), in_processes.step(actions), strict=True):
                np.testing.assert_equal(mine, theirs)
        assert in_processes.state() is None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # sent to the whole group, they are the run's
            for worker in in_processes._envs.processes:
                os.kill(worker.pid, number)
        in_processes.step(np.argmax(in_processes.legal_actions, axis=1).astype(np.int32))
        in_processes._envs.processes[0].kill()
        in_processes._envs.processes[0].join()
        with pytest.raises(TaskError, match=r"environment 0.s process was killed by signal 9 \(SIGKILL\)"):
            in_processes.step(actions)
    finally:
        workers = in_processes._envs.processes
        in_processes.close()
    assert not any(worker.is_alive() for worker in workers)


def test_environments_in_processes_of_their_own_end_with_a_parent_that_is_killed():
    script = (
        "from tfdqn.config import Task\n"
        "from tfdqn.tasks.registry import make_task\n"
        "import time\n"
        "if __name__ == '__main__':\n"
        "    task = make_task(Task(id='Acrobot-v1', num_envs=2, vectorization='async'))\n"
        "    print(*(worker.pid for worker in task._envs.processes), flush=True)\n"
        "    time.sleep(1000)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2 and all(map(is_running, workers))
    parent.kill()
    parent.wait()
    until(lambda: not any(map(is_running, workers)))


@pytest.mark.parametrize(
    ("shared", "temporary", "is_enough"), [(8, 8, True), (0.2, 8, True), (0.2, 0.2, False), (0, 8, False)]
)
def test_where_observations_find_no_room_that_is_one_line(tmp_path, monkeypatch, shared, temporary, is_enough):
    """2 environments of 36 x 36 bytes in stacks of 200: 0.5 MB, and 0.07 MB of semaphores."""
    room = ("Test-v0", 200 * 36 * 36, 2)
    with small_disk(tmp_path) as memory:
        (tmp_path / "other").mkdir()
        with small_disk(tmp_path / "other") as folder:
            monkeypatch.setattr(processes, "SHARED_MEMORY", memory)
            monkeypatch.setattr(tempfile, "tempdir", str(folder))
            for disk, megabytes in ((memory, shared), (folder, temporary)):
                fill(disk, but_bytes=int(megabytes * 1e6))
            if is_enough:
                processes.require_room(*room)
                return
            with pytest.raises(TaskError) as caught:
                processes.require_room(*room)
    said = str(caught.value)
    assert said.startswith('Test-v0: task.vectorization = "async" needs 0.6 MB of shared memory for task.num_envs = 2')
    assert f"{memory} has 0.{int(shared * 10)} MB" in said and "--shm-size" in said


def test_an_environment_that_fails_before_any_process_is_started_says_why(monkeypatch):
    class OneClient(Chain):
        made = 0

        def __init__(self):
            super().__init__()
            OneClient.made += 1
            if OneClient.made > 1:  # the first is looked at
                raise ConnectionRefusedError("the simulator takes one client")

    monkeypatch.setattr(registry["Chain-v0"], "entry_point", OneClient)
    with pytest.raises(TaskError, match=r"could not be made: .*: ConnectionRefusedError: the simulator takes one clie"):
        make_task(Task(id="Chain-v0", num_envs=2, vectorization="async"))


def test_the_room_is_asked_for_before_any_process_is_started(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "SHARED_MEMORY", tmp_path / "nowhere")
    with pytest.raises(TaskError, match=r"^Acrobot-v1: task.vectorization"):
        make_task(Task(id="Acrobot-v1", num_envs=2, vectorization="async"))
    make_task(Task(id="Acrobot-v1", num_envs=2, vectorization="sync")).close()


def test_the_room_is_that_of_the_spaces_own_types(monkeypatch):
    """Which gymnasium shares: int64 and float64 are wider there than in what networks see."""
    asked = []
    monkeypatch.setattr(gymnasium, "require_room", lambda *room: asked.append(room))
    space = spaces.Dict({"a": spaces.Discrete(5), "b": spaces.Box(-1, 1, (2, 3), np.float64)})
    value = {"a": 0, "b": np.zeros((2, 3))}
    kwargs = {"space": space, "observation": value}
    task = make_task(
        Task(
            id="tests.support.toy_environments:Odd-v0", num_envs=3, frame_stack=2, vectorization="async", kwargs=kwargs
        )
    )
    shared = task._envs.observations
    task.close()
    assert asked == [("tests.support.toy_environments:Odd-v0", sum(array.nbytes for array in shared.values()) // 3, 3)]
    assert sum(array.nbytes for array in shared.values()) == 3 * 2 * (8 + 6 * 8)


def failure_in_a_process(how: str) -> EnvironmentFailedError:
    """The error of an environment that can't be made in the process of its own, whose argument is `how`."""
    task = "tests.support.toy_environments:Broken-v0"
    with pytest.raises(EnvironmentFailedError) as caught:
        make_task(Task(id=task, num_envs=1, vectorization="async", kwargs={"how": how}))
    return caught.value


def test_a_process_that_ends_while_it_makes_its_environment_is_named():
    said = str(failure_in_a_process("ends its process")).partition("{'how': 'ends its process'}: ")[2]
    assert said == "RuntimeError: environment 0's process has ended with status 7, while making its environment"


def test_a_constructor_that_raises_in_a_process_of_its_own_is_named_with_its_traceback(capfd):
    failure = failure_in_a_process("in a process")
    said = str(failure).partition("{'how': 'in a process'}: ")[2]
    place = rf"Broken\.__init__ failed at {re.escape(odd_environments.__file__)}:\d+"
    assert re.fullmatch(
        rf"RuntimeError: in environment 0's process, {place}: RuntimeError: the simulator did not start", said
    )
    assert "\nRuntimeError: the simulator\ndid not start\n" in failure.traceback and "left out" not in failure.traceback
    assert capfd.readouterr().err == ""


def test_of_a_long_traceback_from_a_process_of_its_own_the_end_is_kept():
    """One that is longer than what a pipe takes until it is read: the process must not wait for its parent."""
    failure = failure_in_a_process("at length")
    assert "RuntimeError: in environment 0's process, Broken.__init__ failed at " in str(failure)
    assert "x did not start\n" in failure.traceback and len(failure.traceback) < 64_000
    assert re.search(r"\[the first [0-9,]+ bytes are left out\]\nx", failure.traceback)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_processes_that_never_make_their_environments_end_with_the_run(number, tmp_path):
    script = (
        "from tfdqn.config import Task\n"
        "from tfdqn.tasks.registry import make_task\n"
        f"kwargs = {{'hangs': {str(tmp_path)!r}}}\n"
        "make_task(Task(id='tests.support.toy_environments:NeverMade-v0', vectorization='async', num_envs=2,"
        " kwargs=kwargs))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as run:
        until(lambda: len(list(tmp_path.iterdir())) == 2, "both processes")
        run.send_signal(number)
        assert run.wait(60) in (-signal.SIGKILL, -signal.SIGINT, 1, 130)
    until(lambda: not any(is_running(int(each.name)) for each in tmp_path.iterdir()), "their end")


def test_a_script_that_trains_as_it_is_imported_is_told_of_the_guard(tmp_path):
    """Its processes import it first, and would train in it again."""
    script = tmp_path / "mine.py"
    keys = ["task.vectorization=async", "task.num_envs=2", "replay.backend=in_graph"]
    script.write_text(
        "import tfdqn\n"
        f"config = tfdqn.load_config({str(tmp_path / 'mine.toml')!r}, {keys})\n"
        "tfdqn.train(config, 'run')\n"
    )
    (tmp_path / "mine.toml").write_text(dump(tiny()))
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert (
        "'s process has ended with status 1, while making its environment; perhaps since a script must call tfdqn "
        'below `if __name__ == "__main__":`, because each process that multiprocessing starts imports the script; its '
        "traceback is in "
    ) in done.stderr.splitlines()[-1]
    assert "TaskError: a script must call tfdqn below" in (tmp_path / "run" / "native.log").read_text()


def test_a_script_from_standard_input_has_processes_too(tmp_path):
    """It is no file that they could import."""
    script = (
        "from tfdqn.config import Task\n"
        "from tfdqn.tasks.registry import make_task\n"
        "make_task(Task(id='CartPole-v1', num_envs=2, vectorization='async')).close()\n"
        "print(__file__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable], input=script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stdout) == (0, "<stdin>\n"), done.stderr


def test_no_thread_shows_the_missing_file_while_another_starts_processes(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", "<stdin>", raising=False)

    def is_shown(seconds):
        with processes._main_file_is_importable():
            time.sleep(seconds)
            return hasattr(main, "__file__")

    with ThreadPoolExecutor() as threads:  # the second would begin within the first's block, and outlast it
        assert not any(threads.map(is_shown, [0.1, 0.2, 0.1]))
    assert main.__file__ == "<stdin>"


@pytest.mark.parametrize("begin", [partial(train, tiny()), evaluate])
def test_a_script_that_is_imported_by_a_process_begins_nothing_in_it(tmp_path, monkeypatch, begin):
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(TaskError, match=r"^a script must call tfdqn below"):
        begin(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_process_that_trains_itself_keeps_its_signals():
    """It is multiprocessing's too, but no environment's: what stops the run, stops it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ours, its = multiprocessing.get_context("fork").Pipe(duplex=False)

    def work():
        before = [signal.getsignal(number) for number in numbers]
        task = make_task(Task(id="CartPole-v1", num_envs=2))
        its.send([signal.getsignal(number) for number in numbers] == before)
        task.close()

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    assert ours.poll(60) and ours.recv()
    process.join(60)
    assert process.exitcode == 0
