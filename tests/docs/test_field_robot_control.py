"""The comparison of docs/fields/robot_control.md: what is scaled, and falls of a policy whose returns are known."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from examples.fields.robot_control import compare, make, play, scale
from tfdqn.config import Task

pytestmark = pytest.mark.tasks

PENDULUM = Task(id="InvertedPendulum-v5")


def model(env: gymnasium.Env[Any, Any]) -> Any:
    return env.unwrapped.model


def nothing(observations: np.ndarray) -> np.ndarray:
    return np.zeros((len(observations), 1), np.float32)


@pytest.mark.parametrize(
    "quantity, changed",
    [("mass", {"body_mass", "body_inertia"}), ("friction", {"geom_friction", "dof_damping"}), ("gravity", {"gravity"})],
)
def test_a_quantity_is_scaled_and_no_other(quantity: str, changed: set[str]) -> None:
    def parts(env: gymnasium.Env[Any, Any]) -> dict[str, np.ndarray]:
        names = ("body_mass", "body_inertia", "geom_friction", "dof_damping")
        return {name: getattr(model(env), name).copy() for name in names} | {"gravity": model(env).opt.gravity.copy()}

    env = make(Task(id="Hopper-v5"))
    before = parts(env)
    scale(env, quantity, 2.0)
    env.reset(seed=0)
    for name, values in parts(env).items():
        np.testing.assert_allclose(values, before[name] * (2.0 if name in changed else 1.0))


def test_what_derives_from_masses_is_scaled_with_them() -> None:
    """The mass of a body with all that hangs on it."""
    env = make(Task(id="Hopper-v5"))
    before = model(env).body_subtreemass.copy()
    scale(env, "mass", 1.5)
    np.testing.assert_allclose(model(env).body_subtreemass, 1.5 * before)


def test_a_body_falls_by_half_g_t_squared_and_half_as_far_on_half_gravity() -> None:
    """A hopper lifted high, after frame_skip · timestep = 0.008 s, where nothing is touched."""
    for factor in (1.0, 0.5):
        env = make(Task(id="Hopper-v5"))
        scale(env, "gravity", factor)
        env.reset(seed=0)
        own: Any = env.unwrapped
        position, still = own.data.qpos.copy() * 0, np.zeros(own.model.nv)
        position[1] = 5.0
        own.set_state(position, still)
        env.step(np.zeros(3, np.float32))
        assert own.data.qpos[1] - 5.0 == pytest.approx(-factor * 9.81 * 0.008**2 / 2, rel=1e-3)


def test_episodes_of_a_seed_begin_alike_and_their_returns_are_summed_to_their_ends() -> None:
    """Unpushed, the pole falls in some tens of steps, each of which but the last is worth 1."""
    lengths = []
    for index in range(3):
        env = make(PENDULUM)
        env.reset(seed=7 + index)
        steps, is_over = 0, False
        while not is_over:
            *_, is_over, _, _ = env.step(np.zeros(1, np.float32))
            steps += 1
        lengths.append(steps)
    returns = play(nothing, [make(PENDULUM) for _ in range(3)], seed=7)
    np.testing.assert_array_equal(returns, np.array(lengths) - 1.0)
    assert len(set(lengths)) > 1


def test_a_fall_is_of_the_same_initial_states() -> None:
    """With a factor of 1 no return falls; on half gravity the pole takes longer to fall, and the return rises."""
    found = compare(nothing, PENDULUM, [1.0, 0.5], episodes=10, seed=3)
    for quantity in ("mass", "friction", "gravity"):
        assert found[quantity]["1"]["fall"] == 0.0
        assert found[quantity]["1"]["fall, 95 % interval"] == [0.0, 0.0]
    slower = found["gravity"]["0.5"]
    assert slower["fall"] < 0 and slower["fall, 95 % interval"][1] < 0
    assert slower["return"] == pytest.approx(found["unchanged"]["return"] - slower["fall"], abs=0.02)


def test_the_episode_limit_is_that_of_the_configuration() -> None:
    env = make(Task(id="Hopper-v5", max_episode_steps=3))
    env.reset(seed=0)
    assert [env.step(np.zeros(3, np.float32))[3] for _ in range(3)] == [False, False, True]


def test_a_goal_environments_observations_are_a_dict_with_a_batch_axis() -> None:
    """Its episodes have 50 steps, each of which costs 1 while the gripper is not there."""
    seen: list[dict[str, tuple[int, ...]]] = []

    def policy(observations: dict[str, np.ndarray]) -> np.ndarray:
        seen.append({name: values.shape for name, values in observations.items()})
        return np.zeros((2, 4), np.float32)

    envs = [make(Task(id="FetchReach-v4")) for _ in range(2)]
    for env in envs:
        scale(env, "mass", 2.0)
    returns = play(policy, envs, seed=0)
    assert seen == [{"observation": (2, 10), "achieved_goal": (2, 3), "desired_goal": (2, 3)}] * 50
    assert ((returns >= -50) & (returns <= 0)).all()
