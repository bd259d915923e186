"""Q-network → versioned SavedModel: observation → greedy action and Q-values.

A version appears as `directory/N` only when it is complete: it is written beside, synced and renamed.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf

from tfdqn.errors import TaskError
from tfdqn.task_spec import TaskSpec

LEGAL_ACTIONS = "legal_actions"
EXTRA = "assets.extra"
TASK_SPEC_FILE = "task_spec.json"
CARD_FILE = "export.json"


class Network(Protocol):
    """What is exported: `QNetwork` is one."""

    def __call__(self, observation: dict[str, tf.Tensor]) -> tuple[tf.Tensor, Any]:
        """Observation (each [B, …]) → (Q float32[B, A] or [B, D, A], network state)."""

    def named_weights(self) -> dict[str, tf.Variable]: ...


class GreedyPolicy(tf.Module):
    """The network's weights and the function `serving_default`; nothing of TF-Agents or Keras."""

    def __init__(self, task_spec: TaskSpec, network: Network):
        super().__init__(name="greedy_policy")
        self.weights = network.named_weights()
        signature, names = input_signature(task_spec), input_names(task_spec)

        # The network is reached through the closure, not an attribute: as an attribute it would be saved,
        # and loading it would need its classes.
        def serve(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            q_values, _ = network({key: inputs[name] for key, name in names.items()})
            return {"action": greedy(q_values, inputs.get(LEGAL_ACTIONS)), "q_values": q_values}

        self.serve = tf.function(serve, input_signature=[signature], autograph=False)


def greedy(q_values: tf.Tensor, legal_actions: tf.Tensor | None) -> tf.Tensor:
    """The best legal action, the first of equals.

    Args:
      q_values: float32[B, A], or [B, D, A] for branching actions.
      legal_actions: bool of the same shape, or none where all are legal.

    Returns:
      int32[B] or [B, D], counted from 0.
    """
    if legal_actions is not None:
        q_values = tf.where(legal_actions, q_values, q_values.dtype.min)
    return tf.argmax(q_values, axis=-1, output_type=tf.int32)


def input_signature(task_spec: TaskSpec) -> dict[str, tf.TensorSpec]:
    """The served inputs by name: the observation as the environment gives it, batched, then the masks."""
    names = input_names(task_spec)
    signature = {
        names[key]: tf.TensorSpec([None, *spec.shape], spec.dtype, name=names[key])
        for key, spec in task_spec.observation.items()
    }
    if task_spec.action_masks:
        # A dimension of branching actions is as wide as the widest, as its Q-values are.
        branches = task_spec.num_actions[:-1] and (len(task_spec.num_actions),)
        shape = [None, *branches, max(task_spec.num_actions)]
        signature[LEGAL_ACTIONS] = tf.TensorSpec(shape, tf.bool, name=LEGAL_ACTIONS)
    return signature


def input_names(task_spec: TaskSpec) -> dict[str, str]:
    """Key of the observation → name of the served input: the key, where TensorFlow takes it for a name.

    Other characters become "_". Raises TaskError where two names are then the same.
    """
    names = {
        key: re.sub(r"^(?![A-Za-z])", "input_", re.sub(r"\W", "_", key, flags=re.ASCII))
        for key in task_spec.observation
    }
    taken = [*names.values(), *([LEGAL_ACTIONS] if task_spec.action_masks else [])]
    if twice := {name for name in taken if taken.count(name) > 1}:
        raise TaskError(f"{task_spec.id}: two served inputs would be named {', '.join(sorted(twice))}")
    return names


def export_policy(task_spec: TaskSpec, network: Network, directory: Path, card: Mapping[str, Any]) -> Path:
    """Writes the next version, `directory/N`, and returns its path.

    `card` says where the policy comes from (checkpoint, steps, evaluation) and is kept as JSON beside the
    task's specification, under `assets.extra`. The network's weights must not change meanwhile.
    """
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f".export-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        policy = GreedyPolicy(task_spec, network)
        tf.saved_model.save(policy, str(unfinished), signatures={"serving_default": policy.serve})
        extra = unfinished / EXTRA
        extra.mkdir()
        (extra / TASK_SPEC_FILE).write_bytes(task_spec.to_json())
        (extra / CARD_FILE).write_text(json.dumps({"task": task_spec.id, **card}, indent=2) + "\n")
        _sync_tree(unfinished)
        return _publish(unfinished, directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def versions(directory: Path) -> list[int]:
    """The versions under an exports directory, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal())


def _publish(unfinished: Path, directory: Path) -> Path:
    """Renames to the next free number; another process may take one first."""
    while True:
        final = directory / str(max(versions(directory), default=0) + 1)
        try:
            unfinished.rename(final)
        except OSError:
            if not final.exists():
                raise
            continue
        _sync(directory)
        return final


def _sync_tree(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
