"""`Actors`: several actors look like one, go on where they were saved, and share one ladder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.acting.test_actor import Recorder, made
from tests.support.batches import vector_spec
from tests.support.scripted_task import FakeTask, StatefulFakeTask
from tfdqn.acting.actor import Actor
from tfdqn.acting.actors import ActingResult, Actors, make_actor, saved_actors
from tfdqn.config import Acting, Config, EpsilonGreedy, Task
from tfdqn.coordination.weights import VersionedWeights, WeightsBoard
from tfdqn.networks.factory import q_network
from tfdqn.storage.arrays import SavedArrays, load_arrays, save_arrays

FADING = EpsilonGreedy(start=0.9, end=0.1, decay_env_steps=60)


def actors(
    tasks: Sequence[FakeTask], settings: EpsilonGreedy | None = None, seed: int = 1
) -> tuple[Actors, list[Recorder], list[WeightsBoard]]:
    parts = [made(task, settings, seed + i) for i, task in enumerate(tasks)]
    several = Actors([actor for actor, _, _ in parts], tasks[0].num_envs)
    several.reset(0)
    return several, [writer for _, writer, _ in parts], [board for _, _, board in parts]


def stateful(count: int) -> list[StatefulFakeTask]:
    return [StatefulFakeTask([[4], [4]], masks=True) for _ in range(count)]


def saved(several: Actors, tmp_path: Path) -> tuple[SavedArrays, SavedArrays]:
    """Their states through files, as a checkpoint has them."""
    files = tmp_path / "actor.npz", tmp_path / "writer.npz"
    for file, arrays in zip(files, (several.state(), several.writers_state()), strict=True):
        save_arrays(file, arrays)
    actor, writer = (SavedArrays(load_arrays(file), file) for file in files)
    return actor, writer


def test_actors_step_in_turn_and_are_counted_together() -> None:
    tasks = [FakeTask([[1], [9]]), FakeTask([[9], [9]]), FakeTask([[9], [9]])]
    several, writers, _ = actors(tasks)
    acted = [several.step_next() for _ in range(7)]
    assert (
        acted == [ActingResult(2, 2)] * 3 + [ActingResult(1, 1)] + [ActingResult(2, 2)] * 3
    )  # an environment of the first's is reset
    assert [len(writer.written) for writer in writers] == [3, 2, 2]
    assert several.env_steps == 13
    assert several.step(2) == ActingResult(2, 2)
    assert [len(task.actions) for task in tasks] == [3, 2, 3]


def test_exploration_fades_with_the_steps_of_all_actors() -> None:
    tasks = [FakeTask([[1000]] * 50), FakeTask([[1000]] * 50)]
    several, _, _ = actors(tasks, EpsilonGreedy(start=1.0, end=1e-9, decay_env_steps=100))
    for _ in range(8):
        several.step_next()
    for task in tasks:
        wrong = (np.array(task.actions) != (np.arange(4) % 2)[:, None]).mean(axis=1)
        assert wrong[0] > 0.05  # epsilon 1 and 0.5
        assert (wrong[1:] == 0).all()  # 100 steps on, of both together


def test_statistics_are_of_all_and_the_recent_episodes_the_last_of_any() -> None:
    several, _, _ = actors([FakeTask([[2]]), FakeTask([[5]])])
    assert (several.recent_return, several.recent_length) == (None, None)
    for _ in range(12):
        several.step_next()
    # Six steps each: 2, a reset, 2, a reset; and 5.
    assert several.episodes == 3
    assert several.recent_return == several.recent_length == pytest.approx(3.0)
    for _ in range(100):
        several.step(0)
        several.step(0)
        several.step(0)
    assert several.episodes == 103
    assert several.recent_return == 2.0  # the other's episode is none of the last hundred


def test_the_age_of_the_weights_is_that_of_the_oldest() -> None:
    several, _, boards = actors([FakeTask([[9]]), FakeTask([[9]])])
    for version, board in enumerate(boards, 5):
        board.put(VersionedWeights(version, {"bias": np.zeros(2, np.float32)}))
    several.refresh_weights()
    assert several.weights_version == 5


def test_each_actor_begins_with_a_seed_of_its_own() -> None:
    class Noted(FakeTask):
        seeds: list[int]

        def reset(self, seed: int):
            self.seeds = [*getattr(self, "seeds", []), seed]
            return super().reset(seed)

    tasks = [Noted([[1]]) for _ in range(3)]
    several, _, _ = actors(tasks)
    several.reset(7)
    several.reset(8)
    assert tasks[0].seeds[-2:] == [7, 8]  # as if it were alone
    assert len({seed for task in tasks for seed in task.seeds[-2:]}) == 6


def made_actors(count: int, num_envs: int = 3) -> list[Actor]:
    """As a session makes them, one for each of `count`."""
    config = Config(
        task=Task(num_envs=num_envs),
        exploration=EpsilonGreedy(start=0.4, end=0.4, ladder_alpha=7.0),
        acting=Acting(actors=count),
    )
    board = WeightsBoard()
    network = q_network(config, vector_spec(3, 2), seed=0)
    network.create_variables()
    board.put(VersionedWeights(0, {name: weight.numpy() for name, weight in network.named_weights().items()}))
    tasks = [FakeTask([[1000]] * num_envs) for _ in range(count)]
    return [make_actor(config, task, Recorder(), board, i) for i, task in enumerate(tasks)]  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 4])
def test_one_ladder_runs_over_the_environments_of_all_actors(count: int) -> None:
    """Horgan et al. 2018: ε_i = ε^(1 + α i / (N − 1)), i over all N = 3 · count environments."""
    exponents = np.concatenate([actor._policy.explorer.exponents for actor in made_actors(count)])
    expected = [1 + 7.0 * i / (3 * count - 1) for i in range(3 * count)]
    np.testing.assert_allclose(exponents, expected)


def test_no_two_actors_draw_the_same_random_numbers() -> None:
    draws = {float(actor._rng.random()) for actor in made_actors(4)}
    assert len(draws) == 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_actors_go_on_where_their_state_was_taken(count: int, tmp_path: Path) -> None:
    first, first_writers, _ = actors(stateful(count), FADING)
    for _ in range(7 * count + 1):
        first.step_next()
    second, second_writers, _ = actors(stateful(count), FADING, seed=99)
    arrays = saved(first, tmp_path)
    assert saved_actors(arrays[0]) == count
    assert second.load_state(*arrays)
    assert second.env_steps == first.env_steps
    assert second.episodes == first.episodes == 2 * count
    before = [len(writer.written) for writer in first_writers]
    for _ in range(9):
        assert first.step_next() == second.step_next()
    for one, two, done in zip(first_writers, second_writers, before, strict=True):
        for ours, theirs in zip(one.written[done:], two.written, strict=True):
            np.testing.assert_array_equal(ours[0]["observation"], theirs[0]["observation"])
            np.testing.assert_array_equal(ours[2], theirs[2])
    assert first.recent_return == second.recent_return


def test_one_actor_is_saved_under_the_names_of_its_own() -> None:
    one, _, _ = actors(stateful(1))
    alone, _, _ = made(stateful(1)[0])
    assert one.state().keys() == alone.state().keys()


@pytest.mark.parametrize(("before", "now"), [(2, 1), (1, 2), (3, 2), (2, 3)])
def test_another_number_of_actors_takes_over_the_counts_and_starts_fresh_episodes(
    before: int, now: int, tmp_path: Path
) -> None:
    first, _, _ = actors(stateful(before), FADING)
    for _ in range(6 * before + 1):
        first.step_next()
    tasks = stateful(now)
    second, _, _ = actors(tasks, FADING, seed=99)
    assert not second.load_state(*saved(first, tmp_path))
    assert second.env_steps == first.env_steps
    assert second.episodes == first.episodes == 2 * before
    assert second.recent_return == first.recent_return
    assert all((task.observation["observation"][:, 1] == 0).all() for task in tasks)
    for one, two in zip(first._actors, second._actors, strict=False):
        assert one._rng.bit_generator.state == two._rng.bit_generator.state
    steps = [second.step_next() for _ in range(5 * now)]
    assert second.env_steps == first.env_steps + sum(step.env_steps for step in steps)
    assert second.recent_return == 4.0  # nothing of the half-played episodes was kept
