"""Errors by the actor's own Q-values against the definition: a loop over every environment and time."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.trajectories.trajectory import Transition

from tests.support.random_episodes import BRANCHING, MIXED, VECTOR, naive_transitions, random_steps, stacked
from tfdqn.config import DQN, Config, Priorities
from tfdqn.config import Replay as ReplayConfig
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.factory import make_replay
from tfdqn.replay.n_step_writer import TDErrorWriter
from tfdqn.replay.reverb.in_process import ReverbReplay
from tfdqn.task_spec import TaskSpec
from tfdqn.types import Experience

DISCOUNT, SCALE, ENVS, LENGTH = 0.9, 0.5, 3, 60


def config(n: int, n_step_end: int | None = None, **replay: object) -> Config:
    return Config(
        agent=DQN(n_step=n, n_step_end=n_step_end, horizon_env_steps=40, discount=DISCOUNT, reward_scale=SCALE),
        priorities=Priorities(exponent=0.01, new_items="actor"),  # so little that all are soon drawn
        replay=ReplayConfig(block_size=1, capacity=1000, min_size=1, **replay),  # type: ignore[arg-type]
    )


def steps(spec: TaskSpec, seed: int) -> tuple[list[Experience], np.ndarray]:
    """Steps, and the Q-values that actions are chosen by, float32[T, E, A]; [T, E, D, A] of branches."""
    rng = np.random.default_rng(seed)
    taken = random_steps(spec, ENVS, LENGTH, rng, 0.15, 0.05, 0.1)
    return taken, rng.normal(size=(LENGTH, ENVS, *spec.mask_shape)).astype(np.float32)


def errors_by_definition(taken: list[Experience], q: np.ndarray, n: int) -> list[tuple[float, float]]:
    """Of every transition (R, |R scale + γ^k max_a Q(o_{t+k}, a) − Q(o_t, a_t)|).

    Of branches the value of a state is the mean of theirs, and the error the sum of each one's.
    """
    found = []
    for env in range(ENVS):
        for t in range(LENGTH):
            total, k = 0.0, 0
            while t + k < LENGTH and k < n:
                step = taken[t + k].step
                if step.is_reset[env]:
                    k = -1
                    break
                total += DISCOUNT**k * step.reward[env]
                k += 1
                if step.terminated[env] or step.truncated[env]:
                    break
            is_over = k > 0 and (step.terminated[env] or step.truncated[env])
            if k < 1 or (k < n and not is_over) or (not step.terminated[env] and t + k >= LENGTH):
                continue
            value = 0.0
            if not step.terminated[env]:  # after a truncation the next row, a reset, has the Q-values of the last state
                legal = taken[t + k].legal_actions
                rows = np.atleast_2d(q[t + k, env])
                value = np.mean([max(row if legal is None else row[legal[env]]) for row in rows])
            acted = zip(np.atleast_2d(q[t, env]), np.atleast_1d(taken[t].action[env]), strict=True)
            target = SCALE * total + DISCOUNT**k * value
            found.append((total, sum(abs(target - row[action]) for row, action in acted)))
    return sorted(found)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spec", [VECTOR, MIXED, BRANCHING], ids=lambda spec: spec.id)
@pytest.mark.parametrize("n", [1, 3])
def test_errors_are_those_of_the_definition(spec: TaskSpec, n: int, seed: int) -> None:
    taken, q = steps(spec, seed)
    codec = TransitionCodec(spec)
    found: list[tuple[float, float]] = []

    def insert(rows: np.ndarray, errors: np.ndarray | None = None) -> None:
        assert errors is not None
        found.extend(zip(codec.from_bytes(rows)["reward"].tolist(), errors.tolist(), strict=True))

    writer = TDErrorWriter(config(n), codec, ENVS, insert)
    counted = 0
    for t, step in enumerate(taken):
        if t == LENGTH // 2:  # goes on from what was saved
            saved = writer.state()
            writer = TDErrorWriter(config(n), codec, ENVS, insert)
            writer.load_state(saved)
        counted += writer.write(step._replace(q_values=q[t]))
    assert counted == len(found)
    expected = errors_by_definition(taken, q, n)
    assert any(step.truncated.any() for step in (each.step for each in taken))
    np.testing.assert_allclose(sorted(found), expected, rtol=1e-4, atol=1e-5)


def as_sampled(replay: ReverbReplay, counted: int) -> list[tuple[float, float]]:
    """(R, priority) of all that is stored, in order of R."""
    transitions, priorities = everything_of(replay, counted)
    return sorted(zip(transitions.next_time_step.reward.numpy().tolist(), priorities, strict=True))


def everything_of(replay: ReverbReplay, counted: int) -> tuple[Transition, list[float]]:
    """All transitions that are stored, and their priorities."""
    replay._kind.flush()
    client = replay._servers[0].client
    size = client.server_info(timeout=60)["transitions"].current_size
    items = {each.info.key: each for each in client.sample("transitions", 60 * size, emit_timesteps=False)}
    assert size == counted == len(items)
    columns = zip(replay._kind.signature, zip(*(each.data for each in items.values()), strict=True), strict=True)
    transitions = replay._kind.decode({name: tf.constant(np.stack(column)) for name, column in columns}, 1)
    return transitions, [each.info.priority for each in items.values()]


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("item", ["block", "frames"])
def test_items_come_with_their_errors_as_priorities(item: str, n: int) -> None:
    spec = VECTOR if item == "block" else stacked(3)
    taken, q = steps(spec, 7)
    replay = make_replay(config(n, item=item), spec)
    writer = replay.writer(ENVS)
    counted = sum(writer.write(step._replace(q_values=values)) for step, values in zip(taken, q, strict=True))
    found = np.array(as_sampled(replay, counted))
    expected = np.array(errors_by_definition(taken, q, n))
    np.testing.assert_allclose(found, expected + np.array([0.0, 1e-6]), rtol=1e-4, atol=1e-5)
    replay.close()


def test_frames_are_those_of_transitions_that_come_on_the_row_of_a_reset() -> None:
    """That row has no frame; those of a truncated episode, several at once, come on it."""
    spec = stacked(3)
    taken, q = steps(spec, 7)
    replay = make_replay(config(3, item="frames"), spec)
    writer = replay.writer(ENVS)
    counted = sum(writer.write(step._replace(q_values=values)) for step, values in zip(taken, q, strict=True))
    found, _ = everything_of(replay, counted)
    before, after = (each.observation["observation"].numpy() for each in (found.time_step, found.next_time_step))
    expected = {
        (each["observation/observation"].tobytes(), each["next_observation/observation"].tobytes())
        for each in naive_transitions(taken[:-1], 3, DISCOUNT)
    }
    assert any(step.step.truncated.any() for step in taken[:-1])
    stored = {(one.tobytes(), other.tobytes()) for one, other in zip(before, after, strict=True)}
    assert expected <= stored and len(stored) == counted
    replay.close()


@pytest.mark.parametrize("n_steps", [(5, 2), (1, 4), (1, 1)])
def test_frames_have_the_priorities_of_blocks_by_a_schedule(n_steps: tuple[int, int]) -> None:
    spec = stacked(3)
    taken, q = steps(spec, 8)
    found = []
    for item in ("block", "frames"):
        replay = make_replay(config(*n_steps, item=item), spec)
        writer = replay.writer(ENVS)
        counted = [
            writer.write(step._replace(q_values=values, env_steps=time))
            for time, (step, values) in enumerate(zip(taken, q, strict=True))
        ]
        rows = as_sampled(replay, sum(counted))
        found.append((counted, rows))
        replay.close()
    assert found[0] == found[1]
