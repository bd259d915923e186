"""`load_policy`: an exported policy as a Python callable; needs TensorFlow, not TF-Agents.

policy = load_policy("runs/cartpole")
action = policy(observation)  # as the environment's `step` takes it
action, state = policy.step(observation, state)  # of a policy with a memory; state: None where an episode begins
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf

from tfdqn.config.nearby_runs import is_run, run_above, why_no_folder
from tfdqn.errors import UserError, as_path, first_line
from tfdqn.exporting.policy_inputs import NEXT_POLICY_STATE, PolicyInputs, in_dtype, state_size_of
from tfdqn.exporting.saved_model import input_signature
from tfdqn.exporting.versions import (
    CARD_FILE,
    DEFAULT_SIGNATURE,
    EXTRA,
    TASK_SPEC_FILE,
    has_model,
    how_to_export,
    versions,
)
from tfdqn.networks.eager_tensor_leak import mend_eager_tensors
from tfdqn.storage.arrays import check_arrays
from tfdqn.system.utf8 import path_for_libraries
from tfdqn.task_spec import LEGAL_ACTIONS, MASK, POLICY_STATE, ArraySpec, MaskForms, OwnActions, TaskSpec, flat_name


class LoadedPolicy:
    """A greedy policy from an exported SavedModel.

    It takes observations as the environment gives them (an array, a number, a dict or a tuple), one or a batch.

    Attributes:
      path: the folder of its version.
      task_spec: the task that the policy was trained on.
      card: where it comes from: its checkpoint, steps and evaluation.
      state_size: the size S of the policy state; 0: the policy has no memory.

    Raises UserError if tfdqn didn't export what lies there, or TensorFlow can't load it.
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
            # The module is kept because its signature holds the variables by weak references only.
            self._module = tf.saved_model.load(str(path))
            self._serve = self._module.signatures[DEFAULT_SIGNATURE]
        except Exception as error:  # TensorFlow has many names for files that do not belong together
            raise UserError(f"{path}: can't be loaded: {first_line(error)}") from error
        served = self._serve.structured_input_signature[1]
        self.state_size = state_size_of(served, self.task_spec)
        check_arrays(served, input_signature(self.task_spec, self.state_size), f"{path}: {DEFAULT_SIGNATURE}")
        self._inputs = PolicyInputs(self.task_spec, self.state_size)
        self._own_actions = OwnActions(self.task_spec.actions)
        self._mask_forms = MaskForms(self.task_spec.actions)

    def __call__(self, observation: Any, legal_actions: Any = None) -> int | np.ndarray:
        """The legal action with the highest Q-value, as the environment's `step` takes it.

        Args:
          observation: one observation of the environment, or a batch of B.
          legal_actions: one mask, or a batch of B, as the environment gives them (`task_spec.MaskForms`); required
            for a task with action masks, unless the observation has them as "action_mask"; refused for any other.

        Returns:
          an int for a Discrete action space, else an array [*shape] of the space's dtype; for a batch, an array
          [B, *shape].

        Raises UserError if a name, shape, dtype or value is not one that the task can give (an unknown category, a
        whole number out of bounds, NaN, infinity), if a mask has no legal action, or if the policy has a memory.
        """
        if self.state_size:
            raise UserError(
                "this policy has a memory: call step(observation, state), which gives the next state too; state is "
                "None where an episode begins"
            )
        return self.step(observation, None, legal_actions)[0]

    def step(
        self, observation: Any, state: np.ndarray | None, legal_actions: Any = None
    ) -> tuple[int | np.ndarray, np.ndarray | None]:
        """(the action of a call, the policy state to pass in at the episode's next step).

        `state` is float32[S], or [B, S] for a batch, as the step before returned it, with zeros where an episode
        begins; None: zeros everywhere. It is always None for a policy without a memory, which returns None as well. All
        else is as in a call. Raises UserError as a call does, and for a state of another shape.
        """
        observation, observed_mask = self._parted(observation)
        legal_actions = observed_mask if legal_actions is None else legal_actions
        if self.task_spec.action_masks and legal_actions is None:
            self._arrays(observation)  # what is wrong with the observation itself is said first
            part = f', or "{MASK}" in the observation' if isinstance(observation, Mapping) else ""
            raise UserError(f"{self.task_spec.id} has action masks: legal_actions is required{part}")
        outputs = self._run(observation, legal_actions, state)
        own = self._own_actions(outputs["action"])
        is_int = self.task_spec.actions.is_one_number and own.ndim == 0
        return int(own) if is_int else own, outputs.get(NEXT_POLICY_STATE)

    def q_values(self, observation: Any, state: np.ndarray | None = None) -> np.ndarray:
        """Q(s, ·), illegal actions included: float32[A] for one observation, [B, A] for a batch.

        With branches they are [D, A] and [B, D, A], where A is the largest number of actions of any dimension; a
        dimension that has fewer is filled up with the value of its first action.

        An ensemble's are the mean or the minimum of its members'. If the members vote, they are votes: for each action
        the number of members of whose Q-values, over all actions, it has the highest, and half a vote more for the
        winner. `state` is as in `step`.
        """
        return self._run(self._parted(observation)[0], None, state)["q_values"]

    def _parted(self, observation: Any) -> tuple[Any, Any]:
        """(the observation that the network reads; the masks that the environment has put into it, None without)."""
        self._refuse_info(observation)
        is_with_mask = self.task_spec.action_masks and isinstance(observation, Mapping) and MASK in observation
        if not is_with_mask or MASK in self.task_spec.observation:
            return observation, None
        return {key: part for key, part in observation.items() if key != MASK}, observation[MASK]

    def _refuse_info(self, observation: Any) -> None:
        """Raises UserError for an observation with what else `reset` or `step` returns, the last of which is a dict."""
        expected = self.task_spec.observation
        has_info = (
            isinstance(observation, tuple) and len(observation) in (2, 5) and isinstance(observation[-1], Mapping)
        )
        if has_info and ("observation" in expected or _named(observation, "", expected).keys() != expected.keys()):
            raise UserError(
                f"{self.task_spec.id}: an observation of {_in_words(expected)} is needed; got a tuple that ends with a "
                "dict: of what env.reset() and env.step() return, only the first is the observation"
            )

    def _run(self, observation: Any, legal_actions: Any, state: np.ndarray | None) -> dict[str, np.ndarray]:
        """The SavedModel's outputs by name, with a batch axis if the observation has one; every input is checked."""
        inputs, is_batch = _batched(self._arrays(observation), self.task_spec)
        rows = len(next(iter(inputs.values())))
        if self.task_spec.action_masks:
            inputs[LEGAL_ACTIONS] = self._legal(legal_actions, rows, is_batch)
        elif legal_actions is not None:
            raise UserError(f"{self.task_spec.id} has no action masks: legal_actions is not taken")
        if self.state_size:
            inputs[POLICY_STATE] = self._state(state, rows, is_batch)
        elif state is not None:
            raise UserError("this policy has no memory: state is not taken")
        self._inputs.check(inputs if is_batch else {key: array[0] for key, array in inputs.items()})
        outputs = self._serve(**{key: tf.constant(array) for key, array in inputs.items()})
        return {key: value.numpy() if is_batch else value.numpy()[0] for key, value in outputs.items()}

    def _arrays(self, observation: Any) -> dict[str, np.ndarray]:
        """The parts of an observation by name, in the task's dtypes, with or without a batch axis."""
        expected = self.task_spec.observation
        given = _named(observation, "", expected)
        if given.keys() != expected.keys():
            raise UserError(
                f"{self.task_spec.id}: an observation of {_in_words(expected)} is needed; got {_in_words(given)}"
            )
        return {key: _checked(key, given[key], spec) for key, spec in expected.items()}

    def _legal(self, legal_actions: Any, rows: int, is_batch: bool) -> np.ndarray:
        """The masks as the SavedModel takes them, bool[B, A] or [B, D, A]; None given: every action is legal."""
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
        """The policy state as the SavedModel takes it, float32[B, S]."""
        if state is None:
            return np.zeros((rows, self.state_size), np.float32)
        shape = (rows, self.state_size) if is_batch else (self.state_size,)
        try:
            numbers = in_dtype("state", state, np.dtype(np.float32))
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"state: float32{list(shape)} is needed; got no array of numbers") from None
        if numbers.shape != shape:
            raise UserError(f"state: float32{list(shape)} is needed; got {_describe(np.asarray(state))}")
        return numbers.reshape(rows, self.state_size)


