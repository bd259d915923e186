"""Runs a session to its end, and writes its results: checkpoint, exported policy, summary, curve."""

from collections.abc import Callable

import msgspec

from tfdqn.exporting.from_run import export_results
from tfdqn.records import EpisodeScores, Summary
from tfdqn.reports import learning_curves
from tfdqn.reports.failures import failures_are_warnings
from tfdqn.storage.run_records import write_summary
from tfdqn.system.signals import Interruption, heard_signal
from tfdqn.training.monitor import TrainingMonitor
from tfdqn.training.session import AnySession


def run_to_end(
    session: AnySession,
    monitor: TrainingMonitor,
    loop: Callable[[], str],
    enter: Callable[[str], None],
    final_scores: Callable[[], EpisodeScores | None],
) -> Summary:
    """Trains until a condition to stop holds, and saves. Unless the user stopped it, also writes the results.

    Args:
      session: a new session.
      monitor: does its periodic work.
      loop: one of `training.loops`; returns the reason why it ended. It may raise Interruption.
      enter: called with the name of each phase after the loop.
      final_scores: scores the best policy on fresh episodes, or returns None if there is no evaluator. It may raise
        Interruption.
    """
    monitor.show()  # from here on, a signal ends the loop
    try:
        reason = loop()
    except Interruption:
        reason = "interrupted"
    session.work.finish()
    monitor.log_last()  # before saving: what is logged beyond a checkpoint is put aside when the run is resumed
    enter("saving")
    seconds = monitor.seconds
    session.save(seconds)
    session.work.is_saved = session.run_dir.is_saved = bool(session.env_steps)  # before the first step none is written
    if reason == "interrupted":
        return _interrupted(session, seconds)
    try:
        final = final_scores()
    except Interruption:
        return _interrupted(session, seconds)
    enter("drawing and exporting")
    summary = _write_results(session, _summary(session, seconds, reason, final))
    monitor.finished(summary)
    monitor.record_video("best" if session.run_dir.best_weights.exists() else "latest")
    return summary


def _interrupted(session: AnySession, seconds: float) -> Summary:
    summary = _summary(session, seconds, f"by {heard_signal() or 'its caller'}", None)
    return msgspec.structs.replace(summary, status="interrupted", paths=_paths(session))


def _summary(session: AnySession, seconds: float, reason: str, final: EpisodeScores | None) -> Summary:
    return Summary(
        status="finished",
        reason=reason,
        env_steps=session.env_steps,
        train_steps=session.learner.train_steps,
        episodes=session.parts.actors.episodes,
        seconds=round(seconds, 3),
        best_return=session.parts.evaluations.best_return,
        environment_restarts=session.parts.environment_restarts,
        final=final,
    )


def _paths(session: AnySession) -> dict[str, str]:
    """What training itself has written, by what it is."""
    run = session.run_dir
    found = {
        "checkpoints": (run.checkpoints, run.has_checkpoint),
        "best policy": (run.best, run.best_weights.exists()),
        "TensorBoard logs": (run.logs, session.config.logging.tensorboard),
    }
    return {name: str(path) for name, (path, is_there) in found.items() if is_there}


def _write_results(session: AnySession, summary: Summary) -> Summary:
    """Exports the best policy (the latest, if none was evaluated), writes the summary, and draws the curve.

    The curve comes last: without it, the run has finished nevertheless.
    """
    run = session.run_dir
    paths = {"exported policy": str(export_results(run, summary)), **_paths(session)}
    summary = msgspec.structs.replace(summary, paths=paths)
    write_summary(run.summary_file, summary)
    with failures_are_warnings("the learning curve is not drawn", session.say):
        curve = learning_curves.plot([run], run.learning_curve)
        summary = msgspec.structs.replace(summary, paths={"learning curve": str(curve), **paths})
        write_summary(run.summary_file, summary)
    return summary
