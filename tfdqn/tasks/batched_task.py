"""`BatchedTask`: many environments of one task, reset, stepped and saved as one."""

import contextlib
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from tfdqn.errors import EnvironmentFailedError, TaskError, UserError
from tfdqn.randomness import derived_seed, seeds_of_environments
from tfdqn.storage.arrays import add_prefix, with_prefix
from tfdqn.task_spec import TaskSpec
from tfdqn.tasks import state_capture
from tfdqn.tasks.adapters.actions import to_environment
from tfdqn.tasks.adapters.learning_signal import LearningSignal
from tfdqn.tasks.adapters.legal_actions import batched_masks
from tfdqn.tasks.array_contract import place
from tfdqn.tasks.contract import Contract
from tfdqn.tasks.failures import FAILURE, TRACEBACK, Restarts, failure_line
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium
from tfdqn.tasks.suites.processes import Processes
from tfdqn.types import Observation, Step


class BatchedTask:
    """E environments of one task, behind gymnasium's vector API; each resets on the step after its episode's end.

    An environment that fails is made anew as long as `restarts` allows it; the rows that reset it tell their readers
    to drop its unfinished episode.

    Args:
      make: makes the environments; called again after a failure of all.
      spec: of the task.
      restarts: counts failures; shared by all tasks of the process.
      signal: turns steps into what is learned from.

    Attributes:
      spec: of the task.
      num_envs: E.
      observation: the current observation, arrays [E, …] by name.
      legal_actions: the current masks, bool[E, A] or [E, D, A]; None for a task without masks.
    """

    def __init__(
        self, make: Callable[[], VectorEnv], spec: TaskSpec, restarts: Restarts, signal: LearningSignal
    ) -> None:
        envs = make()
        self._make, self._restarts, self._signal = make, restarts, signal
        self.spec = spec
        self.num_envs = envs.num_envs
        self.observation: Observation = {}
        self.legal_actions: np.ndarray | None = None
        self._envs = envs
        self._contract = Contract(envs.single_observation_space, spec, envs.num_envs)
        self._to_environment, self._all_legal = to_environment(spec), spec.all_legal
        self._done = np.zeros(self.num_envs, np.bool_)
        self._steps = 0  # since the last reset
        self._seed, self._batches = 0, 0
        self._is_broken = False  # whether the environments' own state no longer determines the coming steps

    @property
    def is_own_vector_version(self) -> bool:
        """Whether the task has a vectorised version that steps all environments at once, so that more cost little."""
        return not isinstance(self._envs, SyncVectorEnv | AsyncVectorEnv)

    def reset(self, seed: int) -> tuple[Observation, np.ndarray | None]:
        """Resets every environment, each with a seed of its own, derived from `seed`.

        Returns (`observation`, `legal_actions`), as the attributes. Raises FaultyTaskError if an environment gives what
        its spaces don't allow, EnvironmentFailedError if one raises an error, and no restart is left.
        """
        self._seed, self._steps, self._is_broken = seed, 0, False
        return self._begin(seed)

    def step(self, actions: np.ndarray) -> Step:
        """Steps all environments by `actions`, int32[E], or [E, D] of branches, counted from 0. Raises as `reset`."""
        if self._to_environment is not None:
            actions = self._to_environment(actions)
        self._steps += 1
        self._is_broken = True  # until the step has succeeded
        try:
            answer = self._envs.step(actions)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            return self._step_of_a_new_batch(error)
        self.observation, reward, terminated, truncated, info = self._contract.step(answer, self._steps)
        is_reset = self._done
        self._done = terminated | truncated
        self._is_broken = FAILURE in info
        if self._is_broken:
            failed = self._failed(info)
            is_reset, self._done = is_reset | failed, self._done | failed
        if self.spec.action_masks:
            self.legal_actions = batched_masks(info, self.num_envs, self._all_legal)
        taken = Step(
            self.observation,
            reward,
            terminated,
            truncated > terminated,  # a state that ends the task has no future to bootstrap from
            is_reset,
            self.legal_actions,
        )
        return self._signal.step(taken, info)

    def state(self) -> dict[str, np.ndarray] | None:
        """The state of all environments after a reset, arrays by name; None: the task's state can't be saved."""
        if self._is_broken or not state_capture.gives_state(self._envs):
            return None
        state = add_prefix("envs", state_capture.read(self._envs)) | add_prefix("observation", self.observation)
        if self.legal_actions is not None:
            state["legal_actions"] = self.legal_actions
        return {**state, **self._signal.state(), "done": self._done}

    def lasting_state(self) -> dict[str, np.ndarray]:
        """The part of the state that outlasts episodes, which any task can save: the statistics that scale rewards."""
        return self._signal.lasting_state()

    def load_lasting_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._signal.load_lasting_state(arrays)

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned. Raises TaskError if `arrays` belong to another task."""
        self.reset(seed=0)  # creates all parts of the environments, which are replaced below
        expected = self.state()
        if expected is None:
            raise TaskError(f"{self.spec.id}: its state can't be saved, so none can be loaded")
        # An environment's own arrays may change in size from step to step; all others have a fixed shape.
        wrong = sorted(
            name
            for name, array in expected.items()
            if name not in arrays or (not name.startswith("envs/") and array.shape != arrays[name].shape)
        )
        if wrong:
            raise TaskError(
                f"{self.spec.id}: this state belongs to another task (missing or of another shape: "
                f"{', '.join(wrong[:3])})"
            )
        self._done = np.array(arrays["done"])
        self.observation = {name: np.array(arrays[f"observation/{name}"]) for name in self.observation}
        if self.legal_actions is not None:
            self.legal_actions = np.array(arrays["legal_actions"])
        self._signal.load_state(arrays)
        (frames, *_) = self.observation.values()
        state_capture.write(self._envs, with_prefix("envs", arrays), frames)

    def render(self) -> np.ndarray | None:
        """A picture of environment 0, uint8[height, width, 3]; None if the task was made without a render mode.

        Raises TaskError if the environment's `render` fails or gives no picture.
        """
        envs: Any = self._envs
        if envs.render_mode is None:
            return None
        try:
            with quiet_gymnasium():
                drawn = envs.envs[0].render() if isinstance(envs, SyncVectorEnv) else envs.render()[0]
        except Exception as error:
            raise TaskError(f"{self.spec.id} could not be rendered: {failure_line(error)}") from error
        try:
            return as_picture(drawn)
        except ValueError as error:
            raise TaskError(f"{self.spec.id} could not be rendered: {error}") from None

    def close(self) -> None:
        """Closes the environments and ends their processes; their errors are ignored."""
        with contextlib.suppress(Exception, SystemExit):
            self._envs.close()

    def _begin(self, seed: int) -> tuple[Observation, np.ndarray | None]:
        """As `reset`; environments that fail are made anew as long as `restarts` allows it."""
        while True:
            try:
                with quiet_gymnasium():
                    seeds: Any = seed if self.is_own_vector_version else seeds_of_environments(seed, self.num_envs)
                    answer = self._envs.reset(seed=seeds)
            except UserError:
                raise
            except (Exception, SystemExit) as error:
                seed = self._make_batch_anew(error)
                continue
            self.observation, info = self._contract.reset(answer)
            self._is_broken = FAILURE in info
            if self._is_broken:
                self._failed(info)
                continue
            self._done = np.zeros(self.num_envs, np.bool_)
            self._signal.reset(info)
            if self.spec.action_masks:
                self.legal_actions = batched_masks(info, self.num_envs, self._all_legal)
            return self.observation, self.legal_actions

    def _failed(self, info: Mapping[str, Any]) -> np.ndarray:
        """bool[E]: the environments that have failed. Raises EnvironmentFailedError if no restart is left for one."""
        failed = np.array([failure is not None for failure in info[FAILURE]])
        for index in np.flatnonzero(failed):
            line = f"{self._where(index)}: {info[FAILURE][index]}"
            self._restarts.use(EnvironmentFailedError(line, info[TRACEBACK][index]))
        return failed

    def _step_of_a_new_batch(self, error: BaseException) -> Step:
        """A step that only resets: all environments are made anew after a vectorised version has failed as a whole."""
        self._begin(self._make_batch_anew(error))
        nothing = np.zeros(self.num_envs, np.bool_)
        return Step(self.observation, nothing.astype(np.float32), nothing, nothing, ~nothing, self.legal_actions)

    def _make_batch_anew(self, error: BaseException) -> int:
        """Replaces all environments; returns their seed. Raises EnvironmentFailedError if no restart is left."""
        self._is_broken = True
        said, details = failure_line(error), "".join(traceback.format_exception(error))
        is_broken_pipe = isinstance(error, EOFError | ConnectionError)
        if is_broken_pipe and isinstance(self._envs, Processes) and (ended := self._envs.ended()):
            said, details = f"{'; '.join(ended)}, without raising an exception", ""
        self._restarts.use(EnvironmentFailedError(f"{self._where()}: {said}", details))
        self.close()
        self._envs = self._make()
        self._batches += 1
        return derived_seed(self._seed, "environments made anew", self._batches)

    def _where(self, environment: int | None = None) -> str:
        """The task, the environment if it is one, and the step, for errors."""
        return place(self.spec.id, self._steps, environment)


def as_picture(drawn: Any) -> np.ndarray:
    """Converts what an environment's `render` gave to uint8[height, width, 3].

    It may give a frame, or a list of frames, the last of which is taken. A frame is grey ([H, W] or [H, W, 1]), RGB or
    RGBA ([H, W, 3] or [H, W, 4]), with numbers from 0 to 255, or floats from 0 to 1 if none is above 1. Raises
    ValueError for anything else.
    """
    if drawn is None:
        raise ValueError("its render() gave None")
    try:
        picture = np.asarray(drawn)
    except ValueError:
        raise ValueError(f"its render() gave a {type(drawn).__name__} that is not a picture") from None
    if picture.ndim == 4 and len(picture):
        picture = picture[-1]  # render_mode "rgb_array_list"
    if picture.ndim == 2:
        picture = picture[..., np.newaxis]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or picture.size == 0:
        raise ValueError(f"its render() gave an array of shape {picture.shape}: [height, width, 3] is needed")
    if picture.dtype.kind not in "biuf":
        raise ValueError(f"its render() gave {picture.dtype}, not numbers from 0 to 255")
    picture = _bytes(picture[..., :3])
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def _bytes(picture: np.ndarray) -> np.ndarray:
    """A picture of any number type as uint8, 0 to 255."""
    if picture.dtype == np.uint8:
        return picture
    if picture.dtype == np.bool_:
        return picture.astype(np.uint8) * 255
    if picture.dtype.kind == "f":
        if not np.isfinite(picture).all():
            raise ValueError("its render() gave numbers that are not finite")
        if picture.max() <= 1.0:
            picture = picture * 255
        picture = np.rint(picture)
    return np.clip(picture, 0, 255).astype(np.uint8)