def load_policy(path: str | Path, *, mends_tensorflow: bool = True) -> LoadedPolicy:
    """Loads the newest exported policy of a run directory or its `exports/`, or the one in the folder of a version.

    Under CPython 3.11, TensorFlow 2.15 leaks 48 bytes with every eager tensor, three or more for each call of a policy.
    Therefore this also replaces the constructor (the slot `tp_new`) of `EagerTensor` in the whole process: tensors that
    are made afterwards work the same, and don't leak. With `mends_tensorflow=False` it is left alone.

    Raises UserError if there is no policy, or it can't be loaded.
    """
    path = as_path(path, "a policy")
    if mends_tensorflow:
        mend_eager_tensors()
    if has_model(path):
        return LoadedPolicy(path)
    for directory in (path, path / "exports"):
        if found := versions(directory):
            return LoadedPolicy(directory / str(found[-1]))
    if why := why_no_folder(path):
        raise UserError(f"{path} {why}; give a run directory, its exports/, or one version")
    if is_run(path):
        raise UserError(f"{path} has no exported policy{how_to_export(path)}")
    raise UserError(
        f"{path} has no exported policy{run_above(path)}; give a run directory, its exports/, or one version"
    )


def _in_words(names: Iterable[str]) -> str:
    """The parts of an observation; one that is no dict has "observation" as its only part."""
    listed = ", ".join(names)
    return "one array" if listed == "observation" else listed or "nothing"


