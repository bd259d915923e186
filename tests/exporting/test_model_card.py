"""A model card names every input and output of the policy, as the SavedModel itself has them."""

import json
from pathlib import Path

import msgspec
import tensorflow as tf

from tests.support.policies import network_of, task
from tests.support.tiny_runs import tiny
from tfdqn.config import MLP
from tfdqn.exporting.model_card import write_model_card
from tfdqn.exporting.saved_model import export_policy
from tfdqn.task_spec import ActionSpec, ArraySpec

_ORIGIN = {"checkpoint": "latest", "train_steps": 3}


def test_it_names_masks_a_memory_and_every_output(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(task(masks=True), actions=ActionSpec(low=(-1, 0), high=(1, 3), counts=(3, 4)))
    version = export_policy(spec, network_of(spec, MLP(hidden_units=(6,), memory="lstm", memory_units=4)), tmp_path, {})
    write_model_card(version, spec, tiny(), _ORIGIN)
    card = json.loads((version / "model_card.json").read_text())
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    for side, specs in (("inputs", served.structured_input_signature[1]), ("outputs", served.structured_outputs)):
        assert card[side] == {
            name: {"dtype": each.dtype.name, "shape": [-1, *each.shape[1:]]} for name, each in specs.items()
        }
    assert [*card["inputs"], *card["outputs"]] == [
        *("legal_actions", "observation", "policy_state"),
        *("action", "environment_action", "next_policy_state", "q_values"),
    ]
    page = (version / "model_card.md").read_text()
    for row in (
        "input `legal_actions` | bool[B, 12], required, true for each legal action, in the order of their numbers, "
        "which count from 0",
        "input `observation` | float32[B, 4], required",
        "input `policy_state` | float32[B, 8], required, zeros where an episode begins, then `next_policy_state` "
        "of the previous step",
        "output `action` | int32[B], the number of the best action",
        "output `environment_action` | int64[B], the best action as the environment takes it",
        "output `next_policy_state` | float32[B, 8], the `policy_state` of the episode's next step",
        "output `q_values` | float32[B, 12], of all actions, also of illegal ones",
    ):
        assert f"\n| {row} |\n" in page


def test_the_values_of_an_ensemble_that_votes_are_its_votes(tmp_path: Path) -> None:
    voting = "for each action, how many members prefer it among the legal ones, and half a vote more for the winner"
    for aggregation, words in (("majority", voting), ("mean", "of all actions, also of illegal ones")):
        version = export_policy(task(), network_of(task()), tmp_path, {})
        write_model_card(version, task(), tiny("ensemble.size=2", f'ensemble.aggregation="{aggregation}"'), _ORIGIN)
        assert f"float32[B, 3], {words} |" in (version / "model_card.md").read_text()


def test_masks_of_branches_have_a_row_for_each_dimension(tmp_path: Path) -> None:
    actions = ActionSpec(low=(0, 0), high=(1, 3), counts=(2, 4), shape=(2,), form="branches")
    # A part of the observation that has the name of an input of other policies.
    spec = msgspec.structs.replace(
        task(masks=True, policy_state=ArraySpec(shape=(), dtype="int32", categories=4)), actions=actions
    )
    version = export_policy(spec, network_of(spec), tmp_path, {})
    write_model_card(version, spec, tiny(), _ORIGIN)
    page = (version / "model_card.md").read_text()
    order = "true for each legal action, in the order of their numbers, which count from 0"
    rows = "a row for each dimension, false beyond its own actions"
    assert f"| input `legal_actions` | bool[B, 2, 4], required, {order}, {rows} |" in page
    assert "| input `policy_state` | int32[B], required, 0 to 3 |" in page
    assert "| output `action` | int32[B, 2], the number of the best action of each dimension |" in page
