"""The graph's own table: a seeded, resumable ring."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.random_episodes import MIXED, VECTOR, multiset, naive_transitions, random_steps, stacked
from tfdqn.config import DQN, Config, Replay
from tfdqn.errors import CheckpointError, ConfigError
from tfdqn.replay.factory import make_replay
from tfdqn.replay.in_graph import InGraphReplay
from tfdqn.replay.interfaces import Sample
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete


def replay(capacity: int = 64, seed: int = 1, n_step: int = 1, spec: TaskSpec = VECTOR) -> InGraphReplay:
    made = make_replay(
        Config(
            seed=seed,
            agent=DQN(n_step=n_step, discount=0.5),
            replay=Replay(backend="in_graph", capacity=capacity, min_size=1),
        ),
        spec,
    )
    assert isinstance(made, InGraphReplay)
    return made


def fill(table: InGraphReplay, length: int, seed: int = 0, spec: TaskSpec = VECTOR) -> list:
    taken = write(table, length, seed, spec)
    table.flush()
    return taken


def write(table: InGraphReplay, length: int, seed: int = 0, spec: TaskSpec = VECTOR) -> list:
    taken = random_steps(spec, 4, length, np.random.default_rng(seed))
    writer = table.writer(4)
    for step in taken:
        writer.write(step)
    return taken


def drawn(table: InGraphReplay, count: int) -> Callable[[], np.ndarray]:
    sample = tf.function(table.sampler(count))

    def draw() -> np.ndarray:
        got: Sample = sample()
        return np.concatenate([got.transition.time_step.observation["observation"].numpy().ravel()])

    return draw


def test_samples_are_exactly_what_was_written() -> None:
    table = replay(capacity=1000, n_step=3, spec=MIXED)
    naive = naive_transitions(fill(table, 25, spec=MIXED), 3, 0.5)
    assert table.size() == len(naive)
    transition = tf.function(table.sampler(4000))().transition
    names = ("image", "place", "speed", "gear")
    observation, _ = transition.time_step.observation
    found = [{name: observation[name][i].numpy() for name in names} for i in range(0, 4000, 20)]
    stored = set(multiset([{name: row[f"observation/{name}"] for name in names} for row in naive]))
    assert set(multiset(found)) <= stored


def test_every_stored_transition_is_drawn_about_equally_often() -> None:
    table = replay(capacity=20)
    fill(table, 12)
    assert table.size() == 20
    draw = drawn(table, 20_000)().reshape(-1, 4)
    _, counts = np.unique(draw, axis=0, return_counts=True)
    assert len(counts) == 20
    assert counts.min() > 850 and counts.max() < 1150  # 1,000 ± 5 standard deviations


def test_the_oldest_transitions_go_first() -> None:
    table = replay(capacity=8)
    naive = naive_transitions(fill(table, 20), 1, 0.5)
    newest = {row["observation/observation"].tobytes() for row in naive[-8:]}
    draws = drawn(table, 200)().reshape(-1, 4)
    assert {draw.tobytes() for draw in draws} <= newest
    assert table.size() == 8


def test_the_same_seed_draws_the_same_samples_and_another_seed_others() -> None:
    draws = []
    for seed in (1, 1, 2):
        table = replay(seed=seed)
        fill(table, 30)
        draw = drawn(table, 32)
        draws.append(np.stack([draw(), draw()]))
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    assert (draws[0][0] != draws[0][1]).any()


def test_a_restored_table_goes_on_drawing_and_writing_as_the_saved_one(tmp_path: Path) -> None:
    first, second = replay(capacity=50), replay(capacity=50)
    fill(first, 20)
    drawn(first, 8)()
    first.save(tmp_path)
    second.restore(tmp_path)
    second.load_state(first.state())
    assert second.size() == first.size()
    for table in (first, second):
        fill(table, 5, seed=9)
    np.testing.assert_array_equal(drawn(first, 64)(), drawn(second, 64)())


def test_draws_see_what_waits_only_after_a_flush() -> None:
    table = replay(capacity=1000)
    fill(table, 3)
    draw = drawn(table, 500)
    before = set(map(bytes, draw().reshape(-1, 4)))
    naive = naive_transitions(write(table, 3, seed=1), 1, 0.5)
    assert table.size() == len(before) + len(naive)
    assert set(map(bytes, draw().reshape(-1, 4))) == before
    table.flush()
    written = {row["observation/observation"].tobytes() for row in naive}
    assert set(map(bytes, draw().reshape(-1, 4))) == before | written


@pytest.mark.parametrize(("num_envs", "capacity"), [(1, 600), (7, 600), (300, 600), (700, 600), (700, 100)])
def test_what_waits_becomes_rows_in_order_however_many_are_written_at_once(
    num_envs: int, capacity: int, tmp_path: Path
) -> None:
    table = replay(capacity=capacity)
    taken = random_steps(VECTOR, num_envs, -(-1500 // num_envs), np.random.default_rng(3))
    writer = table.writer(num_envs)
    written = sum(writer.write(step) for step in taken)
    table.save(tmp_path)  # with those that still wait
    naive = [row["observation/observation"].tobytes() for row in naive_transitions(taken, 1, 0.5)]
    with np.load(tmp_path / "replay.npz") as content:
        rows, inserted = content["rows"], int(content["inserted"])
    assert inserted == written == len(naive) and table.size() == len(rows) == capacity
    oldest_first = np.roll(rows, -(inserted % capacity), axis=0)
    stored = table._layout.decode(tf.constant(oldest_first)).time_step.observation["observation"].numpy()
    assert [row.tobytes() for row in stored] == naive[-capacity:]


def test_only_the_filled_part_is_saved(tmp_path: Path) -> None:
    table = replay(capacity=100_000)
    fill(table, 3)
    table.save(tmp_path)
    assert (tmp_path / "replay.npz").stat().st_size < 2000


def test_a_table_of_another_capacity_or_task_is_refused(tmp_path: Path) -> None:
    table = replay(capacity=20)
    fill(table, 20)
    table.save(tmp_path)
    for other in (replay(capacity=30), replay(capacity=20, spec=MIXED)):
        with pytest.raises(ConfigError, match=r"replay\.capacity"):
            other.restore(tmp_path)


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"", None])
def test_a_damaged_or_missing_file_is_one_clear_error(tmp_path: Path, damage: Callable | None) -> None:
    table = replay()
    if damage:
        fill(table, 20)
        table.save(tmp_path)
        path = tmp_path / "replay.npz"
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"replay\.npz is missing or damaged"):
        table.restore(tmp_path)


def test_frames_need_reverb() -> None:
    config = Config(replay=Replay(backend="in_graph", item="frames"))
    with pytest.raises(ConfigError, match=r"replay\.backend"):
        make_replay(config, stacked(2))


def test_a_table_for_which_there_is_no_memory_is_one_line() -> None:
    spec = TaskSpec(
        id="Movie", observation={"observation": ArraySpec(shape=(1000, 1000), dtype="uint8")}, actions=discrete(2)
    )
    with pytest.raises(
        ConfigError, match=r"^replay.capacity = 2147483647: there is no memory for [45],\d\d\d,\d\d\d GB$"
    ):
        replay(capacity=2**31 - 1, spec=spec)
