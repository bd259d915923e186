"""`PerMemberItems`: blocks of which each server gets the transitions that one member of an ensemble learns from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import tensorflow as tf

from tfdqn.agents.ensemble_masks import member_weights
from tfdqn.config import Config, Ensemble
from tfdqn.replay.items.blocks import BlockItems, BlockPacker
from tfdqn.task_spec import TaskSpec


class PerMemberItems(BlockItems):
    """As `BlockItems`, but that a transition goes to the servers of all members that it belongs to, or to none.

    Which these are is the same function of the transition that weighs it in the batched ensemble's loss.
    """

    fills_servers_evenly = False

    def __init__(self, config: Config, task_spec: TaskSpec):
        super().__init__(config, task_spec)
        self._member_weights = member_weights(config, task_spec)
        self.copies = _members_of_a_transition(config.ensemble)
        self._has_masks = task_spec.action_masks
        self._packers = [
            BlockPacker(self.transitions_per_item, self._codec.row_bytes, partial(self._append, member))
            for member in range(config.ensemble.size)
        ]
        signature = [tf.TensorSpec([None, self._codec.row_bytes], tf.uint8)]
        self._belongs = tf.function(self._belonging, input_signature=signature, autograph=False)

    def state(self) -> dict[str, np.ndarray]:
        """The blocks that are being filled."""
        return {
            f"{name}/{member}": array
            for member, packer in enumerate(self._packers)
            for name, array in packer.state().items()
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Puts back what `state` gave."""
        for member, packer in enumerate(self._packers):
            packer.load_state({"partial_block": arrays[f"partial_block/{member}"]})

    def _pack(self, rows: np.ndarray) -> None:
        belongs = self._belongs(rows).numpy()
        with self._lock:
            for packer, mine in zip(self._packers, belongs, strict=True):
                packer(rows[mine])

    def _belonging(self, rows: tf.Tensor) -> tf.Tensor:
        """uint8[N, row_bytes] → bool[K, N]: whether a member learns from it."""
        transition = self._codec.decode(rows)
        states = [transition.time_step.observation, transition.next_time_step.observation]
        state_tm1, state_t = (state[0] if self._has_masks else state for state in states)
        return self._member_weights(transition, state_tm1, state_t) > 0


def _members_of_a_transition(ensemble: Ensemble) -> float:
    """On average."""
    match ensemble.data:
        case "all":
            return float(ensemble.size)
        case "bootstrap":
            return ensemble.size * ensemble.mask_probability
    return 1.0
