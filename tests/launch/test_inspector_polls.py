"""What a supervisor hears of a learner, also of one that starts: who has ended well is missed all the same."""

import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.fake_role_job import EVERY, Job, kill, stop
from tests.support.threaded_jobs import free_address
from tests.support.waiting import until
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.coordination.messages import IS_STARTING, Inspection, Nothing, Phase
from tfdqn.coordination.rpc import Method, RefusedError, Server
from tfdqn.launch.inspector import LearnerPoller


@pytest.fixture(autouse=True)
def polls_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.launch.inspector._POLL_SECONDS", 0.02)
    monkeypatch.setattr("tfdqn.launch.supervisor._MISSED_AFTER_SECONDS", 0.2)


@contextmanager
def refusal(address: str, why: str) -> Iterator[None]:
    """A learner that refuses to be inspected."""

    def refuse(_: Nothing) -> Inspection:
        raise RefusedError(why)

    server = Server(address, {"inspect": Method(Nothing, refuse)})
    try:
        yield
    finally:
        server.close()


def test_while_the_learner_starts_its_job_goes_on() -> None:
    with closing(LearnerPoller(free_address())) as poller:
        assert poller.phase_after(0.0) is None
        with refusal(poller._caller.address, "the run has finished already"):
            time.sleep(0.5)
            assert poller.phase_after(0.0) is None
        with refusal(poller._caller.address, IS_STARTING):
            until(lambda: poller.phase_after(0.0) == Phase.TRAINING, "word of the learner")
        after = time.monotonic()
        assert poller.phase_after(after) is None
        assert poller.newest is None


@pytest.mark.parametrize("name", ["parameter_server-0", "worker-0", "replay_server-0"])
def test_for_whom_a_learner_waits_that_starts_is_started_again_though_it_has_ended_well(
    folder: Path, name: str
) -> None:
    """It was told to end by a signal from outside, and the learner, which can't do without it, has started again."""
    share = (ProcessId(Role.PARAMETER_SERVER), ProcessId(Role.WORKER), ProcessId(Role.REPLAY_SERVER))
    job = Job(folder, *EVERY, share=share)
    with refusal(job.supervisor._program.topology.learner, IS_STARTING):
        assert not job.run(job.everybody_works, lambda: kill(job, name, signal.SIGTERM), job.lives(name, 2), stop)
    words = name.replace("_", " ").replace("-", " ")
    assert job.lines[0] == f"{words} has ended, but the job goes on: it is started again"
