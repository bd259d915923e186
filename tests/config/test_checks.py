"""Contradictions between keys: each check refuses what can't work, and names keys and values."""

import pytest

from tests.support.tiny_runs import tiny, tiny_pqn
from tfdqn.config import Config
from tfdqn.config.checks import CHECKS, REPLAY_CHECKS, checks_of, require_together
from tfdqn.config.replay_checks import ROLLOUT_CHECKS
from tfdqn.config.toml import from_mapping
from tfdqn.config.wording import with_values
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

CONTRADICTIONS = [
    ["replay.block_size=64", "replay.capacity=63"],
    ["learner.batch_size=64", "replay.capacity=63"],
    ["learner.batch_size=100", "replay.block_size=16"],
    ["replay.min_size=1001", "replay.capacity=1000"],
    [
        "replay.min_size=100",
        "learner.updates_per_call=26",
        "learner.env_steps_per_update=20000",
        "stop.env_steps=520095",
    ],
    ["replay.item=frames", "task.frame_stack=1"],
    ["replay.shards=3", "task.num_envs=16", "replay.item=frames"],
    [
        "replay.item=frames",
        "replay.shards=2",
        "agent.n_step=3",
        "task.num_envs=16",
        "acting.actors=5",
        "replay.min_size=159",
    ],
    ["replay.item=sequence"],
    ["replay.item=sequence", "replay.sequence_length=40", "replay.sequence_period=41"],
    ["task.action_form=branches", "agent.kind=iqn"],
    ["task.reward_sign=true", "task.reward_clip=1"],
    ["agent.discount=1", "agent.discount_end=0.5"],
    ["network.memory=gru", "ensemble.size=2"],
    ["network.memory=gru", "acting.inference=central"],
    ["priorities.exponent=0.6", "replay.block_size=2"],
    ["priorities.new_items=actor", "replay.item=sequence"],
    ["priorities.importance_start=0.6", "priorities.importance_end=0.4"],
    ["optimizer.schedule=linear", "optimizer.end_learning_rate=0.5"],
    ["exploration.start=0.1", "exploration.end=0.2"],
    ["exploration.end=0", "exploration.decay=exponential"],
    ["health.beat_seconds=8", "health.dead_after_seconds=8"],
    ["ensemble.size=3", "ensemble.partition_edges=[0.5]"],
    ["learner.updates_per_call=5", "learner.batch_size=16", "replay.block_size=16", "learner.workers=2", *AVERAGING],
    ["replay.backend=in_graph", "learner.strategy=multi_worker", "learner.workers=2"],
    ["learner.model_parallel=2", "learner.strategy=multi_worker"],
    ["ensemble.size=3", "learner.model_parallel=2"],
    ["network.noisy=true", "learner.model_parallel=2"],
    ["network.hidden_units=[3]", "learner.model_parallel=4"],
    ["learner.xla=on", "learner.model_parallel=2"],
    ["learner.logical_devices=2", "learner.strategy=multi_worker"],
    ["learner.logical_devices=5", "learner.model_parallel=2"],
    [*AVERAGING, "learner.logical_devices=1", "learner.workers=1"],
    [*AVERAGING, "learner.updates_per_call=50", "learner.averaging_period_train_steps=20"],
    [*ASYNCHRONOUS, "learner.updates_per_read=11", "learner.updates_per_call=10"],
    [*ASYNCHRONOUS, "learner.updates_per_read=5", "learner.max_staleness_train_steps=3"],
    ["learner.precision=mixed_bfloat16", "ensemble.size=2"],
    ["learner.prefetch_to_device=true", "replay.backend=in_graph"],
    ["ensemble.acting=member", "acting.inference=central"],
    ["ensemble.target=aggregate", "agent.kind=munchausen"],
    ["agent.v_min=10", "agent.v_max=10", "agent.kind=c51"],
    ["agent.value_rescaling=0.001", "agent.kind=munchausen"],
    ["agent.kind=iqn", "learner.model_parallel=2"],
    ["learner.all_reduce=ring", "learner.strategy=mirrored"],
    ["ensemble.size=3", "ensemble.execution=processes", "replay.shards=2"],
    [*ROLLOUTS, "learner.schedule=overlap"],
    [*ROLLOUTS, "acting.actors=2"],
    [*ROLLOUTS, *ASYNCHRONOUS],
    [*ROLLOUTS, "agent.rollout_steps=10", "task.num_envs=3", "learner.batch_size=16"],
    [*AVERAGING, "learner.batch_size=32", "learner.workers=2", "learner.logical_devices=3"],
]
# What gives their keys a meaning, and is not named.
BESIDES = {
    "priorities.new_items=actor": ["priorities.exponent=0.6"],
    "priorities.importance_end=0.4": ["priorities.exponent=0.6", "replay.block_size=1"],
    "ensemble.partition_edges=[0.5]": ["ensemble.data=partition"],
    "ensemble.acting=member": ["ensemble.size=2"],
    "ensemble.target=aggregate": ["ensemble.size=2"],
}


def besides(overrides: list[str]) -> list[str]:
    return [each for override in overrides for each in BESIDES.get(override, ())]


@pytest.mark.parametrize("overrides", CONTRADICTIONS, ids=str)
def test_a_contradiction_is_refused_and_names_the_keys_and_their_values(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal(*overrides, *besides(overrides))
    # Some contradictions bring another along, which speaks first.
    monkeypatch.setattr("tfdqn.config.reader.contradiction", lambda config: None)
    config = from_mapping({}, [*overrides, *besides(overrides)])
    lines = [with_values(config, problem) for check in checks_of(config) for problem in check(config)]
    parts = [part for each in overrides for part in each.split("=")]
    assert any(all(part in line for part in parts) for line in lines), lines


def test_each_check_has_a_contradiction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.config.reader.contradiction", lambda config: None)
    configs = [from_mapping({}, [*each, *besides(each)]) for each in CONTRADICTIONS]
    speaking = {check for config in configs for check in checks_of(config) if any(check(config))}
    assert speaking == {*REPLAY_CHECKS, *ROLLOUT_CHECKS, *CHECKS}


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
