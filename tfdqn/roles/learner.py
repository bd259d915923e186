"""The learner: updates, checkpoints, curves; and where every other process of the job is answered."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from threadpoolctl import threadpool_limits

from tfdqn.acting.central_inference import Inference
from tfdqn.acting.policy import make_q_function
from tfdqn.cluster.roles import Role
from tfdqn.coordination.heartbeat_files import MEETING
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.messages import Inspection, Phase
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.errors import ClusterError, PeerLostError
from tfdqn.learning.devices import learning_devices, use_threads
from tfdqn.learning.strategies.chief import Chief
from tfdqn.records import Progress, Summary
from tfdqn.replay.reverb.remote_replay import RemoteReplay
from tfdqn.roles.context import RoleContext
from tfdqn.roles.learner_watchdog import LearnerWatchdog
from tfdqn.storage.disk_full import full_disk_is_one_line
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_summary
from tfdqn.system.native_stderr import native_output_to
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.registry import check_task, make_task
from tfdqn.tracking.factory import make_trackers, rewind
from tfdqn.training import loops
from tfdqn.training.distributed_session import JobSession
from tfdqn.training.finish import write_results
from tfdqn.training.monitor import TrainingMonitor
from tfdqn.training.stopping import still_stands

_POLL_SECONDS = 0.1
_SAY_AGAIN_SECONDS = 30.0
_LINE_SECONDS = 10.0


def run(job: RoleContext) -> bool:
    """Trains what the configuration describes with the processes of the topology, until it says stop, or False: until
    the user has, and what was learned is saved.

    Raises UserError for what a user can mend, PeerLostError where it has lost a process that it can't go on without.
    """
    config, run_dir = job.config, RunDir(job.run_dir)
    check_task(config.task)
    with (
        full_disk_is_one_line(run_dir.path),
        run_dir.claim(config),
        native_output_to(run_dir.native_log),
        threadpool_limits(1, "blas"),
    ):
        use_threads(config)
        task_spec = _task_spec(job, run_dir)
        board = WeightsBoard()
        control = LearnerService(job.topology, config, task_spec, board)
        with closing(control), LearnerWatchdog(job, control) as watchdog:
            waiting = job._replace(say=watchdog.say_waiting)
            if not _others_are_there(waiting, control):
                return False
            replay = _replay(waiting, task_spec)
            if replay is None:
                return False
            watchdog.begin(replay)
            return _train(job, run_dir, control, replay, board, watchdog)


def _train(
    job: RoleContext,
    run_dir: RunDir,
    control: LearnerService,
    replay: RemoteReplay,
    board: WeightsBoard,
    watchdog: LearnerWatchdog,
) -> bool:
    config = job.config
    watchdog.state = "building"
    with _losses_are_restarts():
        cluster = job.topology.sub_cluster(config, job.process_id)
        devices = learning_devices(config)
        if config.learner.strategy != "parameter_server":
            _meet(job, control, watchdog)
        team = Chief(config, run_dir, cluster, devices, job.say, job.interrupted)
        watchdog.state = "building"
        with team.losses_are_one_line():
            session = JobSession(config, run_dir, control, team, replay, board, job.say, watchdog.work)
    show = _Lines(job.say, watchdog)
    if moved := rewind(run_dir, session.env_steps_before, None):
        job.say(moved)
    trackers = make_trackers(config, run_dir, "learner", job.say)
    watch = TrainingMonitor(session, trackers, show, job.interrupted, profile=False)
    control.inspection = lambda: _inspection(session, watch, watchdog)
    with closing(watch), _inference(job, control, board):  # its network comes after the team's devices
        earlier = read_summary(run_dir.summary_file)
        has_evaluator = bool(job.topology.evaluator)
        if earlier is not None and still_stands(
            earlier, config, session.counters, has_evaluator=has_evaluator
        ):
            job.say(f"{run_dir.path} has finished already: {earlier.reason}")
        else:
            with _losses_are_restarts(), team.losses_are_one_line():
                reason = loops.learn(session, watch, lambda: _put_off(job, replay))
                watchdog.work.finish()
                watchdog.state = "saving"
                session.save(watch.seconds)
            if reason == "interrupted" or not _finish(
                job, run_dir, control, session, watch, watchdog, reason
            ):
                job.say(f"interrupted and saved at {session.actors.env_steps:,} environment steps")
                session.close()
                return False
        session.close()  # watched: it waits for those who learn in step
        watchdog.release_peers()
        team.close()
    control.end()
    return True


def _finish(
    job: RoleContext,
    run_dir: RunDir,
    control: LearnerService,
    session: JobSession,
    watch: TrainingMonitor,
    watchdog: LearnerWatchdog,
    reason: str,
) -> bool:
    """Waits for the evaluator's last say, and leaves the results; False where the user has asked to stop meanwhile."""
    watchdog.state = "waiting for the final evaluation"
    control.phase = Phase.FINISHING
    if job.topology.evaluator and not _evaluator_is_done(job, control, session):
        return False
    final = session.evaluator.report.final
    watchdog.state = "drawing and exporting"
    summary = Summary(
        status="finished",
        reason=reason,
        env_steps=session.actors.env_steps,
        train_steps=session.learner.train_steps,
        episodes=session.actors.episodes,
        seconds=round(watch.seconds, 3),
        best_return=session.evaluator.best_return,
        environment_restarts=session.environment_restarts,
    )
    write_results(run_dir, job.config, summary, final)
    job.say(f"finished: {reason}")
    return True


