"""`evaluate`: a run's policy on fresh environments, as trained or with the task's physics changed."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import numpy as np
from msgspec.structs import replace

from tfdqn.acting.blas_threads import one_blas_thread
from tfdqn.acting.factory import make_policy
from tfdqn.config import Config, Task, toml
from tfdqn.config.own_code import require_function
from tfdqn.config.user_modules import own_failures_as_own_code_error
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.errors import ConfigError, TaskError, UserError, VideoError, one_line
from tfdqn.evaluation.evaluator import limited, play_episodes, scores
from tfdqn.evaluation.video import Format, record_episode, rendered_task
from tfdqn.networks.factory import weight_specs
from tfdqn.randomness import derived_seed
from tfdqn.records import EpisodeScores
from tfdqn.storage.atomic_files import require_writable
from tfdqn.storage.best_policy import load_policy_weights
from tfdqn.storage.run_directory import RunDir
from tfdqn.task_differences import in_words
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.failures import Restarts
from tfdqn.tasks.registry import make_task, resolve_spec
from tfdqn.tasks.suites.processes import require_main_has_begun

log = logging.getLogger(__name__)


class EvaluationReport(EpisodeScores, frozen=True, kw_only=True):
    """What `evaluate` found; `tfdqn evaluate --json` prints it."""

    returns: tuple[float, ...]  # of each episode, in the order in which they ended
    lengths: tuple[int, ...]  # in environment steps, in the same order
    run: str
    checkpoint: str  # "best" or "latest"
    train_steps: int  # of the weights
    seed: int
    video: str | None = None  # the path of the video of one episode

    def to_json(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()


@own_failures_as_own_code_error()
def evaluate(
    run_dir: Path | str,
    *,
    episodes: int = 100,
    seed: int = 0,
    overrides: Sequence[str] = (),
    checkpoint: Literal["best", "latest"] = "best",
    video: Format | None = None,
    on_begin: Callable[[], None] = lambda: None,
) -> EvaluationReport:
    """Plays greedy episodes on fresh environments, which are restarted if they fail as often as `task.restarts` allows.

    Args:
      run_dir: of a run that has a policy.
      episodes: how many.
      seed: of the environments; unrelated to the seeds that training used.
      overrides: keys of the task to change ("task.max_episode_steps=1000").
      checkpoint: the best evaluated policy, or the newest checkpoint's.
      video: also record one episode, in `RUN/videos/`.
      on_begin: is called once every check has passed, just before the first episode.

    The whole process ends, with status 75, if a call to an environment takes longer than `health.stuck_after_seconds`.

    Raises RunDirError, CheckpointError, ConfigError, OwnCodeError or TaskError for a mistake that the user can correct,
    before any episode is played if the task can't be rendered; and VideoError, which has the figures, where only the
    video failed.
    """
    require_main_has_begun()
    _require_arguments(video, on_begin)
    episodes, seed = _whole("episodes", episodes, least=1), _whole("seed", seed, least=0)
    run = RunDir(run_dir)
    config = run.config()
    with Watchdog("the evaluation", config.health, log.warning, stalled="ended", is_logged=False) as watchdog:
        watchdog.state = "evaluating"
        return _evaluated(run, config, episodes, seed, overrides, checkpoint, video, on_begin)


def _evaluated(
    run: RunDir,
    config: Config,
    episodes: int,
    seed: int,
    overrides: Sequence[str],
    checkpoint: Literal["best", "latest"],
    video: Format | None,
    on_begin: Callable[[], None],
) -> EvaluationReport:
    """As `evaluate`, whose arguments have been checked."""
    run_spec = run.task_spec()
    task_config = _changed_task(run, config, overrides)
    if video is not None:
        require_writable(run.videos)
    weights, origin = load_policy_weights(run, checkpoint, weight_specs(config, run_spec))
    policy = make_policy(config, run_spec)
    episode_seed = derived_seed(seed, "evaluate")
    with one_blas_thread(), ExitStack() as recording:
        with closing(_environments(task_config, episodes)) as task:
            _check_same_shape(run_spec, task.spec)
            if video is not None:
                recorded = recording.enter_context(closing(rendered_task(task_config)))
            on_begin()
            figures = _figures(*play_episodes(task, policy, weights, episodes, episode_seed))
        origin_fields = {"run": str(run.path), "train_steps": origin["train_steps"]}
        report = EvaluationReport(**figures, **origin_fields, checkpoint=checkpoint, seed=seed)
        if video is not None:
            with _failures_keep(report, task_config.id):
                path = record_episode(run.videos, recorded, policy, weights, episode_seed, video)
            report = replace(report, video=str(path))
    return report


def _figures(returns: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    """A report's fields of N episodes, by their returns float64[N] and lengths int64[N]."""
    each = {"returns": tuple(returns.tolist()), "lengths": tuple(lengths.tolist())}
    return msgspec.structs.asdict(scores(returns, lengths)) | each


