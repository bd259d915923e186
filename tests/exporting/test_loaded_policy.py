"""A loaded policy takes observations as the environment gives them, whatever their parts are called."""

import shutil

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array
from msgspec.structs import replace

from tests.support.policies import network_of
from tfdqn.errors import UserError
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.exporting.saved_model import export_policy
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.tasks.contract import Contract
from tfdqn.tasks.observations import observation_specs

BOX = spaces.Box(-1.0, 1.0, (2,))
SPACES = {
    "one array": BOX,
    "a number": spaces.Discrete(5, start=-2),
    "dict": spaces.Dict({"left camera": spaces.Box(0, 255, (3, 3), np.uint8), "0": BOX, "_x": BOX, "é": BOX}),
    "tuple": spaces.Tuple([BOX, spaces.Discrete(3)]),
    "bits and narrow integers": spaces.Tuple(
        [
            spaces.MultiBinary(3),
            spaces.Box(0, 1, (2,), np.bool_),
            *[spaces.Box(0, 9, (2,), dtype) for dtype in (np.int8, np.int16, np.uint16, np.int64, np.float64)],
        ]
    ),
    "nested": spaces.Dict(
        {
            "joint/1": spaces.Tuple([BOX, spaces.Dict({"at rest?": spaces.MultiBinary(2), "1": BOX})]),
            "2d": spaces.Dict({"left eye": spaces.Tuple([spaces.Discrete(4), BOX])}),
        }
    ),
    "tuple of tuples": spaces.Tuple([spaces.Tuple([BOX, BOX]), spaces.Dict({"0": spaces.Discrete(2)})]),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))
def test_a_policy_reads_its_own_tasks_observations(space, tmp_path):
    spec = TaskSpec(id="Own-v0", observation=observation_specs(space), actions=discrete(3, -1))
    network = network_of(spec)
    policy = load_policy(export_policy(spec, network, tmp_path, {}))
    contract = Contract(space, spec, num_envs=1)
    space.seed(3)
    for _ in range(3):
        observation = space.sample()
        raw = concatenate(space, [observation], create_empty_array(space, 1))
        batch, _ = contract.reset((raw, {}))
        expected = network(batch)[0].numpy()[0]
        np.testing.assert_allclose(policy.q_values(observation), expected, rtol=1e-4, atol=1e-4)
        assert policy(observation) == expected.argmax() - 1
        # And what replay holds, which is flat already.
        np.testing.assert_allclose(policy.q_values(batch)[0], expected, rtol=1e-4, atol=1e-4)


def test_a_part_that_the_task_has_not_is_named(tmp_path):
    spec = TaskSpec(id="Own-v0", observation=observation_specs(SPACES["tuple"]), actions=discrete(2))
    policy = load_policy(export_policy(spec, network_of(spec), tmp_path, {}))
    with pytest.raises(UserError, match="an observation of observation_0, observation_1 is needed; got speed"):
        policy({"speed": [0.0, 0.0]})
    with pytest.raises(UserError, match="an observation of observation_0, observation_1 is needed; got one array"):
        policy(np.zeros(2))


@pytest.mark.parametrize("observation", [{"observation": BOX}, SPACES["tuple"], {"x": BOX}])
@pytest.mark.parametrize("masks", [False, True])
def test_what_reset_and_step_return_is_not_an_observation(observation, masks, tmp_path):
    parts = observation_specs(spaces.Dict(observation) if isinstance(observation, dict) else observation)
    spec = TaskSpec(id="Own-v0", observation=parts, actions=discrete(2), action_masks=masks)
    policy = load_policy(export_policy(spec, network_of(spec), tmp_path, {}))
    first = np.zeros(2, np.float32)
    for returned in ((first, {}), (first, 1.0, False, False, {"legal": 1})):
        for call in (policy, policy.q_values):
            with pytest.raises(UserError, match=r"^Own-v0: an observation of .* only the first is the observation$"):
                call(returned)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_mask_in_the_observation_says_which_actions_are_legal(batch, tmp_path):
    spec = TaskSpec(id="Own-v0", observation={"x": ArraySpec(shape=(2,), dtype="float32")}, actions=discrete(3))
    network = network_of(spec)
    policy = load_policy(export_policy(replace(spec, action_masks=True), network, tmp_path / "masked", {}))
    x, first = np.zeros((*batch, 2), np.float32), np.broadcast_to([1, 0, 0], (*batch, 3))
    for only in range(3):
        mask = np.roll(first, only, axis=-1)
        assert np.all(policy({"x": x, "action_mask": mask}) == only)
        assert np.all(policy({"x": x, "action_mask": first}, legal_actions=mask) == only)
    np.testing.assert_array_equal(policy.q_values({"x": x, "action_mask": 0 * first}), policy.q_values({"x": x}))
    with pytest.raises(UserError, match='legal_actions is required, or "action_mask" in the observation'):
        policy({"x": x})
    for wrong in (None, [x, x]):
        with pytest.raises(UserError, match=r"^Own-v0: an observation of x is needed; got "):
            policy(wrong)
    unmasked = load_policy(export_policy(spec, network, tmp_path / "unmasked", {}))
    with pytest.raises(UserError, match="an observation of x is needed; got x, action_mask"):
        unmasked({"x": x, "action_mask": first})


def test_a_bit_is_0_or_1(tmp_path):
    spec = TaskSpec(id="Own-v0", observation=observation_specs(spaces.MultiBinary(3)), actions=discrete(2))
    policy = load_policy(export_policy(spec, network_of(spec), tmp_path, {}))
    with pytest.raises(UserError, match="an observation of one array is needed; got position"):
        policy({"position": [0, 1, 1]})
    with pytest.raises(UserError, match=r"observation\[2\]: 2; the task has 0 to 1"):
        policy([0, 1, 2])


def test_files_of_policies_that_do_not_belong_together_are_refused_in_one_line(tmp_path):
    exported = []
    for width in (2, 3):
        box = spaces.Box(-1.0, 1.0, (width,))
        spec = TaskSpec(id="Own-v0", observation=observation_specs(box), actions=discrete(3))
        exported.append(export_policy(spec, network_of(spec), tmp_path / str(width), {}))
    two, three = exported
    mixed = tmp_path / "mixed"
    shutil.copytree(two, mixed)
    shutil.copy(three / "assets.extra" / "task_spec.json", mixed / "assets.extra")
    with pytest.raises(UserError, match=r"observation is float32\[None, 2\], not float32\[None, 3\]"):
        load_policy(mixed)
    shutil.copytree(two, mixed, dirs_exist_ok=True)
    shutil.copytree(three / "variables", mixed / "variables", dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"mixed: can't be loaded: "):
        load_policy(mixed)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (123, r"^the path of a policy is needed, as text or a pathlib\.Path; the argument is of type int$"),
        ("nowhere", "^nowhere doesn't exist; give a run directory, its exports/, or one version$"),
        (".", "^. has no exported policy; give a run directory"),
    ],
)
def test_what_is_no_policy_s_path_is_refused_in_one_line(path, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        load_policy(path)
