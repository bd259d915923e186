"""`load_policy`: an exported policy as a Python callable; needs TensorFlow, not TF-Agents.

policy = load_policy("runs/cartpole")
action = policy(observation)          # the environment's own action
action, state = policy.step(observation, state)   # of a policy with a memory; state: None if an episode begins
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf

from tfdqn.errors import UserError, first_line
from tfdqn.exporting.policy_inputs import LEGAL_ACTIONS, NEXT_POLICY_STATE, POLICY_STATE, PolicyInputs, state_size_of
from tfdqn.exporting.saved_model import input_signature
from tfdqn.exporting.versions import CARD_FILE, DEFAULT_SIGNATURE, EXTRA, TASK_SPEC_FILE, has_model, versions
from tfdqn.networks.eager_tensor_leak import mend_eager_tensors
from tfdqn.storage.arrays import check_arrays
from tfdqn.system.utf8 import path_for_libraries
from tfdqn.task_spec import ArraySpec, MaskForms, OwnActions, TaskSpec, flat_name

mend_eager_tensors()


class LoadedPolicy:
    """A greedy policy. Observations are the environment's own (array, int, dict, tuple), or a batch of them.

    Attributes:
      path: the version that was loaded.
      task_spec: the task it was trained on.
      card: where it comes from: checkpoint, steps, evaluation.
      state_size: how many numbers it remembers of an episode; 0: it has no memory.
    """

    def __init__(self, path: Path):
        path = path_for_libraries(path)
        extra = path / EXTRA
        try:
            self.task_spec = TaskSpec.from_json((extra / TASK_SPEC_FILE).read_bytes())
            self.card: dict[str, Any] = json.loads((extra / CARD_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, msgspec.ValidationError) as error:
            raise UserError(f"{path}: not a policy that tfdqn exported ({error})") from error
        self.path = path
        try:
            # Kept: the signature holds its variables weakly.
            self._module = tf.saved_model.load(str(path))
            self._serve = self._module.signatures[DEFAULT_SIGNATURE]
        except Exception as error:  # TensorFlow has many names for files that do not belong together
            raise UserError(f"{path}: can't be loaded: {first_line(error)}") from error
        takes = self._serve.structured_input_signature[1]
        self.state_size = state_size_of(takes, self.task_spec)
        check_arrays(takes, input_signature(self.task_spec, self.state_size), f"{path}: {DEFAULT_SIGNATURE}")
        self._inputs = PolicyInputs(self.task_spec, self.state_size)
        self._own_actions = OwnActions(self.task_spec.actions)
        self._mask_forms = MaskForms(self.task_spec.actions)

    def __call__(self, observation: Any, legal_actions: Any = None) -> int | np.ndarray:
        """The best legal action, as the environment takes it.

        Args:
          observation: one observation of the environment, or a batch.
          legal_actions: one mask, or one for each observation, as the environment gives them (`MaskForms`); required by
            a task with action masks and by no other.

        Returns:
          what the environment's `step` takes: an int of a Discrete space, an array [*shape] of any other, in its type;
          a batch's lead with B.

        Raises:
          UserError: for a name, a shape, a dtype or a value that the task does not have: a category beyond its own,
            a whole number out of bounds, NaN, infinity, masks in which nothing is legal; for a policy with a memory.
        """
        if self.state_size:
            raise UserError("this policy has a memory: call step(observation, state), which gives the next state too")
        return self.step(observation, None, legal_actions)[0]

    def step(
        self, observation: Any, state: np.ndarray | None, legal_actions: Any = None
    ) -> tuple[int | np.ndarray, np.ndarray | None]:
        """The best legal action, and the state to call it with at the episode's next step.

        Args:
          observation: as of a call.
          state: float32[S], [B, S] for a batch, as the step before returned it, zeros where an episode begins; None:
            zeros everywhere, and always of a policy without a memory.
          legal_actions: as of a call.

        Raises as a call does, and UserError for another state.
        """
        if self.task_spec.action_masks and legal_actions is None:
            raise UserError(f"{self.task_spec.id} has action masks: legal_actions is required")
        outputs = self._run(observation, legal_actions, state)
        own = self._own_actions(outputs["action"])
        is_int = self.task_spec.actions.is_one_number and own.ndim == 0
        return int(own) if is_int else own, outputs.get(NEXT_POLICY_STATE)

    def q_values(self, observation: Any, state: np.ndarray | None = None) -> np.ndarray:
        """Q(s, ·), illegal actions included: float32[A] for one observation, [B, A] for a batch.

        Of branches they are [D, A] and [B, D, A], with the value of a dimension's first action beyond its own as well.

        Of an ensemble, the mean or the minimum of its members'. Where they decide by majority, the votes: how many
        members' best action it is, all taken for legal, and half a vote more for the winner. `state` as of `step`.
        """
        return self._run(observation, None, state)["q_values"]

    def _run(self, observation: Any, legal_actions: Any, state: np.ndarray | None) -> dict[str, np.ndarray]:
        inputs, is_batch = _batched(self._arrays(observation), self.task_spec)
        if self.task_spec.action_masks:
            inputs[LEGAL_ACTIONS] = self._legal(legal_actions, inputs, is_batch)
        elif legal_actions is not None:
            raise UserError(f"{self.task_spec.id} has no action masks: legal_actions is not taken")
        if self.state_size:
            inputs[POLICY_STATE] = self._state(state, len(next(iter(inputs.values()))), is_batch)
        elif state is not None:
            raise UserError("this policy has no memory: state is not taken")
        self._inputs.check(inputs if is_batch else {key: array[0] for key, array in inputs.items()})
        outputs = self._serve(**{key: tf.constant(array) for key, array in inputs.items()})
        return {key: value.numpy() if is_batch else value.numpy()[0] for key, value in outputs.items()}

    def _arrays(self, observation: Any) -> dict[str, np.ndarray]:
        expected = self.task_spec.observation
        given = _named(observation, "", expected)
        if given.keys() != expected.keys():
            raise UserError(
                f"{self.task_spec.id} observes {', '.join(expected)}; got {', '.join(map(str, given)) or 'nothing'}"
            )
        return {key: _checked(key, given[key], spec) for key, spec in expected.items()}

    def _legal(self, legal_actions: Any, inputs: dict[str, np.ndarray], is_batch: bool) -> np.ndarray:
        rows = len(next(iter(inputs.values())))
        if legal_actions is None:
            return self._inputs.example(rows)[LEGAL_ACTIONS]
        try:
            legal = self._mask_forms.in_a_row(legal_actions, (rows,) if is_batch else ())
        except ValueError as error:
            raise UserError(f"legal_actions {error}") from None
        if not np.isin(legal, (0, 1)).all():
            raise UserError(f"legal_actions: booleans are needed, or 0 and 1; got {_describe(legal)}")
        padded = self._mask_forms.padded(legal.astype(bool))
        return padded if is_batch else padded[np.newaxis]

    def _state(self, state: np.ndarray | None, rows: int, is_batch: bool) -> np.ndarray:
        if state is None:
            return np.zeros((rows, self.state_size), np.float32)
        shape = (rows, self.state_size) if is_batch else (self.state_size,)
        try:
            numbers = np.asarray(state, np.float32)
        except (TypeError, ValueError):
            raise UserError(f"state: float32{list(shape)} is needed; got no array of numbers") from None
        if numbers.shape != shape:
            raise UserError(f"state: float32{list(shape)} is needed; got {_describe(np.asarray(state))}")
        return numbers.reshape(rows, self.state_size)


def load_policy(path: str | Path) -> LoadedPolicy:
    """The policy at `path`: a run directory, its `exports/` (either: the newest version), or one version."""
    path = Path(path)
    if has_model(path):
        return LoadedPolicy(path)
    for directory in (path, path / "exports"):
        if found := versions(directory):
            return LoadedPolicy(directory / str(found[-1]))
    raise UserError(f"{path}: no exported policy here; give a run directory, its exports/, or one version")


def _named(observation: Any, prefix: str, expected: Mapping[str, ArraySpec]) -> dict[str, Any]:
    """Nested dicts and tuples → a flat dict, named as `TaskSpec` names them."""
    if isinstance(observation, Mapping):
        parts = list(observation.items())
    elif isinstance(observation, tuple) and (prefix or "observation") not in expected:
        parts = list(enumerate(observation))
    else:
        return {prefix or "observation": observation}
    return {name: leaf for key, part in parts for name, leaf in _named(part, flat_name(prefix, key), expected).items()}


def _checked(key: str, value: Any, spec: ArraySpec) -> np.ndarray:
    """`value` in the task's dtype, where that loses nothing but float precision."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UserError(f"{key}: not an array: {error}") from error
    wanted = np.dtype(spec.dtype)
    if array.shape != spec.shape and array.shape[1:] != spec.shape:
        raise UserError(f"{key}: {_describe(array)}; the task has {wanted}{list(spec.shape)}, or a batch of them")
    if not _fits(array, spec):
        raise UserError(f"{key}: {_describe(array)} does not fit the task's dtype {wanted}")
    with np.errstate(over="ignore"):  # of a float that is too large: said by the check of the values
        return array.astype(wanted, copy=False)


def _fits(array: np.ndarray, spec: ArraySpec) -> bool:
    """Truths for bits alone, whole numbers for those that hold them, any number for a float: as JSON's are read."""
    wanted = np.dtype(spec.dtype)
    if array.dtype.kind == "b":
        return wanted.kind == "b" or (wanted == np.uint8 and spec.high == (1.0,))
    if wanted.kind not in "iu" or array.dtype.kind not in "iu":
        return np.can_cast(array.dtype, wanted, "same_kind")
    limits = np.iinfo(wanted)
    return not array.size or bool(limits.min <= array.min() and array.max() <= limits.max)


def _batched(arrays: dict[str, np.ndarray], task_spec: TaskSpec) -> tuple[dict[str, np.ndarray], bool]:
    """Every array with a batch axis, and whether it had one."""
    is_batch = {array.ndim > len(task_spec.observation[key].shape) for key, array in arrays.items()}
    if is_batch == {False}:
        return {key: array[np.newaxis] for key, array in arrays.items()}, False
    if len(is_batch) > 1 or len({len(array) for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{key} {list(array.shape)}" for key, array in arrays.items())
        raise UserError(f"{task_spec.id}: one batch size for all is needed; got {shapes}")
    return arrays, True


def _describe(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"
