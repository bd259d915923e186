"""What `tfdqn inspect` says of a job that has ended, where another run's now has its learner's address."""

import os
import socket

import msgspec
import pytest

from tests.cli.test_live_table import an_inspection
from tests.support.tiny_runs import tiny
from tfdqn.coordination.messages import Inspection, Nothing
from tfdqn.coordination.rpc import Method, RefusedError, Server
from tfdqn.launch.inspector import Inspector, Report
from tfdqn.launch.local_job import program_for
from tfdqn.records import Status
from tfdqn.storage.run_directory import RunDir


def not_yet(_: Nothing) -> Inspection:
    raise RefusedError("the learner is starting")


def of_another(_: Nothing) -> Inspection:
    return an_inspection()


def of_this_process(_: Nothing) -> Inspection:
    return msgspec.structs.replace(an_inspection(), pid=os.getpid(), host=socket.gethostname())


def report_of(run: RunDir, answer: object) -> Report:
    topology = program_for(tiny(), run, has_evaluator=False).topology
    run.cluster_file.write_bytes(topology.to_json())
    server = Server(topology.learner, {"inspect": Method(Nothing, answer)})  # type: ignore[arg-type]
    try:
        return Inspector(str(run.path)).report()
    finally:
        server.close()


@pytest.mark.parametrize("answer", [of_another, of_this_process, not_yet])
def test_of_a_run_that_nothing_trains_no_learner_answers(run: RunDir, answer: object) -> None:
    report = report_of(run, answer)
    said = f"the job is not running here: another run has the address {report.learner}; to begin again:"
    assert (report.status, report.inspection, report.problem.splitlines()[0]) == (Status.STOPPED, None, said)


def test_of_a_run_that_is_trained_only_its_own_learner_answers(run: RunDir) -> None:
    with run.claim(tiny()):
        assert report_of(run, of_another).status is Status.SILENT
        assert report_of(run, of_this_process).status is Status.TRAINING
        assert report_of(run, not_yet).status is Status.STARTING