def _environments(task: Task, episodes: int) -> BatchedTask:
    """As many environments as the task has, but no more than episodes."""
    return make_task(task, num_envs=min(episodes, task.num_envs), restarts=Restarts(task.restarts))


def _require_arguments(video: object, on_begin: object) -> None:
    """Raises ConfigError for another format of a video than there are, OwnCodeError for no function."""
    if video not in (None, *get_args(Format)):
        raise ConfigError(f'video = {video!r}: allowed are "mp4" and "gif"; None: no video')
    require_function(on_begin, "on_begin")


def _whole(name: str, number: int, least: int) -> int:
    """The number, which may be NumPy's, as Python's. Raises ConfigError if it is too small, or not whole."""
    if not isinstance(number, Integral) or number < least:
        raise ConfigError(f"{name} = {number!r}: a whole number of at least {least} is needed")
    return int(number)


@contextmanager
def _failures_keep(report: EvaluationReport, task_id: str) -> Iterator[None]:
    """Raises VideoError, which has the figures, for a video that fails: they have nothing to do with it."""
    try:
        yield
    except UserError as error:
        raise VideoError(str(error), report) from error
    except Exception as error:  # of the video's writer
        raise VideoError(f"the video of {task_id} failed: {one_line(error)}", report) from error


def _changed_task(run: RunDir, before: Config, overrides: Sequence[str]) -> Task:
    """The run's task with some keys changed; limited as in training's evaluations where no change says otherwise."""
    # The run's names of its actions are for its exports; another task's actions may be more or fewer.
    nameless = replace(before, task=replace(before.task, action_names=()))
    config = toml.with_changed_task(nameless, overrides, str(run.config_file))
    task = config.task
    if task.max_episode_steps and task.max_episode_steps != before.task.max_episode_steps:
        return task
    spec = run.task_spec() if task == nameless.task else resolve_spec(task)
    return limited(task, spec.max_episode_steps, config.evaluation.max_episode_steps, log.warning)


def _check_same_shape(trained: TaskSpec, now: TaskSpec) -> None:
    before, after = _shape(trained), _shape(now)
    changed = [
        f"{key} is {after.get(key, 'absent')}, not {before.get(key, 'absent')}"
        for key in before | after
        if before.get(key) != after.get(key)
    ]
    if changed:
        raise TaskError(f"{now.id} isn't what the policy was trained on: {'; '.join(changed)}")


def _shape(spec: TaskSpec) -> dict[str, str]:
    """What a policy depends on, in words."""
    shape = {f'observation "{key}"': in_words(array) for key, array in spec.observation.items()}
    shape["the number of actions"] = " × ".join(map(str, spec.actions.counts))
    if len(spec.actions.counts) > 1:
        shape["task.action_form"] = spec.actions.form
    return shape | {"task.action_masks": str(spec.action_masks).lower()}
