"""Items through a real Reverb server in this process: written, sampled, saved, restored, shut down."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.random_episodes import MIXED, VECTOR, multiset, naive_transitions, random_steps, stacked
from tests.support.replay_contents import DISCOUNT, MakeReplay, as_dicts, n_step_rows, stored, write
from tfdqn.errors import CheckpointError, ClusterError, ConfigError
from tfdqn.replay.reverb import server
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.types import Experience


@pytest.mark.parametrize("spec", [VECTOR, MIXED], ids=lambda spec: spec.id)
@pytest.mark.parametrize("block_size", [1, 4])
def test_blocks_hold_exactly_the_finished_transitions(make: MakeReplay, spec: TaskSpec, block_size: int) -> None:
    replay = make(spec, n_step=3, block_size=block_size)
    taken = random_steps(spec, 3, 20, np.random.default_rng(1))
    write(replay, taken)
    expected = n_step_rows(spec, taken, 3)
    whole = len(expected) - len(expected) % block_size
    assert replay.size() == whole
    assert len(replay.state()["partial_block"]) == len(expected) - whole
    assert multiset(stored(replay)) == multiset(expected[:whole])


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("end_probability", [0.05, 0.4])
@pytest.mark.parametrize("spec", [stacked(2), stacked(4, "float32", action_masks=True)], ids=["two", "four with masks"])
def test_frames_decode_to_what_the_n_step_writer_gives(
    make: MakeReplay, spec: TaskSpec, n_step: int, end_probability: float
) -> None:
    replay = make(spec, n_step=n_step, item="frames")
    taken = random_steps(spec, 3, 40, np.random.default_rng(2), end_probability, break_probability=0.05)
    write(replay, taken)
    assert multiset(stored(replay)) == multiset(n_step_rows(spec, taken, n_step))


@pytest.mark.parametrize("n_step", [1, 3, 5])
def test_frames_of_games_with_lives_decode_to_whole_stacks(make: MakeReplay, n_step: int) -> None:
    """As Atari's: zeros before an episode's first frame; a lost life is an end, and the same episode goes on."""
    spec = stacked(4)
    replay = make(spec, n_step=n_step, item="frames")
    rng = np.random.default_rng(5)
    taken = random_steps(spec, 3, 80, rng, 0.1, life_loss_probability=0.15, padding="zero")
    write(replay, taken)
    expected = naive_transitions(taken, n_step, DISCOUNT)
    assert multiset(map(without_reward, stored(replay))) == multiset(map(without_reward, expected))
    assert multiset(stored(replay)) == multiset(n_step_rows(spec, taken, n_step))


@pytest.mark.parametrize("going_on", [False, True])
@pytest.mark.parametrize(("n_step", "end"), [(5, 2), (1, 4)])
def test_frames_follow_the_schedule_of_n(make: MakeReplay, n_step: int, end: int, going_on: bool) -> None:
    """In episodes that end and break, and in those that go on: nothing that is finished waits for their end."""
    replay = make(stacked(3), n_step=n_step, item="frames", schedule={"n_step_end": end, "horizon_env_steps": 30})
    ends, breaks = (0.0, 0.0) if going_on else (0.05, 0.05)
    taken = random_steps(stacked(3), 3, 40, np.random.default_rng(2), ends, break_probability=breaks)
    write(replay, taken)
    assert multiset(stored(replay)) == multiset(n_step_rows(stacked(3), taken, n_step, n_step_end=end, env_steps=30))


def test_frames_are_written_from_the_middle_of_an_episode(make: MakeReplay) -> None:
    spec = stacked(3)
    taken = random_steps(spec, 2, 30, np.random.default_rng(2), 0.0)[10:]
    replay = make(spec, n_step=2, item="frames")
    write(replay, taken)
    assert multiset(stored(replay)) == multiset(n_step_rows(spec, taken, 2))


def test_frames_are_refused_where_the_observation_is_not_one_stack(make: MakeReplay) -> None:
    for spec in (VECTOR, MIXED):
        with pytest.raises(ConfigError, match=r"task\.frame_stack"):
            make(spec, item="frames")


@pytest.mark.parametrize("spec, item", [(MIXED, "block"), (stacked(2), "frames")], ids=["block", "frames"])
def test_a_sampler_gives_stored_transitions_inside_a_graph(make: MakeReplay, spec: TaskSpec, item: str) -> None:
    replay = make(spec, n_step=2, item=item)
    taken = random_steps(spec, 4, 30, np.random.default_rng(4))
    write(replay, taken)
    sample = tf.function(replay.sampler(64), autograph=False)
    expected = set(multiset(naive_without_reward(taken)))
    for _ in range(3):
        got = sample()
        assert got.weights is None
        found = [without_reward(row) for row in as_dicts(got.transition)]
        assert len(found) == 64
        assert set(multiset(found)) <= expected


def naive_without_reward(taken: list[Experience]) -> list[dict[str, Any]]:
    return [without_reward(row) for row in naive_transitions(taken, 2, DISCOUNT)]


def without_reward(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("reward", "discount")}


def test_neighbours_of_a_block_are_spread_over_the_sample(make: MakeReplay) -> None:
    replay = make(block_size=16)
    taken = random_steps(VECTOR, 4, 200, np.random.default_rng(4), 0.0)
    times = [np.full((4, 4), time, np.float32) for time in range(len(taken))]
    write(replay, [step._replace(observation={"observation": times[i]}) for i, step in enumerate(taken)])
    transition = tf.function(replay.sampler(6400), autograph=False)().transition
    first_batch = transition.time_step.observation["observation"].numpy()[:128, 0]
    blocks = np.unique(first_batch // 4)  # a block is four steps of four environments
    assert len(blocks) > 20  # of 50; left side by side, 128 transitions would be at most eight blocks


def test_the_oldest_items_go_first_and_sizes_are_whole_blocks(make: MakeReplay) -> None:
    replay = make(block_size=4, capacity=18, min_size=17)
    assert (replay.capacity, replay.min_size) == (16, 16)
    taken = random_steps(VECTOR, 4, 40, np.random.default_rng(3), 0.0)
    write(replay, taken)
    assert replay.size() == 16
    assert multiset(stored(replay)) == multiset(n_step_rows(VECTOR, taken, 1)[-16:])


def test_a_batch_that_blocks_do_not_divide_is_refused(make: MakeReplay) -> None:
    with pytest.raises(ConfigError, match=r"block_size 4 doesn't divide a batch of 30"):
        make().sampler(30)


def test_a_capacity_below_one_block_is_refused(make: MakeReplay) -> None:
    with pytest.raises(ConfigError, match=r"replay\.capacity 3 is less than one block of 4"):
        make(capacity=3)


def test_a_block_that_no_message_can_hold_is_refused(make: MakeReplay) -> None:
    wide = {"observation": ArraySpec(shape=(1_000, 1_000), dtype="float32")}
    task_spec = TaskSpec(id="Wide-v0", observation=wide, actions=discrete(2))
    line = r"replay\.block_size = 256: .* of 8,000,0\d\d bytes is larger than the 2,000,000,000 .*; at most 249 are"
    with pytest.raises(ConfigError, match=line):
        make(task_spec, block_size=256)


def test_no_record_of_a_checkpoint_grows_with_the_number_of_items(make: MakeReplay, tmp_path: Path) -> None:
    """A record is a message, which can hold 2 GB."""
    longest = []
    for steps in (50, 500):
        replay, folder = make(block_size=1), tmp_path / str(steps)
        write(replay, random_steps(VECTOR, 4, steps, np.random.default_rng(0), 0.05))
        folder.mkdir()
        replay.save(folder)
        assert replay.size() > 3 * steps
        records = {
            file.name: [len(record.numpy()) for record in tf.data.TFRecordDataset(str(file), "ZLIB")]
            for file in (folder / "reverb").glob("*.tfrecord")
        }
        assert len(records) == 3
        longest.append({name: max(lengths) for name, lengths in records.items()})
    for name, length in longest[0].items():
        assert longest[1][name] <= length + 20, name  # numbers of more digits, other compressed bytes


@pytest.mark.parametrize("spec, item", [(MIXED, "block"), (stacked(2), "frames")], ids=["block", "frames"])
def test_a_kept_checkpoint_restores_after_newer_ones_were_made(
    make: MakeReplay, tmp_path: Path, spec: TaskSpec, item: str
) -> None:
    replay = make(spec, n_step=2, item=item)
    taken = random_steps(spec, 4, 60, np.random.default_rng(6))
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    (tmp_path / "linked").symlink_to(os.fsdecode(b"caf\xe9"))  # Reverb takes no path that is not UTF-8
    kept, newer = tmp_path / "linked" / "kept", tmp_path / "newer"
    write(replay, taken[:30])
    before, size = multiset(stored(replay)), replay.size()
    kept.mkdir()
    replay.save(kept)
    write(replay, taken[30:])
    newer.mkdir()
    replay.save(newer)
    assert replay.size() > size
    replay.close()

    restored = make(spec, n_step=2, item=item)
    restored.restore(kept)
    assert restored.size() == size
    assert multiset(stored(restored)) == before
    write(restored, taken[30:])
    assert restored.size() > size
    assert len(tf.function(restored.sampler(8), autograph=False)().transition.action_step.action) == 8


def test_the_partial_block_goes_on_in_a_restored_replay(make: MakeReplay) -> None:
    taken = random_steps(VECTOR, 3, 1, np.random.default_rng(6), 0.0)
    first, second = make(), make()
    write(first, taken)
    assert first.size() == 0
    second.load_state(first.state())
    write(second, taken)
    assert second.size() == 4


@pytest.mark.parametrize(
    "changed, named",
    [({"capacity": 400}, "capacity"), ({"min_size": 40}, "minimum size"), ({"block_size": 8}, "layout")],
)
def test_a_checkpoint_of_another_configuration_is_refused(
    make: MakeReplay, tmp_path: Path, changed: dict[str, int], named: str
) -> None:
    replay = make(capacity=200, min_size=20)
    write(replay, random_steps(VECTOR, 4, 10, np.random.default_rng(1)))
    replay.save(tmp_path)
    with pytest.raises(ConfigError, match=named):
        make(**({"capacity": 200, "min_size": 20} | changed)).restore(tmp_path)


def test_a_checkpoint_of_another_task_is_refused(make: MakeReplay, tmp_path: Path) -> None:
    replay = make()
    write(replay, random_steps(VECTOR, 4, 10, np.random.default_rng(1)))
    replay.save(tmp_path)
    with pytest.raises(ConfigError, match="layout"):
        make(MIXED).restore(tmp_path)


@pytest.mark.parametrize("file", ["sizes.json", "DONE", "tables.tfrecord", "items.tfrecord", "chunks.tfrecord"])
@pytest.mark.parametrize("damage", ["missing", "cut", "altered"])
def test_a_damaged_checkpoint_is_one_clear_error(make: MakeReplay, tmp_path: Path, file: str, damage: str) -> None:
    replay = make()
    write(replay, random_steps(VECTOR, 4, 10, np.random.default_rng(1)))
    replay.save(tmp_path)
    path = tmp_path / "reverb" / file
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2] if content else b"x")
    if damage == "altered":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([255 - byte for byte in content[middle:]]) or b"x")
    with pytest.raises(CheckpointError, match="reverb is"):
        make().restore(tmp_path)


def test_a_server_that_calls_do_not_get_through_to_is_one_clear_error(
    make: MakeReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the loopback interface is down, or a proxy is asked for 127.0.0.1."""
    monkeypatch.setattr(server, "with_host", lambda port, host: f"{host}:1")
    monkeypatch.setattr(server, "_START_SECONDS", 1)
    with pytest.raises(ClusterError, match=r"the replay server at 127.0.0.1:1, in this process, does not answer"):
        make(VECTOR)


