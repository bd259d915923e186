"""The replay ratio, told from what servers have counted."""

import numpy as np
import pytest

from tests.support.random_episodes import VECTOR, stacked
from tests.support.replay_servers import config
from tfdqn.config import Config
from tfdqn.replay.items.kinds import make_item_kind
from tfdqn.replay.reverb.shards import DistributedReplayRatio, TableCounts
from tfdqn.task_spec import TaskSpec


def pace(settings: Config, task_spec: TaskSpec = VECTOR) -> DistributedReplayRatio:
    return DistributedReplayRatio(settings, make_item_kind(settings, task_spec))


def test_due_is_what_the_transitions_beyond_the_minimum_owe_less_what_was_sampled() -> None:
    one = pace(config())
    # (60 blocks of 4 - 100) / 4 steps an update = 35; 100 blocks sampled are 400 / 16 = 25 updates
    assert one.updates_due([TableCounts(60, 0, 60)]) == 35
    assert one.updates_due([TableCounts(60, 100, 60)]) == 10
    assert one.updates_due([TableCounts(10, 0, 10)]) < 0
    assert one.transitions(60) == 240


def test_of_several_servers_each_has_its_part() -> None:
    two = pace(config("replay.shards=2"))
    # the minimum of 100 is 13 blocks of 4 on each, 104; (2 · 30 · 4 - 104) / 4 = 34
    assert two.min_size == 104
    assert two.updates_due([TableCounts(30, 0, 30), TableCounts(30, 0, 30)]) == 34
    # batch / steps an update; 13 · 4 + 3 calls of 5 · 16 / (2 · 4) = 10 + two inserts of 4
    assert two.limits() == (4.0, 13 * 4 + 3 * 10 + 2 * 4)


def test_a_server_that_lost_what_it_had_counted_holds_up_nobody() -> None:
    two = pace(config("replay.shards=2"))
    whole = TableCounts(1_000, 3_940, 125)
    assert two.updates_due([whole, whole]) == two.updates_due([whole, TableCounts(3, 12, 3)])
    one = pace(config())
    assert one.updates_due([TableCounts(3, 12, 3)]) < 0  # alone it must be filled again first


@pytest.mark.parametrize("seed", range(30))
def test_wherever_a_table_holds_inserters_back_a_call_is_due(seed: int) -> None:
    rng = np.random.default_rng(seed)
    block, shards, calls = (int(2**n) for n in rng.integers(0, 5, 3))
    settings = config(
        f"replay.block_size={block}",
        f"replay.shards={shards}",
        f"replay.min_size={rng.integers(1, 900)}",
        f"learner.updates_per_call={calls}",
        f"learner.env_steps_per_update={float(rng.choice([0.3, 1, 4, 10]))}",
        "stop.env_steps=100000",
    )
    each = pace(settings)
    limits = each.limits()
    assert limits is not None
    samples_per_insert, most_ahead = limits
    inserted = sampled = 0
    for _ in range(20):
        while (inserted + 1) * samples_per_insert - sampled <= most_ahead:
            inserted += 1
        due = each.updates_due([TableCounts(inserted, sampled)] * shards)
        assert due >= calls
        sampled += due * 16 // (block * shards)


def test_servers_that_fill_unequally_hold_nobody_back_by_themselves() -> None:
    overrides = ("replay.item=frames", "task.frame_stack=4", "replay.shards=2")
    frames = pace(config(*overrides), stacked(4))
    assert frames.limits() is None
    # 200 + 160 transitions of which 100 are the minimum: 260 / 4 = 65 updates, and 16 · 50 samples are 50
    counted = [TableCounts(200, 400, 200), TableCounts(160, 400, 160)]
    assert frames.updates_due(counted) == 15
    assert frames.is_ahead(counted)
    assert not frames.is_ahead([TableCounts(200, 408, 200), TableCounts(160, 408, 160)])
    assert pace(config(*overrides[:2]), stacked(4)).limits() is not None


@pytest.mark.parametrize(("data", "copies"), [("all", 4.0), ("bootstrap", 2.0), ("hash", 1.0)])
def test_members_count_a_transition_once_however_many_have_it(data: str, copies: float) -> None:
    ensemble = ("ensemble.size=4", 'ensemble.execution="processes"', f'ensemble.data="{data}"')
    members = pace(config(*ensemble))
    blocks = int(100 * copies / 4)  # on each server, of 400 transitions
    assert members.transitions(4 * blocks) == 400
    # the minimum is 7 blocks of 4 on each of four: 112; (400 - 112) / 4; each member takes 16 an update
    assert members.updates_due([TableCounts(blocks, 0, blocks)] * 4) == 72
    assert members.updates_due([TableCounts(blocks, 4 * 30, blocks)] * 4) == 42


def test_nobody_is_held_back_while_a_member_has_nothing_to_learn_from_since_learning_waits_for_that() -> None:
    members = pace(config("ensemble.size=2", 'ensemble.execution="processes"', 'ensemble.data="hash"'))
    one, none = TableCounts(1_000, 0, 1_000), TableCounts()
    assert members.updates_due([one, none]) > 100
    assert not members.is_ahead([one, none])
    assert members.is_ahead([one, TableCounts(1, 0, 1)])
