"""Contradictions between keys: each check refuses what can't work, and names keys and values."""

import pytest

from tests.support.tiny_runs import tiny, tiny_pqn
from tfdqn.config import Config
from tfdqn.config.checks import CHECKS, REPLAY_CHECKS, Check, checks_of, require_together
from tfdqn.config.replay_checks import ROLLOUT_CHECKS
from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError


def refusal(*overrides: str) -> str:
    """The one line with which these overrides of the defaults are refused."""
    with pytest.raises(ConfigError) as caught:
        from_mapping({}, overrides)
    (line,) = str(caught.value).splitlines()
    return line


AVERAGING = ["learner.strategy=averaging"]
ASYNCHRONOUS = ["learner.strategy=parameter_server"]
SEQUENCES = ["network.memory=lstm", "replay.item=sequence"]
ROLLOUTS = ["agent.kind=pqn"]

CONTRADICTIONS = {
    "check_block_in_table": ["replay.block_size=64", "replay.capacity=63"],
    "check_batch_in_table": ["learner.batch_size=64", "replay.capacity=63"],
    "check_blocks_of_batch": ["learner.batch_size=100", "replay.block_size=16"],
    "check_min_size": ["replay.min_size=1001", "replay.capacity=1000"],
    "check_first_update": [
        "replay.min_size=100",
        "learner.updates_per_call=26",
        "learner.env_steps_per_update=20000",
        "stop.env_steps=520095",
    ],
    "check_frames": ["replay.item=frames", "task.frame_stack=1"],
    "check_frames_of_shards": ["replay.shards=3", "task.num_envs=16", "replay.item=frames"],
    "check_first_frames_of_shards": [
        "replay.item=frames",
        "replay.shards=2",
        "agent.n_step=3",
        "task.num_envs=16",
        "acting.actors=5",
        "replay.min_size=159",
    ],
    "check_memory_item": ["replay.item=sequence"],
    "check_sequence_period": ["replay.item=sequence", "replay.sequence_length=40", "replay.sequence_period=41"],
    "check_branches": ["task.action_form=branches", "agent.kind=iqn"],
    "check_reward_sign": ["task.reward_sign=true", "task.reward_clip=1"],
    "check_discount_schedule": ["agent.discount=1", "agent.discount_end=0.5"],
    "check_memory_network": ["network.memory=gru", "ensemble.size=2"],
    "check_memory_inference": ["network.memory=gru", "acting.inference=central"],
    "check_priorities_of_blocks": ["priorities.exponent=0.6", "replay.block_size=2"],
    "check_priorities_of_actors": ["priorities.new_items=actor", "replay.item=sequence"],
    "check_importance_schedule": ["priorities.importance_start=0.6", "priorities.importance_end=0.4"],
    "check_learning_rate_schedule": ["optimizer.schedule=linear", "optimizer.end_learning_rate=0.5"],
    "check_exploration_schedule": ["exploration.start=0.1", "exploration.end=0.2"],
    "check_exponential_decay": ["exploration.end=0", "exploration.decay=exponential"],
    "check_heartbeats": ["health.beat_seconds=8", "health.dead_after_seconds=8"],
    "check_partition_edges": ["ensemble.size=3", "ensemble.partition_edges=[0.5]"],
    "check_blocks_of_workers": [
        "learner.updates_per_call=5",
        "learner.batch_size=16",
        "replay.block_size=16",
        "learner.workers=2",
        *AVERAGING,
    ],
    "check_shared_table": ["replay.backend=in_graph", "learner.strategy=multi_worker", "learner.workers=2"],
    "check_model_parallel_strategy": ["learner.model_parallel=2", "learner.strategy=multi_worker"],
    "check_model_parallel_ensemble": ["ensemble.size=3", "learner.model_parallel=2"],
    "check_model_parallel_layers": ["network.noisy=true", "learner.model_parallel=2"],
    "check_model_parallel_units": ["network.hidden_units=[3]", "learner.model_parallel=4"],
    "check_model_parallel_xla": ["learner.xla=on", "learner.model_parallel=2"],
    "check_logical_devices_of_processes": ["learner.logical_devices=2", "learner.strategy=multi_worker"],
    "check_logical_devices_of_networks": ["learner.logical_devices=5", "learner.model_parallel=2"],
    "check_averaging_replicas": [*AVERAGING, "learner.logical_devices=1", "learner.workers=1"],
    "check_averaging_period": [*AVERAGING, "learner.updates_per_call=50", "learner.averaging_period_train_steps=20"],
    "check_updates_per_read": [*ASYNCHRONOUS, "learner.updates_per_read=11", "learner.updates_per_call=10"],
    "check_max_staleness": [*ASYNCHRONOUS, "learner.updates_per_read=5", "learner.max_staleness_train_steps=3"],
    "check_precision": ["learner.precision=mixed_bfloat16", "ensemble.size=2"],
    "check_prefetch_to_device": ["learner.prefetch_to_device=true", "replay.backend=in_graph"],
    "check_acting_members": ["ensemble.acting=member", "acting.inference=central"],
    "check_ensemble_target": ["ensemble.target=aggregate", "agent.kind=munchausen"],
    "check_atoms": ["agent.v_min=10", "agent.v_max=10", "agent.kind=c51"],
    "check_munchausen_rescaling": ["agent.value_rescaling=0.001", "agent.kind=munchausen"],
    "check_model_parallel_iqn": ["agent.kind=iqn", "learner.model_parallel=2"],
    "check_all_reduce": ["learner.all_reduce=ring", "learner.strategy=mirrored"],
    "check_ensemble_processes": ["ensemble.size=3", "ensemble.execution=processes", "replay.shards=2"],
    "check_rollout_schedule": [*ROLLOUTS, "learner.schedule=overlap"],
    "check_rollout_actors": [*ROLLOUTS, "acting.actors=2"],
    "check_rollout_learner": [*ROLLOUTS, *ASYNCHRONOUS],
    "check_rollout_size": [*ROLLOUTS, "agent.rollout_steps=10", "task.num_envs=3", "learner.batch_size=16"],
    "check_batch_size": [*AVERAGING, "learner.batch_size=32", "learner.workers=2", "learner.logical_devices=3"],
}
# What gives their keys a meaning, and is not named.
BESIDES = {
    "check_priorities_of_actors": ["priorities.exponent=0.6"],
    "check_importance_schedule": ["priorities.exponent=0.6", "replay.block_size=1"],
    "check_partition_edges": ["ensemble.data=partition"],
    "check_acting_members": ["ensemble.size=2"],
    "check_ensemble_target": ["ensemble.size=2"],
}


