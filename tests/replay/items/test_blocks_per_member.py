"""An ensemble's members in processes: each one's server holds what that member learns from, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest

from tests.support.random_episodes import VECTOR, multiset, random_steps
from tests.support.replay_contents import DISCOUNT, n_step_rows, stored, write
from tfdqn.agents.ensemble_masks import member_weights
from tfdqn.config import DQN, Config, Ensemble, Replay
from tfdqn.errors import ConfigError
from tfdqn.replay.codec import TransitionCodec
from tfdqn.replay.factory import make_replay
from tfdqn.replay.reverb import in_process
from tfdqn.replay.reverb.in_process import ReverbReplay

ENVS, MEMBERS = 4, 3
WAYS: dict[str, dict[str, Any]] = {
    "all": {},
    "bootstrap": {"mask_probability": 0.4},
    "hash": {},
    "partition": {"partition_edges": (35.0, 65.0)},
}


def config(data: str) -> Config:
    return Config(
        agent=DQN(n_step=2, discount=DISCOUNT),
        ensemble=Ensemble(size=MEMBERS, data=data, execution="processes", **WAYS[data]),  # type: ignore[arg-type]
        replay=Replay(backend="reverb", block_size=1, capacity=3_000, min_size=3),
    )


@pytest.fixture
def replays(tmp_path: Path) -> Iterator[list[ReverbReplay]]:
    """Closed when the test ends."""
    made: list[ReverbReplay] = []
    yield made
    for replay in made:
        replay.close()


@pytest.mark.parametrize("data", WAYS)
def test_every_member_gets_what_the_batched_ensemble_would_have_it_learn(
    replays: list[ReverbReplay], data: str
) -> None:
    settings = config(data)
    replay = make_replay(settings, VECTOR)
    assert isinstance(replay, ReverbReplay)
    replays.append(replay)
    assert len(replay.addresses) == MEMBERS
    taken = random_steps(VECTOR, ENVS, 60, np.random.default_rng(1))
    write(replay, taken)
    rows = n_step_rows(VECTOR, taken, 2)
    codec = TransitionCodec(VECTOR)
    structured = codec.empty(len(rows))
    for i, row in enumerate(rows):
        for name, value in row.items():
            structured[name][i] = value
    transition = codec.decode(codec.to_bytes(structured))
    states = transition.time_step.observation, transition.next_time_step.observation
    belongs = member_weights(settings, VECTOR)(transition, *states).numpy() > 0
    for member in range(MEMBERS):
        mine = [row for row, is_mine in zip(rows, belongs[member], strict=True) if is_mine]
        assert multiset(stored(replay, member)) == multiset(mine)
        assert mine and (len(mine) < len(rows) or data == "all")
    if data in ("hash", "partition"):
        assert (belongs.sum(axis=0) == 1).all()


def test_blocks_that_are_being_filled_are_kept_for_each_member(replays: list[ReverbReplay]) -> None:
    settings = config("bootstrap")
    settings = Config(agent=settings.agent, ensemble=settings.ensemble, replay=Replay(block_size=8, min_size=3))
    taken = random_steps(VECTOR, ENVS, 30, np.random.default_rng(2))
    one, two = (make_replay(settings, VECTOR) for _ in range(2))
    assert isinstance(one, ReverbReplay) and isinstance(two, ReverbReplay)
    replays += [one, two]
    write(one, taken)
    state = one.state()
    assert sum(len(array) for array in state.values()) > 0
    two.load_state(state)
    again = two.state()
    assert state.keys() == again.keys() == {f"partial_block/{member}" for member in range(MEMBERS)}
    for name, array in state.items():
        np.testing.assert_array_equal(array, again[name])


def test_a_member_that_has_nothing_to_learn_from_is_waited_for_while_more_comes_and_then_named(
    replays: list[ReverbReplay], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sampler would wait for ever, all other members for it, and acting for their updates."""
    monkeypatch.setattr(in_process, "_LONGEST_PAUSE_SECONDS", 0.5)
    replay = make_replay(config("partition"), VECTOR)
    assert isinstance(replay, ReverbReplay)
    replays.append(replay)
    taken = random_steps(VECTOR, ENVS, 60, np.random.default_rng(1))
    low = [step._replace(observation={key: 0 * array for key, array in step.observation.items()}) for step in taken]
    write(replay, low)
    with pytest.raises(ConfigError, match=r'^ensemble\.data = "partition": member 1 of 3 has nothing to learn from '):
        replay.flush()
    rest = Timer(0.2, write, (replay, taken))
    rest.start()
    replay.flush()
    rest.join()
    assert all(server.num_items() for server in replay._servers)
