"""The learner: makes the updates, checkpoints and curves, and serves every other process of the job."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from tfdqn.acting.blas_threads import one_blas_thread
from tfdqn.acting.central_inference import Inference
from tfdqn.acting.factory import make_q_function
from tfdqn.cluster.roles import Role
from tfdqn.config.headline import headline
from tfdqn.coordination.heartbeat_files import MEETING
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.messages import Inspection, Phase
from tfdqn.coordination.sudden_end import told_of_sudden_end
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.coordination.weights import WeightsBoard
from tfdqn.errors import ClusterError, PeerLostError
from tfdqn.learning.devices import learning_devices, use_threads
from tfdqn.learning.strategies.chief import Chief
from tfdqn.learning.strategies.other_processes import OtherProcesses
from tfdqn.randomness import derived_seed, stream
from tfdqn.records import EpisodeScores, Progress, Summary
from tfdqn.replay.reverb.remote_replay import RemoteReplay
from tfdqn.roles.context import RoleContext
from tfdqn.roles.learner_watchdog import LearnerWatchdog
from tfdqn.storage.completion import finished_before
from tfdqn.storage.failures import failures_are_reported, keep_interruption, keep_sudden_end
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.interval import IntervalTrigger
from tfdqn.system.output import native_output_to
from tfdqn.system.signals import Interruption
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.registry import check_task, make_task
from tfdqn.tracking.systems import require_systems
from tfdqn.training import loops
from tfdqn.training.finish import run_to_end
from tfdqn.training.monitor import TrainingMonitor, begin_tracking
from tfdqn.training.remote_parts import RemoteParts
from tfdqn.training.session import Session, start_session

_POLL_SECONDS = 0.1
_SAY_AGAIN_SECONDS = 30.0
_LINE_SECONDS = 10.0


def run(context: RoleContext, gives_heartbeats: Callable[[], None] = lambda: None) -> bool:
    """Trains with the other processes of the topology until the configuration says stop.

    Calls `gives_heartbeats` when it gives heartbeats by itself. Returns False if the user has asked to stop before; the
    run is saved then, if it had begun.

    Raises UserError for a mistake that the user can correct, PeerLostError if it has lost a process that it can't go on
    without.
    """
    config, run_dir = context.config, RunDir(context.run_dir)
    check_task(config.task)
    require_systems(config.tracking)
    with (
        failures_are_reported(run_dir),
        run_dir.claim(config),
        told_of_sudden_end(partial(keep_sudden_end, run_dir)),
        native_output_to(run_dir.native_log),
        one_blas_thread(),
    ):
        is_over = _train(context, run_dir, gives_heartbeats)
        if not is_over:
            keep_interruption(run_dir, is_saved=run_dir.has_checkpoint)
        return is_over


def _train(context: RoleContext, run_dir: RunDir, gives_heartbeats: Callable[[], None]) -> bool:
    """Waits for the other processes and trains with them; arguments, result and errors are those of `run`."""
    context.say(headline(context.config))
    use_threads(context.config)
    task_spec = _task_spec(context, run_dir)
    service = LearnerService(context.topology, context.config, task_spec, WeightsBoard())
    with closing(service), LearnerWatchdog(context, service) as watchdog:
        gives_heartbeats()
        waiting = context._replace(say=watchdog.say_waiting)
        if not _others_are_there(waiting, service) or (replay := _replay(waiting, task_spec)) is None:
            return False
        watchdog.begin(replay)
        return _learn(context, run_dir, service, replay, watchdog)


def _learn(
    context: RoleContext, run_dir: RunDir, service: LearnerService, replay: RemoteReplay, watchdog: LearnerWatchdog
) -> bool:
    """From the rendezvous of all processes that learn to the end of the job; returns and raises as `run`."""
    config = context.config
    watchdog.state = "building"
    try:
        cluster = context.topology.sub_cluster(config, context.process_id)
        devices = learning_devices(config)
        if config.learner.strategy != "parameter_server":
            _meet(context, service, watchdog)
        others = None if cluster is None else OtherProcesses(config, cluster)
        chief = Chief(config, devices, context.say, others)
        watchdog.state = "building"
        with chief.lost_peers_as_cluster_error():
            make_parts = partial(RemoteParts, config, run_dir, service, replay, context.say)
            session = start_session(config, run_dir, chief, make_parts, context.say, watchdog.work)
            is_over = _train_to_end(context, service, session, watchdog)
    except ClusterError as error:  # it has lost a process that learns with this one
        raise PeerLostError(str(error)) from error
    session.close()  # still watched by the watchdog, since it waits for the processes that learn in lockstep
    if is_over:
        watchdog.release_peers()
        chief.close()
        service.end()
    return is_over


def _train_to_end(
    context: RoleContext, service: LearnerService, session: Session[RemoteParts], watchdog: LearnerWatchdog
) -> bool:
    """Trains to the end; False if the user has stopped it."""
    has_evaluator = bool(context.topology.evaluator)
    earlier = finished_before(session.run_dir, context.config, session.counters, has_evaluator=has_evaluator)
    if earlier is not None:
        session.run_dir.restore_config()
        context.say(f"{context.run_dir} has finished already: {earlier.reason}")
        return True
    is_left_to_evaluator = has_evaluator or session.env_steps_before >= 0
    trackers = begin_tracking(session, kept_env_steps=None if is_left_to_evaluator else -1)
    show = _Lines(context.say, watchdog)
    monitor = TrainingMonitor(session, trackers, show, context.interrupted, profile=False)
    service.inspection = lambda: _inspection(service, session, monitor, watchdog)

    def enter(phase: str) -> None:
        watchdog.state = phase

    def final_scores() -> EpisodeScores | None:
        enter("waiting for the final evaluation")
        service.phase = Phase.FINISHING
        return _final_scores(context, service, session) if has_evaluator else None

    with closing(monitor), _inference(context, service):
        summary = run_to_end(session, monitor, lambda: loops.learn(session, monitor), enter, final_scores)
    context.say(_in_words(summary))
    return summary.status == "finished"


def _in_words(summary: Summary) -> str:
    if summary.status == "interrupted" and not summary.env_steps:
        return "interrupted before the first environment step: nothing was saved yet"
    if summary.status == "interrupted":
        return f"interrupted and saved at {summary.env_steps:,} environment steps"
    return f"finished: {summary.reason}"


def _final_scores(context: RoleContext, service: LearnerService, session: Session[RemoteParts]) -> EpisodeScores | None:
    """Waits for the evaluator's final scores; None if it is away for longer than `health.patience_seconds`.

    Raises Interruption if the user has asked to stop.
    """
    present_seconds = time.monotonic()
    while not session.parts.evaluations.is_done:
        if context.interrupted():
            raise Interruption
        if service.roster.present(Role.EVALUATOR):
            present_seconds = time.monotonic()
        elif time.monotonic() - present_seconds > context.config.health.patience_seconds:
            context.say("warning: there is no evaluator: the best policy was not evaluated on fresh episodes")
            break
        time.sleep(_POLL_SECONDS)
    return session.parts.evaluations.final


@contextmanager
def _inference(context: RoleContext, service: LearnerService) -> Iterator[None]:
    """Computes the actors' Q-values while the block runs, with `acting.inference = "central"`.

    Its network is made here, because the chief must have configured the devices before.
    """
    acting = context.config.acting
    with ExitStack() as stack:
        if acting.inference == "central":
            q_function = make_q_function(context.config, service.task_spec)
            # A learner that starts again must not repeat the noise.
            rng = stream(derived_seed(context.config.seed, service.life), "central inference")
            inference = Inference(q_function, service.task_spec, service.board, acting.most_envs_per_inference, rng)
            service.q_values = stack.enter_context(closing(inference))
        yield


def _task_spec(context: RoleContext, run_dir: RunDir) -> TaskSpec:
    """The run's task specification; in a new run that of the task, which is kept in the run."""
    if run_dir.task_file.exists():
        return run_dir.task_spec()
    settings = context.config.health
    watchdog = Watchdog("the learner", settings, context.say, context.interrupted, context.stopped_status)
    with watchdog, closing(make_task(context.config.task, num_envs=1)) as task:
        return run_dir.write_task_spec(task.spec)


