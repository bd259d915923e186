"""Masks in every place and form: found, taken out, read as booleans, or refused in one line that says what is wrong."""

import logging

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tests.support.toy_environments import Masked
from tfdqn.config import Task
from tfdqn.errors import TaskError
from tfdqn.task_spec import discrete
from tfdqn.tasks.adapters.legal_actions import MaskSource, find_masks, legal_of, mask_source, without_masks
from tfdqn.tasks.array_contract import Breach

INF = np.inf


def found(env, **settings) -> MaskSource:
    task = Task(id="Masked-v0", action_masks=True, **settings)
    source = mask_source(task, find_masks(task, env), env.observation_space, discrete(3))
    assert source is not None
    return source


@pytest.mark.parametrize(
    ("numbers", "form", "expected"),
    [
        ([True, False], "auto", [True, False]),
        ([0, 1], "auto", [False, True]),
        ([0.0, 0.5], "auto", [False, True]),
        ([0, 255], "boolean", [False, True]),
        ([0.0, -INF], "auto", [True, False]),
        ([-INF, -1e9], "auto", [False, False]),
        ([0.0, -100.0], "auto", [True, False]),
        ([0, -(10**6)], "auto", [True, False]),
        ([0.0, 0.0], "auto", [False, False]),
        ([0.0, 0.0], "logits", [True, True]),
    ],
)
def test_numbers_are_read_by_their_form(numbers, form, expected):
    legal = legal_of(np.array(numbers), MaskSource("info", discrete(2), form))
    assert legal.dtype == np.bool_ and legal.tolist() == expected


@pytest.mark.parametrize(
    ("numbers", "form", "says"),
    [
        ([1.0, -INF], "auto", "holds 1: of logits, 0 is legal, and -100 or less is illegal"),
        ([0.0, -99.0], "auto", "holds -99: of logits"),
        ([0.0, 1.0], "logits", "holds 1: of logits"),
        ([0.0, -INF], "boolean", "is array.*, with a number below 0, not a boolean for each action"),
    ],
)
def test_numbers_that_are_of_no_form_are_refused(numbers, form, says):
    with pytest.raises(Breach, match=says):
        legal_of(np.array(numbers), MaskSource("info", discrete(2), form))


@pytest.mark.parametrize(
    ("places", "place", "form"),
    [
        ("info", "info", "auto"),
        ("observation", "observation", "boolean"),
        ("method", "method:action_masks", "auto"),
        ("info observation method", "info", "auto"),
        ("observation method", "observation", "boolean"),
    ],
)
def test_masks_are_found_by_themselves_and_the_log_says_which_were_chosen(places, place, form, caplog, monkeypatch):
    monkeypatch.setattr("tfdqn.tasks.warnings._given", set())
    with caplog.at_level(logging.WARNING):
        assert found(Masked(places=places)) == MaskSource(place, discrete(3), form)
        found(Masked(places=places))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (" " in places)  # once
    assert all(f'found masks by "{place}"; ' in line for line in said)
    assert all("method:action_masks could be named as well" in line for line in said)


def test_the_bounds_of_an_observations_masks_say_that_they_are_logits():
    assert found(Masked(places="observation", form="logits")).form == "logits"
    unbounded = spaces.Dict({"x": spaces.Discrete(2), "action_mask": spaces.Box(-INF, INF, (3,))})
    env = Masked()
    env.observation_space = unbounded
    assert found(env, action_mask_source="observation").form == "auto"
    assert found(env, action_mask_source="observation", action_mask_form="boolean").form == "boolean"


def test_a_mask_is_no_part_of_the_observation_that_is_learned_from():
    space = Masked(places="observation").observation_space
    assert list(without_masks(space, "observation").spaces) == ["position"]
    assert without_masks(space, "info") is space


class Foreign(Masked):
    """Its method is not one that is called without arguments, as Taxi's."""

    def action_mask(self, state):
        raise NotImplementedError

    def legal(self):
        return [True, True, False]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            "method:nothing",
            r'task.action_mask_source = "method:nothing": Masked-v0 has no method nothing\(\) that takes',
        ),
        ("method:action_mask", r"has no method action_mask\(\) that takes no arguments"),
        (
            "observation",
            'task.action_mask_source = "observation": Masked-v0 observes no Dict with the key "action_mask"',
        ),
    ],
)
def test_masks_that_are_not_where_the_key_says_are_refused(source, says):
    with pytest.raises(TaskError, match=says):
        found(Foreign(places=""), action_mask_source=source)


def test_a_method_of_any_name_can_be_named_also_behind_wrappers():
    wrapped = gymnasium.wrappers.TransformReward(Foreign(places=""), float)
    assert found(wrapped, action_mask_source="method:legal") == MaskSource("method:legal", discrete(3), "auto")


def test_an_observations_mask_of_another_length_is_refused():
    env = Masked(places="observation")
    env.observation_space["action_mask"] = spaces.Box(0, 1, (4,))
    with pytest.raises(TaskError, match=r'observation "action_mask" has shape \(4,\), not \(3,\), one for each action'):
        found(env)


def test_without_the_key_no_mask_is_looked_for():
    task = Task(id="Masked-v0")
    assert mask_source(task, find_masks(task, Masked()), Masked().observation_space, discrete(3)) is None
