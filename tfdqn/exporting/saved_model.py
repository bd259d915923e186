"""`export_policy`: writes a Q-network as a SavedModel (observation → greedy action, Q-values) in a numbered version.

`action` counts from 0. If the environment's actions are anything else, `environment_action` is what its `step` takes.
`signature_in` reads what an exported policy takes and returns off its SavedModel.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from msgspec import Struct
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tfdqn.errors import RunDirError, first_line
from tfdqn.exporting.policy_inputs import ENVIRONMENT_ACTION, NEXT_POLICY_STATE
from tfdqn.exporting.versions import (
    CARD_FILE,
    DEFAULT_SIGNATURE,
    EXTRA,
    MODEL_FILE,
    TASK_SPEC_FILE,
    publish,
    unfinished_version,
)
from tfdqn.networks.best_actions import greedy
from tfdqn.storage.atomic_files import is_full_disk
from tfdqn.system.output import without_library_logs
from tfdqn.task_spec import LEGAL_ACTIONS, POLICY_STATE, ActionSpec, OwnActions, TaskSpec

if TYPE_CHECKING:  # its import would import TF-Agents
    from tfdqn.networks.q_network import QNetwork

# The errors of file operations, of which TensorFlow raises classes of its own.
_FILE_ERRORS = (
    OSError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


# (Q-values of the members float32[K, B, A], legal actions bool[B, A] or None) → one float32[B, A].
Aggregate = Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]


class GreedyPolicy(tf.Module):
    """A network's weights and its serving function, as a module whose SavedModel needs neither TF-Agents nor Keras.

    Inputs are those of `input_signature`. Outputs are `action` int32[B], or [B, D] of branches, `q_values`
    float32[B, A] or [B, D, A], `environment_action` if the environment's actions don't count from 0, and
    `next_policy_state` float32[B, S] if the network has a memory: a server keeps no state between requests.

    `aggregate` makes one Q-function of an ensemble's: the mean, the minimum, or the votes of its members (for each
    action, how many members prefer it among the legal ones, and half a vote more for the winner).
    """

    def __init__(self, task_spec: TaskSpec, network: "QNetwork", aggregate: Aggregate | None):
        super().__init__(name="greedy_policy")
        self.weights = network.named_weights()
        memory = network.state_spec
        signature = input_signature(task_spec, memory.shape[0] if memory else 0)

        # The network is no attribute: it would be saved with its classes, which loading would then need.
        def serve(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            state = inputs[POLICY_STATE] if memory else ()
            q_values, state = network({key: inputs[key] for key in task_spec.observation}, network_state=state)
            legal_actions = inputs[LEGAL_ACTIONS] if task_spec.action_masks else None
            if aggregate is not None:
                q_values = aggregate(q_values, legal_actions)
            action = greedy(q_values, legal_actions)
            outputs = {"action": action, "q_values": q_values}
            if not task_spec.actions.counts_from_zero:
                outputs[ENVIRONMENT_ACTION] = environment_action(task_spec.actions, action)
            return outputs | ({NEXT_POLICY_STATE: state} if memory else {})

        self.serve = tf.function(serve, input_signature=[signature], autograph=False)


def environment_action(spec: ActionSpec, action: tf.Tensor) -> tf.Tensor:
    """The environment's own actions [B, *shape], in its dtype, of actions int32[B], or [B, D] of branches.

    It does in TensorFlow's graph what `task_spec.OwnActions` does in NumPy.
    """
    if spec.is_one_number:
        return tf.cast(action, spec.dtype) + spec.low[0]
    own, indices = OwnActions(spec), action
    if len(spec.num_actions) == 1:
        indices = action[:, tf.newaxis] // np.array(spec.strides, np.int32) % np.array(spec.counts, np.int32)
    return tf.reshape(tf.gather(own.table, own.first.astype(np.int32) + indices), [-1, *spec.shape])


def input_signature(task_spec: TaskSpec, state_size: int = 0) -> dict[str, tf.TensorSpec]:
    """The serving function's inputs by name, each with a batch axis.

    They are the observation's parts as the environment gives them, `legal_actions` bool[B, A] or [B, D, A] if the task
    has action masks, and `policy_state` float32[B, S] if `state_size` is above 0.
    """
    signature = {
        key: tf.TensorSpec([None, *spec.shape], spec.dtype, name=key) for key, spec in task_spec.observation.items()
    }
    if task_spec.action_masks:
        signature[LEGAL_ACTIONS] = tf.TensorSpec([None, *task_spec.mask_shape], tf.bool, name=LEGAL_ACTIONS)
    if state_size:
        signature[POLICY_STATE] = tf.TensorSpec([None, state_size], tf.float32, name=POLICY_STATE)
    return signature


def export_policy(
    task_spec: TaskSpec,
    network: "QNetwork",
    directory: Path,
    card: Mapping[str, Any],
    aggregate: Aggregate | None = None,
    add: Callable[[Path], None] | None = None,
) -> Path:
    """Writes the next version, `directory/N`, and returns its path.

    Args:
      task_spec: the task; it is kept as JSON in the version's `assets.extra`.
      network: the policy's; its weights must not change meanwhile.
      directory: the folder of versions; it is made if there is none.
      card: where the policy comes from (checkpoint, steps, evaluation), kept as JSON in `assets.extra`.
      aggregate: as `GreedyPolicy` takes it.
      add: writes further files to the version before it appears.

    Raises RunDirError if the directory can't be written or the disk is full; no part of the version is left then.
    """
    with _file_errors_as_run_dir_error(directory), unfinished_version(directory) as unfinished:
        policy = GreedyPolicy(task_spec, network, aggregate)
        with without_library_logs("absl", "tensorflow"):  # they would name the unfinished version
            tf.saved_model.save(policy, str(unfinished), signatures={DEFAULT_SIGNATURE: policy.serve})
        extra = unfinished / EXTRA
        extra.mkdir()
        (extra / TASK_SPEC_FILE).write_bytes(task_spec.to_json())
        (extra / CARD_FILE).write_text(json.dumps({"task": task_spec.id, **card}, indent=2) + "\n", encoding="utf-8")
        if add is not None:
            add(unfinished)
        return publish(unfinished)


@contextlib.contextmanager
def _file_errors_as_run_dir_error(directory: Path) -> Iterator[None]:
    """Turns the file errors of Python and TensorFlow into a RunDirError of one line."""
    try:
        yield
    except _FILE_ERRORS as error:
        # TensorFlow's messages begin with the path of the file, which has a temporary name.
        why = getattr(error, "strerror", None) or first_line(error).rpartition("; ")[2]
        if is_full_disk(error):
            why = "the disk is full: make room"
        raise RunDirError(f"{directory}: no version can be written: {why}") from error


class Tensor(Struct, frozen=True):
    """The type and shape of an input or an output."""

    dtype: str  # a NumPy name
    shape: tuple[int, ...]  # -1: of any length, as the first axis, the batch

    @property
    def in_words(self) -> str:
        """Such as "float32[B, 4]"."""
        return f"{self.dtype}[{', '.join('B' if each < 0 else str(each) for each in self.shape)}]"


class PolicySignature(Struct, frozen=True):
    """The inputs and outputs of a policy by name, which its files of every format have."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def signature_in(version: Path) -> PolicySignature:
    """The signature by which the SavedModel in a version's folder is served."""
    served = signature_defs(version)[DEFAULT_SIGNATURE]
    return PolicySignature(_tensors(served.inputs), _tensors(served.outputs))


def signature_defs(version: Path) -> Mapping[str, Any]:
    """The signatures of the SavedModel in a version's folder, by name, as its own protocol buffers (`SignatureDef`)."""
    saved = SavedModel.FromString((version / MODEL_FILE).read_bytes())
    (served,) = [graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags]
    return dict(served.signature_def)


def _tensors(infos: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: Tensor(tf.as_dtype(each.dtype).name, tuple(axis.size for axis in each.tensor_shape.dim))
        for name, each in sorted(infos.items())
    }
