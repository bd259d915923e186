"""Q-network → SavedModel, the next version of a folder: observation → greedy action and Q-values.

`action` counts from 0. Where the environment's own is anything else, `environment_action` is what its `step` takes.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfdqn.errors import RunDirError, TaskError, first_line
from tfdqn.exporting.policy_inputs import ENVIRONMENT_ACTION, LEGAL_ACTIONS, NEXT_POLICY_STATE, POLICY_STATE
from tfdqn.exporting.versions import CARD_FILE, DEFAULT_SIGNATURE, EXTRA, TASK_SPEC_FILE, publish, unfinished_version
from tfdqn.networks.legal_actions import greedy
from tfdqn.storage.disk_full import is_full_disk
from tfdqn.task_spec import ActionSpec, OwnActions, TaskSpec

if TYPE_CHECKING:  # whose import is TF-Agents', too
    from tfdqn.networks.q_network import QNetwork

# What TensorFlow makes of a file system's errors, each a class of its own.
_FILE_ERRORS = (
    OSError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


# Q-values, legal actions bool[B, A] or none → Q-values [B, A] of which the best legal one's action is taken.
Aggregate = Callable[[tf.Tensor, tf.Tensor | None], tf.Tensor]


class GreedyPolicy(tf.Module):
    """The network's weights and the function `serving_default`; nothing of TF-Agents or Keras.

    An ensemble's served `q_values` are what `aggregate` makes of its members': the mean or the minimum of their Q, or,
    for the majority, votes: how many members' best legal action it is, and half a vote more for the winner. Of a
    network with a memory, the state is an input and an output: a server keeps nothing between two requests.
    """

    def __init__(self, task_spec: TaskSpec, network: "QNetwork", aggregate: Aggregate | None = None):
        super().__init__(name="greedy_policy")
        self.weights = network.named_weights()
        memory = network.state_spec
        signature = input_signature(task_spec, memory.shape[0] if memory else 0)

        # The network is reached through the closure, not an attribute: as an attribute it would be saved,
        # and loading it would need its classes.
        def serve(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            state = inputs[POLICY_STATE] if memory else ()
            q_values, state = network({key: inputs[key] for key in task_spec.observation}, network_state=state)
            legal_actions = inputs.get(LEGAL_ACTIONS)
            if aggregate is not None:
                q_values = aggregate(q_values, legal_actions)
            action = greedy(q_values, legal_actions)
            outputs = {"action": action, "q_values": q_values}
            if not task_spec.actions.counts_from_zero:
                outputs[ENVIRONMENT_ACTION] = environment_action(task_spec.actions, action)
            return outputs | ({NEXT_POLICY_STATE: state} if memory else {})

        self.serve = tf.function(serve, input_signature=[signature], autograph=False)


def environment_action(spec: ActionSpec, action: tf.Tensor) -> tf.Tensor:
    """`task_spec.OwnActions` in the graph: int32[B], or [B, D] of branches → the environment's own, [B, *shape]."""
    if spec.is_one_number:
        return tf.cast(action, spec.dtype) + spec.low[0]
    own, indices = OwnActions(spec), action
    if len(spec.num_actions) == 1:
        indices = action[:, tf.newaxis] // np.array(spec.strides, np.int32) % np.array(spec.counts, np.int32)
    return tf.reshape(tf.gather(own.table, own.first.astype(np.int32) + indices), [-1, *spec.shape])


def input_signature(task_spec: TaskSpec, state_size: int = 0) -> dict[str, tf.TensorSpec]:
    """The served inputs by name: the observation as the environment gives it, batched, then the masks and the state.

    Raises TaskError if a part of the observation has the name of one of these.
    """
    signature = {
        key: tf.TensorSpec([None, *spec.shape], spec.dtype, name=key) for key, spec in task_spec.observation.items()
    }
    others = {}
    if task_spec.action_masks:
        others[LEGAL_ACTIONS] = tf.TensorSpec([None, *task_spec.mask_shape], tf.bool, name=LEGAL_ACTIONS)
    if state_size:
        others[POLICY_STATE] = tf.TensorSpec([None, state_size], tf.float32, name=POLICY_STATE)
    for name in others:
        if name in signature:
            raise TaskError(f"{task_spec.id}: two served inputs would be named {name}")
    return signature | others


def export_policy(
    task_spec: TaskSpec,
    network: "QNetwork",
    directory: Path,
    card: Mapping[str, Any],
    aggregate: Aggregate | None = None,
    add: Callable[[Path], None] | None = None,
) -> Path:
    """Writes the next version, `directory/N`, and returns its path.

    `card` says where the policy comes from (checkpoint, steps, evaluation) and is kept as JSON beside the
    task's specification, under `assets.extra`. `aggregate` is an ensemble's. `add` writes further files to the
    version before it appears. The network's weights must not change meanwhile.

    Raises RunDirError if the directory can't be written, or the disk is full; then no part of it is left.
    """
    with _file_errors_are_one_line(directory), unfinished_version(directory) as unfinished:
        policy = GreedyPolicy(task_spec, network, aggregate)
        tf.saved_model.save(policy, str(unfinished), signatures={DEFAULT_SIGNATURE: policy.serve})
        extra = unfinished / EXTRA
        extra.mkdir()
        (extra / TASK_SPEC_FILE).write_bytes(task_spec.to_json())
        (extra / CARD_FILE).write_text(json.dumps({"task": task_spec.id, **card}, indent=2) + "\n", encoding="utf-8")
        if add is not None:
            add(unfinished)
        return publish(unfinished)


@contextlib.contextmanager
def _file_errors_are_one_line(directory: Path) -> Iterator[None]:
    """Raises RunDirError for what Python and TensorFlow meet where a version can't be written."""
    try:
        yield
    except _FILE_ERRORS as error:
        why = getattr(error, "strerror", None) or first_line(error)
        if is_full_disk(error):
            why = "the disk is full"
        raise RunDirError(f"{directory}: no version can be written: {why}") from error
