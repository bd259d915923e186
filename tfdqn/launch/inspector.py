"""`Inspector`: how a job stands, by its learner and its run's directory; `LearnerPoller`: polls the learner alone."""

import math
import socket
import threading
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from tfdqn.cluster.roles import LEARNER
from tfdqn.cluster.topology import Topology, topology_at
from tfdqn.coordination.heartbeat_files import STARTING
from tfdqn.coordination.messages import IS_STARTING, Inspection, Nothing, Phase
from tfdqn.coordination.rpc import Caller, RefusedError, UnreachableError
from tfdqn.errors import ClusterError, RunDirError
from tfdqn.launch.run_report import RunReport, run_report, why_over
from tfdqn.records import Status
from tfdqn.storage.failures import unsaved_end, would_fail_again
from tfdqn.storage.locks import holder_of, leaver_of
from tfdqn.storage.owners import Owner
from tfdqn.storage.recorded_config import recorded
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import why_failed, why_stopped
from tfdqn.storage.trainer import lone_trainer_of, trainer_of
from tfdqn.system.addresses import host_and_port, is_address, is_loopback
from tfdqn.system.shell_commands import own_command

_REPLY_SECONDS = 2.0
_POLL_SECONDS = 1.0


class LearnerPoller:
    """Asks a job's learner how it stands, once a second in a background thread, until it is closed.

    Args:
      address: of the learner, which need not be running.

    Attributes:
      newest: the newest answer; None: there has been none.
      heard_seconds: the time, by `time.monotonic`, at which that was asked for.
    """

    def __init__(self, address: str):
        self.newest: Inspection | None = None
        self.heard_seconds = float("-inf")
        self._phase: tuple[Phase, float] = (Phase.TRAINING, float("-inf"))  # and when that was asked for
        self._caller = Caller(address)
        self._closed = threading.Event()
        threading.Thread(target=self._ask_until_closed, name="learner poller", daemon=True).start()

    def phase_after(self, seconds: float) -> Phase | None:
        """The job's phase by the newest answer, if that was asked for after `seconds`; else None.

        A learner that is starting has no inspection yet, but its job goes on.
        """
        phase, asked = self._phase
        return phase if asked > seconds else None

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        self._caller.close()

    def _ask_until_closed(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            asked = time.monotonic()
            try:
                self.newest = self._caller("inspect", Nothing(), Inspection, _REPLY_SECONDS)
                self.heard_seconds = asked
                self._phase = self.newest.phase, asked
            except RefusedError as error:
                if str(error) == IS_STARTING:
                    self._phase = Phase.TRAINING, asked
            except UnreachableError:
                continue


_STATUS_OF_PHASE = {Phase.TRAINING: Status.TRAINING, Phase.FINISHING: Status.FINISHING, Phase.OVER: Status.FINISHED}


class Report(Struct, frozen=True, kw_only=True):
    """How a job stands; `tfdqn inspect --json` prints it."""

    status: Status
    learner: str  # the learner's address; "": none is known
    topology: Topology | None
    inspection: Inspection | None  # the learner's answer; None: it gives none
    problem: str  # why there is no inspection; for a run that no job trains, how it stands
    run: RunReport | None  # None: only an address was given


class Inspector:
    """Finds out how a job stands.

    Args:
      target: a run's directory, or the learner's "host:port".

    Raises RunDirError if it is neither.
    """

    def __init__(self, target: str):
        self._run: RunDir | None = None
        self._topology: Topology | None = None
        self._caller: Caller | None = None
        self._has_answered = self._is_refused = False
        if Path(target).is_dir() or "/" in target or not is_address(target):
            self._run = RunDir(target)
            if not Path(target).exists():
                raise RunDirError(
                    f"{target} does not exist: give the directory of a run, of seeds or of a study, or the host:port "
                    "of a job's learner"
                )
            recorded(self._run)  # raises if it is no run directory
        else:
            self._caller = Caller(target)

    def report(self) -> Report:
        """How the job stands now. Raises ClusterError if only an address was given and no learner ever answered."""
        inspection, problem = self._ask()
        if self._run is None and not self._has_answered:
            raise ClusterError(problem)
        now = math.inf if inspection is None else inspection.env_steps
        run = None if self._run is None else run_report(self._run, now)
        if inspection is not None:
            status = _STATUS_OF_PHASE[inspection.phase]
        else:
            status = Status.STARTING if self._is_refused else Status.SILENT
        if inspection is None and self._run is not None and run is not None:
            status, problem, run = self._unanswered(self._run, run, status, problem)
        return Report(
            status=status,
            learner="" if self._caller is None else self._caller.address,
            topology=self._topology,
            inspection=inspection,
            problem=problem,
            run=run,
        )

    def is_over(self) -> bool:
        """Whether `why_over` has a reason. False if there is only an address."""
        return self._run is not None and why_over(self._run) != ""

    def _unanswered(
        self, run: RunDir, report: RunReport, status: Status, problem: str
    ) -> tuple[Status, str, RunReport]:
        """How a run stands whose learner gives no answer, in a word and in words, and what is reported of it.

        `status` is how a job stands that lives; `problem`, why there is no answer: "" if no job was launched.
        """
        if (trainer := lone_trainer_of(run)) is not None:
            return Status.TRAINING, f"`tfdqn train` is training it: {trainer}", report
        is_job, most_seconds = self._topology is not None, recorded(run).config.health.dead_after_seconds
        if not is_job and (learner := holder_of(run.lock_file)) is not None:
            return Status.TRAINING, f"a learner is training it: {learner}", report
        alive = tuple(
            each for each in report.heartbeats if 0 <= each.age_seconds() <= most_seconds and not each.is_gone
        )
        if report.reason and (trainer_of(run) is None or not is_job):
            return Status.FINISHED, f"finished: {report.reason}", msgspec.structs.replace(report, heartbeats=alive)
        if is_job:
            if any(each.name == str(LEARNER) and each.state == STARTING for each in alive):
                return Status.STARTING, "the learner is starting", report
            if (supervisor := holder_of(run.supervisor_lock_file)) is not None:
                return status, f"{problem}; the job is run by {supervisor}", report
            if alive or trainer_of(run) is not None:
                return status, problem, report
        again = _resumption(run, report, self._topology)
        if failure := why_failed(run.end_file):
            where = f"; its log is {run.child_log}" if run.child_log.exists() else ""
            return Status.FAILED, f"failed: {failure}{where}{_after_failure(run, report, again)}", report
        stopped, why = "the job is not running here" if is_job else "not finished", _why_unfinished(run) or problem
        return Status.STOPPED, f"{stopped}{': ' if why else ''}{why}{again}", report

    def _ask(self) -> tuple[Inspection | None, str]:
        """(the learner's answer, why there is none)."""
        self._is_refused = False
        self._find_learner()
        if self._caller is None:
            return None, ""  # no job was launched in this directory
        # A learner that answers has the run's lock. Once its job has ended, another run's may have its address.
        learner = None if self._run is None else holder_of(self._run.lock_file)
        inspection, problem = None, ""
        try:
            inspection = self._caller("inspect", Nothing(), Inspection, _REPLY_SECONDS)
        except RefusedError as error:  # it is starting
            problem = str(error)
        except UnreachableError:
            return None, _why_unanswered(self._caller.address)
        if self._run is not None and not _may_be_from(learner, inspection):
            return None, f"another run has the address {self._caller.address}"
        self._has_answered, self._is_refused = True, inspection is None
        return inspection, problem

    def _find_learner(self) -> None:
        """Takes the learner's address from the run's directory: another launch changes it, `tfdqn train` removes it."""
        if self._run is None:
            return
        self._topology = topology_at(self._run.cluster_file)
        address = None if self._topology is None else self._topology.learner
        if self._caller is not None and self._caller.address != address:
            self._caller.close()
            self._caller = None
        if self._caller is None and address is not None:
            self._caller = Caller(address)


def _may_be_from(process: Owner | None, answer: Inspection | None) -> bool:
    """Whether a learner's answer may be that of this process; None: a refusal, which doesn't say whose it is."""
    return process is not None and (answer is None or (answer.pid, answer.host) == (process.pid, process.host))


def _why_unfinished(run: RunDir) -> str:
    """What has ended a run that has neither finished nor failed, in words; "" if that is not known."""
    if why := why_stopped(run.end_file):
        return why
    if (left_by := leaver_of(run.lock_file)) is None:
        return ""
    logs = (run.native_log, run.child_log)  # of seeds that are trained together, only the second
    return unsaved_end(str(left_by), next((each for each in logs if each.exists()), None))


def _resumption(run: RunDir, report: RunReport, topology: Topology | None) -> str:
    """How to go on with a run that has not finished; "" if its job's processes are not those of one `tfdqn launch`."""
    if topology is None:
        return _to_go_on(run, report, "train")
    if report.reason or not is_loopback(host_and_port(topology.learner)[0]):
        return ""
    return _to_go_on(run, report, "launch", *([] if topology.evaluator else ["--no-evaluator"]))


def _to_go_on(run: RunDir, report: RunReport, verb: str, *options: str) -> str:
    again = own_command([verb, str(run.config_file), *options, "--run-dir", str(run.path)])
    return f"; to {'resume' if report.checkpoint else 'begin again'}:\n{again}"


def _after_failure(run: RunDir, report: RunReport, again: str) -> str:
    """How to go on with a run that has failed: by the command in `again`, or by new runs with other keys.

    "" if the failure says that itself, as of a run that is not one of many.
    """
    if report.checkpoint:
        return again
    # The same command would probably meet the same error.
    if not would_fail_again(run):
        return f"; correct that first{again}"
    is_of_many = run.child_log.exists()
    return "; the run's keys are fixed: to change them, begin new runs, in another folder" if is_of_many else ""


def _why_unanswered(address: str) -> str:
    """Why a learner does not answer, as far as it can be known from here."""
    host, port = host_and_port(address)
    try:
        socket.getaddrinfo(host, port)
    except OSError as error:
        return f"this machine doesn't know the host {host} ({error.strerror})"
    firewall = "" if is_loopback(host) else ", or a firewall is in the way"
    return f"no learner answers at {address}{firewall}"