def _named(observation: Any, prefix: str, expected: Mapping[str, ArraySpec]) -> dict[str, Any]:
    """Flattens nested dicts and tuples to a dict with the names that `TaskSpec.observation` has."""
    if isinstance(observation, Mapping):
        parts = list(observation.items())
    elif isinstance(observation, tuple) and (prefix or "observation") not in expected:
        parts = list(enumerate(observation))
    else:
        return {prefix or "observation": observation}
    return {name: leaf for key, part in parts for name, leaf in _named(part, flat_name(prefix, key), expected).items()}


def _checked(key: str, value: Any, spec: ArraySpec) -> np.ndarray:
    """`value` in the task's dtype. Raises UserError if another shape, or a cast would lose more than precision.

    Whether the values themselves are possible is checked by `PolicyInputs`.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UserError(f"{key}: not an array: {error}") from error
    wanted = np.dtype(spec.dtype)
    if array.shape != spec.shape and array.shape[1:] != spec.shape:
        raise UserError(f"{key}: got {_describe(array)}; expected {wanted}{list(spec.shape)}, or a batch of them")
    if not _fits(array, spec):
        raise UserError(f"{key}: {_describe(array)} does not fit the task's dtype {wanted}")
    return in_dtype(key, array, wanted)


def _fits(array: np.ndarray, spec: ArraySpec) -> bool:
    """Whether an array's dtype (of whole numbers: its values) fits the task's dtype, by the rules for JSON requests.

    Booleans fit only bits, whole numbers every dtype that can hold their values, and floats only floats.
    """
    wanted = np.dtype(spec.dtype)
    if array.dtype.kind == "b":
        return wanted.kind == "b" or (wanted == np.uint8 and spec.high == (1.0,))
    if wanted.kind not in "iu" or array.dtype.kind not in "iu":
        return np.can_cast(array.dtype, wanted, "same_kind")
    limits = np.iinfo(wanted)
    return not array.size or bool(limits.min <= array.min() and array.max() <= limits.max)


def _batched(arrays: dict[str, np.ndarray], task_spec: TaskSpec) -> tuple[dict[str, np.ndarray], bool]:
    """(the arrays, each with a batch axis; whether they came with one). Raises UserError if batch sizes differ."""
    is_batch = {array.ndim > len(task_spec.observation[key].shape) for key, array in arrays.items()}
    if is_batch == {False}:
        return {key: array[np.newaxis] for key, array in arrays.items()}, False
    if len(is_batch) > 1 or len({len(array) for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{key} {list(array.shape)}" for key, array in arrays.items())
        raise UserError(f"{task_spec.id}: all parts of an observation need the same batch size; got {shapes}")
    return arrays, True


def _describe(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"