def _others_are_there(context: RoleContext, service: LearnerService) -> bool:
    """Waits for the workers and parameter servers; returns and raises as `_are_there`."""
    learning = context.topology.process_ids(Role.PARAMETER_SERVER, Role.WORKER)
    return _are_there(context, lambda: {str(each): why for each, why in service.roster.lost(learning).items()})


def _replay(context: RoleContext, task_spec: TaskSpec) -> RemoteReplay | None:
    """Waits for every replay server; None if the user has asked to stop meanwhile. Raises as `_are_there`."""
    addresses = context.topology.replay_server
    replay = RemoteReplay(context.config, task_spec, addresses)
    servers = f"replay server{'' if len(addresses) == 1 else 's'} at {', '.join(addresses)}"
    found = _are_there(context, lambda: {} if replay.poll() else {servers: "; ".join(replay.silent())})
    return replay if found else None


def _are_there(context: RoleContext, missing: Callable[[], Mapping[str, str]]) -> bool:
    """Waits until none is `missing`, which gives names and reasons; False if the user has asked to stop meanwhile.

    Raises PeerLostError if one still is after `health.patience_seconds`.
    """
    patience_seconds = context.config.health.patience_seconds
    began, said, line = time.monotonic(), "", IntervalTrigger(_SAY_AGAIN_SECONDS)
    while reasons := missing():
        if context.interrupted():
            return False
        if time.monotonic() - began > patience_seconds:
            why = "; ".join(reasons.values())
            raise PeerLostError(f"{why}, after {patience_seconds:.0f} s of waiting: the learner gives up")
        names = ", ".join(reasons)
        if names != said or line.is_due():
            context.say(f"waiting for {names}")
            said = names
            line.done()
        time.sleep(_POLL_SECONDS)
    return True