@pytest.mark.parametrize("check", [*REPLAY_CHECKS, *ROLLOUT_CHECKS, *CHECKS], ids=lambda check: str(check.__name__))
def test_a_contradiction_between_keys_names_them_and_their_values(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Alone: some contradictions bring another along, which would speak first.
    monkeypatch.setattr("tfdqn.config.checks.checks_of", lambda config: (check,))
    overrides = CONTRADICTIONS[check.__name__]
    line = refusal(*overrides, *BESIDES.get(check.__name__, ()))
    for key, value in (each.split("=") for each in overrides):
        assert key in line
        assert value in line


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_refused(name: str) -> None:
    assert refusal(*CONTRADICTIONS[name], *BESIDES.get(name, ()))


def test_the_defaults_agree_with_one_another() -> None:
    assert [problem for check in checks_of(Config()) for problem in check(Config())] == []


@pytest.mark.parametrize(
    "overrides",
    [
        # The graph's table has no blocks, so they need not divide the batch.
        ["replay.backend=in_graph", "learner.batch_size=100"],
        ["replay.item=frames", "task.frame_stack=4", "learner.batch_size=100"],
        ["learner.schedule=alternate"],
        # Votes are no values, but those of the member that acts are.
        [
            *("priorities.exponent=0.6", "priorities.new_items=actor", "replay.block_size=1"),
            *("ensemble.size=2", "ensemble.aggregation=majority", "ensemble.acting=member"),
        ],
        ["exploration.start=0.2", "exploration.end=0.2"],
        ["exploration.end=0"],
        ["exploration.start=0", "exploration.end=0"],
        # A batch is drawn with replacement, and the first step of all environments goes beyond the end.
        ["replay.min_size=16", "learner.batch_size=128"],
        ["task.num_envs=4096", "replay.capacity=4000", "replay.min_size=128", "stop.env_steps=4000"],
        # Frames are spread by environments, blocks by themselves; a ladder runs over the actors, too.
        ["replay.shards=3", "task.num_envs=16"],
        [
            *("replay.item=frames", "task.frame_stack=2", "replay.shards=2", "agent.n_step=3"),
            *("task.num_envs=4", "acting.actors=2", "replay.min_size=16"),
        ],
        # One process alone, whatever its strategy, reaches a table of its own.
        ["learner.strategy=mirrored", "replay.backend=in_graph"],
        ["learner.strategy=averaging", "learner.workers=1", "replay.backend=in_graph"],
        # Defaults of a strategy that isn't chosen say nothing.
        ["learner.updates_per_call=1"],
        ["learner.batch_size=17", "replay.block_size=1"],
        ["learner.batch_size=16", "learner.logical_devices=3"],
        # Acting and updating in turn is possible, though nothing asynchronous repeats bit for bit.
        [*ASYNCHRONOUS, "learner.schedule=alternate"],
        [*ASYNCHRONOUS, "learner.updates_per_read=5", "learner.max_staleness_train_steps=4"],
        [*ASYNCHRONOUS, "learner.workers=3", "learner.batch_size=16"],
        # How many GPUs there are is not known here.
        ["learner.strategy=averaging", "learner.workers=1", "learner.logical_devices=0"],
        ["learner.strategy=multi_worker", "learner.logical_devices=1"],
        # Votes, a shared target and several states are an ensemble's.
        ["ensemble.size=2", "ensemble.aggregation=majority", "ensemble.target=aggregate"],
        ["ensemble.size=3", "ensemble.data=partition", "ensemble.partition_edges=[-1.5, 2]"],
        # Sequences are counted by the steps between their beginnings.
        [*SEQUENCES, "learner.batch_size=125", "replay.capacity=10000", "replay.sequence_period=80"],
        [*SEQUENCES, "replay.backend=in_graph"],
        # Two networks, each over two devices, and half of a batch each.
        [
            *("learner.strategy=mirrored", "learner.logical_devices=4", "learner.model_parallel=2"),
            *("learner.batch_size=18", "replay.block_size=2"),
        ],
    ],
    ids=str,
)
def test_what_works_is_allowed(overrides: list[str]) -> None:
    from_mapping({}, overrides)


@pytest.mark.parametrize(
    ("overrides", "needed"),
    [
        ([], 100 + 5 * 4),
        (["replay.backend=reverb"], 112 + 5 * 4),  # seven whole blocks of 16
        (["replay.backend=reverb", "replay.shards=3"], 144 + 5 * 4),  # three on each server
        (["learner.env_steps_per_update=0.5"], 103),  # 102.5: a whole step is the least
    ],
    ids=str,
)
def test_a_run_must_last_until_its_first_updates(overrides: list[str], needed: int) -> None:
    run = [
        "replay.backend=in_graph",
        "replay.min_size=100",
        "learner.batch_size=16",
        "learner.updates_per_call=5",
        "learner.env_steps_per_update=4",
        *overrides,
    ]
    from_mapping({}, [*run, f"stop.env_steps={needed}"])
    assert "no update would be made" in refusal(*run, f"stop.env_steps={needed - 1}")


def test_a_temperature_of_zero_is_refused_whatever_the_decay() -> None:
    line = refusal("exploration.kind=boltzmann", "exploration.end=0")
    assert line == "override: exploration.end = 0: must be a number above 0 and at most 1e+12"


def test_a_minimum_that_whole_blocks_cannot_hold_is_refused() -> None:
    line = refusal("replay.capacity=1000", "replay.min_size=1000", "replay.block_size=128")
    assert line == (
        "override: replay.min_size = 1000 needs 8 blocks of replay.block_size = 128, "
        "and replay.capacity = 1000 holds 7: learning would never start"
    )


def test_what_whole_blocks_cannot_hold_on_every_server_is_refused() -> None:
    blocks = ("replay.block_size=64", "replay.shards=4", "learner.batch_size=64")
    from_mapping({}, [*blocks, "replay.capacity=256", "replay.min_size=1"])
    assert refusal(*blocks, "replay.capacity=255", "replay.min_size=1") == (
        "override: replay.block_size = 64 for each of replay.shards = 4 is more than replay.capacity = 255"
    )


def test_an_actors_error_has_neither_munchausens_bonus_nor_its_soft_value() -> None:
    overrides = (
        "priorities.exponent=0.6",
        "priorities.new_items=actor",
        "replay.block_size=1",
        "agent.kind=munchausen",
    )
    line = refusal(*overrides)
    assert 'priorities.new_items = "actor"' in line and 'agent.kind = "munchausen"' in line


@pytest.mark.parametrize(
    ("edges", "line"),
    [
        ("[]", "[] has 0 values, but ensemble.size = 3 needs 2"),
        ("[1.0, 1.0]", "[1.0, 1.0]: each must be above the one before"),
    ],
)
def test_an_ensemble_that_cannot_be_is_refused(edges: str, line: str) -> None:
    overrides = ("ensemble.size=3", "ensemble.data=partition", f"ensemble.partition_edges={edges}")
    assert refusal(*overrides) == f"override: ensemble.partition_edges = {line}"


IN_TURN = ("replay.backend=in_graph", "learner.schedule=alternate")


def test_what_takes_turns_with_a_table_in_the_graph_or_without_any_is_taken() -> None:
    require_together(tiny(*IN_TURN))
    require_together(tiny_pqn())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["learner.schedule=alternate"], 'replay.backend = "reverb" has a server for each run: give '),
        (["replay.backend=in_graph"], 'learner.schedule = "overlap" has threads of its own for each run: give '),
        ([*IN_TURN, "learner.strategy=mirrored"], 'learner.strategy = "mirrored" with learner.model_parallel = 1 '),
        ([*IN_TURN, "learner.model_parallel=2"], 'learner.strategy = "local" with learner.model_parallel = 2 divides '),
        ([*IN_TURN, "task.vectorization=async"], 'task.vectorization = "async" has a process for each environment'),
        (
            ["ensemble.size=2", "ensemble.execution=processes"],
            'ensemble.execution = "processes" has a process for each ',
        ),
    ],
)
def test_what_can_not_is_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        require_together(tiny(*overrides))
    assert str(refused.value).startswith("--together: ") and said in str(refused.value)


def test_all_that_must_be_otherwise_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        require_together(tiny())
    assert str(refused.value) == (
        '--together: replay.backend = "reverb" has a server for each run: give replay.backend=in_graph; '
        'learner.schedule = "overlap" has threads of its own for each run: give learner.schedule=alternate'
    )