def _evaluator_is_done(job: RoleContext, control: LearnerService, session: JobSession) -> bool:
    """Waits until it is, or has been away for longer than patience; False where the user has asked to stop."""
    there_seconds = time.monotonic()
    while not session.evaluator.report.is_done:
        if job.interrupted():
            return False
        if control.roster.present(Role.EVALUATOR):
            there_seconds = time.monotonic()
        elif time.monotonic() - there_seconds > job.config.health.patience_seconds:
            job.say("warning: there is no evaluator: the best policy was not evaluated on fresh episodes")
            break
        time.sleep(_POLL_SECONDS)
    return True


@contextmanager
def _inference(job: RoleContext, control: LearnerService, board: WeightsBoard) -> Iterator[None]:
    """Computes the actors' Q-values while the block runs, where they ask for it."""
    acting = job.config.acting
    if acting.inference == "local":
        yield
        return
    q_function = make_q_function(job.config, control.task_spec)
    with closing(
        Inference(q_function, control.task_spec, board, acting.most_envs_per_inference)
    ) as inference:
        control.q_values = inference
        yield


def _task_spec(job: RoleContext, run_dir: RunDir) -> TaskSpec:
    """As the run has it, or else as the task is."""
    if run_dir.task_file.exists():
        return run_dir.task_spec()
    with closing(make_task(job.config.task, num_envs=1)) as task:
        return run_dir.write_task_spec(task.spec)


def _others_are_there(job: RoleContext, control: LearnerService) -> bool:
    """Waits for those that learn with this process; False where the user has asked to stop meanwhile."""
    learning = job.topology.process_ids(Role.PARAMETER_SERVER, Role.WORKER)
    return control.roster.wait_for(learning, job.config.health.patience_seconds, job.say, job.interrupted)


def _replay(job: RoleContext, task_spec: TaskSpec) -> RemoteReplay | None:
    """Waits for every replay server, likewise. Raises PeerLostError at the end of patience."""
    replay = RemoteReplay(job.config, task_spec, job.topology.replay_server)
    began = said = time.monotonic()
    said -= _SAY_AGAIN_SECONDS
    while not replay.poll():
        if job.interrupted():
            return None
        if time.monotonic() - began > job.config.health.patience_seconds:
            raise PeerLostError(f"{'; '.join(replay.silent())}: the learner gives up")
        if time.monotonic() - said > _SAY_AGAIN_SECONDS:
            addresses = job.topology.replay_server
            servers = f"replay server{'' if len(addresses) == 1 else 's'} at {', '.join(addresses)}"
            job.say(f"waiting for {servers}")
            said = time.monotonic()
        time.sleep(_POLL_SECONDS)
    return replay


def _meet(job: RoleContext, control: LearnerService, watchdog: LearnerWatchdog) -> None:
    """Calls those who learn in step with this process, and goes when they have said that they do."""
    control.may_meet = True
    workers = job.topology.process_ids(Role.WORKER)
    deadline = time.monotonic() + job.config.health.dead_after_seconds
    while len([beat for beat in control.roster.present(Role.WORKER) if beat.state == MEETING]) < len(workers):
        if time.monotonic() > deadline:
            raise PeerLostError("a worker does not come to meet the others")
        time.sleep(_POLL_SECONDS)
    if workers:
        watchdog.enter_rendezvous()


def _put_off(job: RoleContext, replay: RemoteReplay) -> None:
    why = "; ".join(replay.silent()) or "the updates under way take long"
    job.say(f"warning: a checkpoint is put off: {why}")


@contextmanager
def _losses_are_restarts() -> Iterator[None]:
    """Raises PeerLostError for the loss of a process that learns with this one."""
    try:
        yield
    except ClusterError as error:
        raise PeerLostError(str(error)) from error


def _inspection(session: JobSession, watch: TrainingMonitor, watchdog: LearnerWatchdog) -> Inspection:
    progress = watch.progress(watchdog.doing)
    return session.inspection(progress.seconds, progress.updates_per_second, progress.phase)


class _Lines:
    """A line of figures every ten seconds; and what the learner's heartbeat says."""

    def __init__(self, say: Callable[[str], None], watchdog: LearnerWatchdog):
        self._say, self._watchdog = say, watchdog
        self._due = 0.0

    def __call__(self, progress: Progress) -> None:
        self._watchdog.state = progress.phase
        self._watchdog.work.record_progress("watching the updates")
        self._watchdog.updates_per_second = progress.updates_per_second
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_SECONDS
            self._say(
                f"{progress.phase}: {progress.env_steps:,}/{progress.total_env_steps:,} steps, "
                f"{progress.train_steps:,} updates, {progress.updates_per_second:,.0f} updates/s"
            )
