"""A run's policies on disk: the best evaluated one with its scores, and the latest checkpoint's."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from tfdqn.errors import CheckpointError, RunDirError, UserError, first_line
from tfdqn.records import Evaluation
from tfdqn.storage.arrays import ArrayInfo, check_arrays, load_arrays, save_arrays, with_prefix
from tfdqn.storage.atomic_files import why_not, write_atomically
from tfdqn.storage.checkpoints import CheckpointManager
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import EvaluationLine
from tfdqn.storage.trainer import wait_for
from tfdqn.types import Weights

_RECORD = "evaluation"
_EVALUATION_FILE = "evaluation.json"
_log = logging.getLogger(__name__)
_evaluations = msgspec.json.Decoder(Evaluation)


def save_best(path: Path, weights: Weights, evaluation: Evaluation) -> None:
    """Writes weights and their scores to one file, atomically, and the scores to a second file for people."""
    record = msgspec.json.encode(evaluation)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(path, {**weights, _RECORD: np.frombuffer(record, np.uint8)})
    write_atomically(path.with_name(_EVALUATION_FILE), msgspec.json.format(record, indent=2))


def put_results_aside(run: RunDir, *others: Path) -> str:
    """Moves the best policy of a run that starts over, and other results of it, to a folder `best/superseded-N`.

    Otherwise the new start would have to beat the best policy of the old one, and its summary would name that.

    Returns what was moved, in words; "" if there was nothing. Raises RunDirError if it can't be moved.
    """
    evaluation = run.best_weights.with_name(_EVALUATION_FILE)
    found = [each for each in (run.best_weights, evaluation, *others) if each.exists()]
    if not found:
        return ""
    aside = next(each for i in count(1) if not (each := run.best / f"superseded-{i}").exists())
    try:
        aside.mkdir(parents=True)
        for each in found:
            each.rename(aside / each.name)
    except OSError as error:
        raise RunDirError(f"{aside} can't be written: {why_not(aside.parent, error)}") from None
    names = " and ".join(str(each.relative_to(run.path)) for each in found if each != evaluation)
    return f"results of the start before were put aside: {names} to {aside.relative_to(run.path)}"


def load_best(path: Path, wanted: Mapping[str, ArrayInfo]) -> tuple[dict[str, np.ndarray], Evaluation]:
    """The best policy's weights by canonical name, and their scores.

    Raises CheckpointError if the file is damaged, or has other weights than `wanted` (`networks.weight_specs`).
    """
    arrays, evaluation = _read_best(path)
    check_arrays(arrays, wanted, path)
    return arrays, evaluation


def best_return(run: RunDir, evaluations: Iterable[EvaluationLine]) -> float | None:
    """The mean return of the best policy that the run has kept, or else of the best of these evaluations.

    A resumed run keeps the best policy, but may have put aside the line of its evaluation.
    """
    with suppress(CheckpointError):
        return _read_best(run.best_weights, [_RECORD])[1].scores.mean_return
    return max((each.mean_return for each in evaluations if each.mean_return is not None), default=None)


def _read_best(path: Path, names: Sequence[str] = ()) -> tuple[dict[str, np.ndarray], Evaluation]:
    """The best policy's arrays, unchecked, and their scores. Raises CheckpointError if the file is damaged."""
    try:
        arrays = load_arrays(path, names)
        evaluation = _evaluations.decode(arrays.pop(_RECORD).tobytes())
    except Exception as error:  # a damaged file raises zipfile's, zlib's and struct's errors, EOFError, KeyError, …
        raise CheckpointError(f"{path}: the best policy's file is missing or damaged ({first_line(error)})") from error
    return arrays, evaluation


def require_policy(run: RunDir, which: Literal["best", "latest"]) -> None:
    """Raises UserError if there is no such choice, CheckpointError if the run has no such policy yet."""
    if which not in ("best", "latest"):
        raise UserError(f'checkpoint = {which!r}: allowed are "best" and "latest"')
    if which == "best" and not run.best_weights.exists():
        wait = wait_for(run, "evaluation")
        if run.has_checkpoint:
            latest = 'try --checkpoint latest (checkpoint="latest" in Python)'
            advice = f"{wait}, or {latest}" if wait else f"; {latest}"
        else:
            advice = f", and no checkpoint{wait}"
        raise CheckpointError(f"{run.path} has no evaluated policy yet{advice}")
    if which == "latest" and not run.has_checkpoint:
        raise CheckpointError(f"{run.path} has no checkpoint yet{wait_for(run, 'checkpoint')}")


def require_return(run: RunDir, which: Literal["best", "latest"], min_return: float) -> None:
    """Raises UserError unless the evaluation of the run's policy had at least this mean return."""
    if isinstance(min_return, bool) or not isinstance(min_return, Real) or not math.isfinite(min_return):
        raise UserError(f"min_return = {min_return!r}: a finite number is needed")
    if which != "best":
        raise UserError(
            "--min-return (min_return in Python) applies to the best policy only: the latest checkpoint's was not "
            "evaluated"
        )
    scores = _read_best(run.best_weights, [_RECORD])[1].scores
    if not scores.mean_return >= min_return:
        reached, required = f"{scores.mean_return:,.2f}", f"{min_return:,.2f}"
        if reached == required:  # they differ in later digits
            reached, required = f"{scores.mean_return:,}", f"{min_return:,}"
        raise UserError(
            f"not exported: the best policy's mean return is {reached} over {scores.episodes:,} episodes, "
            f"below the required {required}"
        )


def load_policy_weights(
    run: RunDir, which: Literal["best", "latest"], wanted: Mapping[str, ArrayInfo]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A run's weights by canonical name, and where they come from (for an export's card).

    `wanted` are the weights of the run's network (`networks.factory.weight_specs`).
    If the latest checkpoint's weights are damaged, that is logged, and the previous checkpoint's are used. Raises
    UserError for another `which`, and CheckpointError if the run has no such policy yet, or if it is damaged or of
    another network than the run's.
    """
    require_policy(run, which)
    if which == "best":
        weights, evaluation = load_best(run.best_weights, wanted)
        return weights, {"train_steps": evaluation.train_steps, "evaluation": msgspec.to_builtins(evaluation.scores)}
    checkpoint = CheckpointManager(run.checkpoints).latest(_log.warning, names=["learner"])
    if checkpoint is None:
        raise CheckpointError(f"{run.path} has no checkpoint yet")
    counters, arrays = checkpoint.counters, checkpoint.arrays("learner")
    weights = with_prefix("online", arrays)
    check_arrays(weights, wanted, arrays.file)
    return weights, {"train_steps": counters.train_steps, "env_steps": counters.env_steps}