@pytest.mark.parametrize("sampled", [False, True])
def test_closing_comes_to_an_end_whatever_is_still_in_use(make: MakeReplay, sampled: bool) -> None:
    replay = make()
    write(replay, random_steps(VECTOR, 4, 30, np.random.default_rng(1)))
    sample = tf.function(replay.sampler(8), autograph=False)
    if sampled:
        sample()
    closing = threading.Thread(target=replay.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()


def test_a_writer_whose_items_were_on_their_way_holds_up_no_end() -> None:
    """In a process of its own: it would be held up below Python."""
    script = (
        "import gc\n"
        "import numpy as np\n"
        "from tests.support.random_episodes import VECTOR, random_steps\n"
        "from tests.support.tiny_runs import tiny\n"
        "from tfdqn.replay.reverb.in_process import ReverbReplay\n"
        "(step,) = random_steps(VECTOR, 12, 1, np.random.default_rng(1))\n"
        "for _ in range(4):\n"
        "    replay = ReverbReplay(tiny('replay.backend=reverb', 'replay.block_size=1'), VECTOR)\n"
        "    writer = replay.writer(12)\n"
        "    writer.write(step)\n"
        "    replay.close()\n"
        "    del replay, writer\n"
        "    gc.collect()\n"
    )
    project = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_frames_that_are_enough_to_be_sampled_are_in_the_table(make: MakeReplay) -> None:
    """Of many environments, and two actors: else most would wait for their frames' chunk to be full."""
    spec, envs = stacked(2), 32
    replay = make(spec, item="frames", min_size=150)
    writers = [replay.writer(envs) for _ in range(2)]
    written, steps = 0, random_steps(spec, envs, 30, np.random.default_rng(5), end_probability=0.0)
    for step in steps:
        for writer in writers:
            if written < replay.min_size:
                written += writer.write(step)
    assert written >= replay.min_size
    assert replay.size() == written