def _meet(context: RoleContext, service: LearnerService, watchdog: LearnerWatchdog) -> None:
    """Calls the lockstep workers to the rendezvous, and waits until each has said that it enters it.

    Raises PeerLostError if one has not within `health.dead_after_seconds`.
    """
    service.may_meet = True
    workers = context.topology.process_ids(Role.WORKER)
    deadline = time.monotonic() + context.config.health.dead_after_seconds
    while len([each for each in service.roster.present(Role.WORKER) if each.state == MEETING]) < len(workers):
        if time.monotonic() > deadline:
            raise PeerLostError("a worker did not join the others")
        time.sleep(_POLL_SECONDS)
    if workers:
        watchdog.enter_rendezvous()


def _inspection(
    service: LearnerService, session: Session[RemoteParts], monitor: TrainingMonitor, watchdog: LearnerWatchdog
) -> Inspection:
    """How the job stands, for `tfdqn inspect` and the supervisor."""
    progress = monitor.progress(watchdog.doing)
    return Inspection(
        phase=service.phase,
        state=progress.phase,
        env_steps=progress.env_steps,
        train_steps=progress.train_steps,
        episodes=session.parts.actors.episodes,
        seconds=progress.seconds,
        weights_version=progress.train_steps,
        updates_per_second=progress.updates_per_second,
        best_return=progress.best_return,
        processes=service.roster.status(),
        replay=session.parts.replay.status(),
        life=service.life,
        pid=os.getpid(),
        host=socket.gethostname(),
        resumed=session.resumed,
        discarded=tuple(filter(None, (session.parts.emptied, session.put_aside))),
    )


class _Lines:
    """Shows a line of figures every ten seconds, and passes progress on to the learner's heartbeat."""

    def __init__(self, say: Callable[[str], None], watchdog: LearnerWatchdog):
        self._say, self._watchdog = say, watchdog
        self._line = IntervalTrigger(_LINE_SECONDS, is_due=True)

    def __call__(self, progress: Progress) -> None:
        self._watchdog.state = progress.phase
        self._watchdog.work.record_progress("watching the updates")
        self._watchdog.updates_per_second = progress.updates_per_second
        if self._line.is_due():
            self._line.done()
            first_call = f"{progress.first_call}, " if progress.first_call else ""
            self._say(
                f"{progress.phase}: {first_call}{progress.env_steps:,}/{progress.total_env_steps:,} steps, "
                f"{progress.train_steps:,} updates, {progress.updates_per_second:,.0f} updates/s"
            )
