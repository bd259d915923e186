"""A key that is set and never read is refused, unless an override made it so; a run that has one goes on without it."""

from pathlib import Path

import msgspec
import pytest

from tests.config.test_checks import refusal
from tfdqn.config import DQN, Agent, Config, Ensemble, Learner, Task
from tfdqn.config.fields import Needs, kinds, needs_of
from tfdqn.config.toml import checked, differences, dump, from_mapping, load, parse
from tfdqn.errors import ConfigError

SEQUENCES = ("replay.item=sequence", "network.memory=gru", "replay.sequence_length=60")
MEMBERS = ("ensemble.size=2",)
PARTITION = (*MEMBERS, "ensemble.data=partition", "ensemble.partition_edges=[1.0]")
PRIORITIES = ("priorities.exponent=0.6", "replay.block_size=1")
WORKERS = 'learner.strategy = "multi_worker", "parameter_server" or "averaging", not "local"'
SERVERS = 'learner.strategy = "parameter_server", not "local"'
AVERAGING = 'learner.strategy = "averaging", not "local"'
SEVERAL = "ensemble.size above 1, not 1"
USED = "priorities.exponent above 0, not 0.0"
DECAY = 'optimizer.schedule = "linear" or "exponential", not "constant"'
IN_WANDB, IN_MLFLOW = ("tracking.wandb=true",), ("tracking.mlflow=true",)
WANDB, MLFLOW = "tracking.wandb = true, not false", "tracking.mlflow = true, not false"
BY_TENSORFLOW = 'network.kind = "nature_cnn" or "impala", not "mlp"'
SEQUENCE = 'replay.item = "sequence", not "block"'

# A key's value, overrides with which it is read, and what it lacks without them.
CASES: list[tuple[str, tuple[str, ...], str]] = [
    ("network.noisy_sigma=0.1", ("network.noisy=true",), "network.noisy = true, not false"),
    ("network.memory_units=8", SEQUENCES, 'network.memory = "lstm" or "gru", not "none"'),
    ("network.degree=3", ("network.features=polynomial",), 'network.features = "polynomial", not "identity"'),
    ("agent.horizon_env_steps=9", ("agent.n_step_end=3",), "agent.n_step_end or agent.discount_end"),
    ("agent.horizon_env_steps=9", ("agent.discount_end=0.9",), "agent.n_step_end or agent.discount_end"),
    ("agent.huber_delta=2.0", ("agent.loss=huber",), 'agent.loss = "huber", not "squared"'),
    ("agent.log_policy_scale=0.5", ("agent.target=munchausen",), 'agent.target = "munchausen", not "max"'),
    ("agent.temperature=0.5", ("agent.target=munchausen",), 'agent.target = "munchausen", not "max"'),
    ("agent.log_policy_floor=-2.0", ("agent.target=munchausen",), 'agent.target = "munchausen", not "max"'),
    ("ensemble.aggregation=minimum", MEMBERS, SEVERAL),
    ("ensemble.data=hash", MEMBERS, SEVERAL),
    ("ensemble.mask_probability=0.3", MEMBERS, SEVERAL),
    ("ensemble.hash_cell_size=0.1", (*MEMBERS, "ensemble.data=hash"), SEVERAL),
    ("ensemble.partition_key=x", PARTITION, SEVERAL),
    ("ensemble.partition_index=1", PARTITION, SEVERAL),
    ("ensemble.partition_edges=[1.0]", PARTITION, SEVERAL),
    ("ensemble.acting=member", MEMBERS, SEVERAL),
    ("ensemble.target=aggregate", MEMBERS, SEVERAL),
    ("ensemble.execution=processes", MEMBERS, SEVERAL),
    ("task.action_mask_source=info", ("task.action_masks=true",), "task.action_masks = true, not false"),
    ("task.action_mask_form=logits", ("task.action_masks=true",), "task.action_masks = true, not false"),
    ("optimizer.end_learning_rate=1e-6", ("optimizer.schedule=linear",), DECAY),
    ("optimizer.decay_train_steps=9", ("optimizer.schedule=exponential",), DECAY),
    ("acting.most_envs_per_inference=9", ("acting.inference=central",), 'acting.inference = "central", not "local"'),
    ("acting.device=gpu", ("network.kind=impala",), BY_TENSORFLOW),
    ("acting.device=gpu", ("agent.kind=tests.config.test_checks_of_unused_keys:own",), BY_TENSORFLOW),
    ("replay.sequence_length=50", SEQUENCES, SEQUENCE),
    ("replay.burn_in=0", SEQUENCES, SEQUENCE),
    ("replay.sequence_period=30", SEQUENCES, SEQUENCE),
    ("priorities.importance_start=0.5", PRIORITIES, USED),
    ("priorities.importance_end=0.9", PRIORITIES, USED),
    ("priorities.importance_train_steps=9", PRIORITIES, USED),
    ("priorities.new_items=actor", PRIORITIES, USED),
    ("priorities.epsilon=0.1", PRIORITIES, USED),
    ("tracking.wandb_project=x", IN_WANDB, WANDB),
    ("tracking.wandb_entity=x", IN_WANDB, WANDB),
    ("tracking.wandb_group=x", IN_WANDB, WANDB),
    ("tracking.wandb_mode=offline", IN_WANDB, WANDB),
    ("tracking.mlflow_experiment=x", IN_MLFLOW, MLFLOW),
    ("tracking.mlflow_tracking_uri=x", IN_MLFLOW, MLFLOW),
    ("learner.workers=4", ("learner.strategy=multi_worker",), WORKERS),
    ("learner.parameter_servers=3", ("learner.strategy=parameter_server",), SERVERS),
    ("learner.updates_per_read=2", ("learner.strategy=parameter_server",), SERVERS),
    ("learner.max_staleness_train_steps=9", ("learner.strategy=parameter_server",), SERVERS),
    ("learner.averaging_period_train_steps=5", ("learner.strategy=averaging",), AVERAGING),
    ("learner.average_optimizer=false", ("learner.strategy=averaging",), AVERAGING),
    ("export.keep=9", ("export.on_best=true",), "export.on_best = true, not false"),
    ("export.directory=/tmp/x", ("export.on_best=true",), "export.on_best = true, not false"),
]
# A key's value, overrides with which it is read, others with which it is not, and what it lacks then.
CASES_AFTER: list[tuple[str, tuple[str, ...], tuple[str, ...], str]] = [
    ("replay.block_size=8", (), ("replay.backend=in_graph",), 'replay.backend = "reverb", not "in_graph"'),
    ("replay.block_size=8", (), SEQUENCES, 'replay.item = "block", not "sequence"'),
    ("replay.shards=2", (), ("replay.backend=in_graph",), 'replay.backend = "reverb", not "in_graph"'),
    (
        "exploration.ladder_alpha=7",
        (),
        ("task.num_envs=1", "acting.actors=1"),
        "task.num_envs or acting.actors above 1, not 1",
    ),
    (
        "ensemble.mask_probability=0.3",
        MEMBERS,
        (*MEMBERS, "ensemble.data=all"),
        'ensemble.data = "bootstrap", not "all"',
    ),
    (
        "ensemble.hash_cell_size=0.3",
        (*MEMBERS, "ensemble.data=hash"),
        MEMBERS,
        'ensemble.data = "hash", not "bootstrap"',
    ),
    ("ensemble.partition_edges=[0.5]", PARTITION, MEMBERS, 'ensemble.data = "partition", not "bootstrap"'),
    (
        "learner.updates_per_read=2",
        ("learner.strategy=parameter_server",),
        ("learner.strategy=averaging",),
        '"parameter_server", not "averaging"',
    ),
]
KINDS = {"network.degree": "network.kind=linear", "agent.huber_delta": "agent.kind=double_dqn"}
OF_MUNCHAUSEN = ("agent.log_policy_scale", "agent.temperature", "agent.log_policy_floor")
KINDS |= dict.fromkeys(OF_MUNCHAUSEN, "agent.kind=qr_dqn")


class OwnAgent(Agent, frozen=True, kw_only=True, tag_field="kind", tag="tests.config.test_checks_of_unused_keys:own"):
    """One whose head may be computed by TensorFlow alone."""


def marks() -> dict[str, list[Needs]]:
    found: dict[str, list[Needs]] = {}
    for section in msgspec.structs.fields(Config):
        for struct in kinds(section.type).values():
            for key in msgspec.structs.fields(struct):
                found.setdefault(f"{section.name}.{key.name}", []).extend(needs_of(key.type))
    return found


@pytest.mark.parametrize(("override", "with_which", "lacking"), CASES, ids=str)
def test_a_key_is_refused_where_nothing_reads_it(override: str, with_which: tuple[str, ...], lacking: str) -> None:
    key = override.partition("=")[0]
    kind = [KINDS[key]] if key in KINDS else []
    from_mapping({}, [*kind, *with_which, override])
    line = refusal(*kind, override)
    assert line.startswith(f"override: {key} = ") and line.endswith(f" needs {lacking}")


@pytest.mark.parametrize(("override", "with_which", "after", "lacking"), CASES_AFTER, ids=str)
def test_other_keys_can_leave_it_without_a_reader(
    override: str, with_which: tuple[str, ...], after: tuple[str, ...], lacking: str
) -> None:
    from_mapping({}, [*with_which, override])
    assert refusal(*after, override).endswith(lacking)


def test_every_key_that_needs_others_has_its_case() -> None:
    needing = {key for key, needs in marks().items() if any(not each.is_of_the_agent for each in needs)}
    assert needing == {override.partition("=")[0] for override, *_ in (*CASES, *CASES_AFTER)}


def test_what_a_key_needs_is_a_key() -> None:
    known = marks()
    for needs in known.values():
        assert all(key in {"agent.kind", "network.kind", *known} for each in needs for key in each.keys)


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("replay.backend=in_graph", "it has no replay"),
        ("replay.item=frames", "it has no replay"),
        ("replay.block_size=8", "it has no replay"),
        ("replay.shards=2", "it has no replay"),
        ("replay.capacity=20000", "it has no replay"),
        ("replay.min_size=2000", "it has no replay"),
        ("priorities.exponent=0.6", "it has no replay"),
        ("priorities.new_items=actor", "it has no replay"),
        ("learner.env_steps_per_update=4", "agent.epochs and learner.batch_size give the number"),
        ("learner.updates_per_call=10", "a call makes all updates of a rollout"),
        ("learner.prefetch_to_device=true", "its batches come from a rollout that is complete already"),
        ("agent.n_step=3", "agent.lambda_ says"),
        ("agent.n_step_end=3", "agent.lambda_ says"),
        ("agent.discount_end=0.5", "its discount is constant"),
        ("agent.horizon_env_steps=1000", "its discount is constant"),
        ("agent.value_rescaling=0.001", "its returns are sums of rewards as they are"),
        ("agent.target_update_period_train_steps=10", "it has no target network"),
        ("agent.target_update_tau=0.5", "it has no target network"),
    ],
)
def test_a_key_that_means_nothing_to_an_agent_without_replay_is_refused(override: str, why: str) -> None:
    key, _, value = override.partition("=")
    line = refusal("agent.kind=pqn", "learner.schedule=alternate", override)
    assert line.startswith(f"override: {key} = ") and value in line.lower()
    assert f'means nothing with agent.kind = "pqn": {why}' in line


def test_a_default_is_no_mistake() -> None:
    from_mapping({"agent": {"huber_delta": 1.0}}, ["learner.workers=2"])


def test_what_is_registered_by_a_module_of_the_users_may_read_any_key() -> None:
    (needs,) = (each for each in marks()["replay.burn_in"] if not each.is_of_the_agent)
    config = msgspec.structs.replace(Config(), replay=msgspec.structs.replace(Config().replay, item="my.module:name"))
    assert needs.holds(config) and not needs.holds(Config())


def test_an_override_leaves_out_the_files_keys_that_it_deprives_of_meaning_and_says_which(tmp_path: Path) -> None:
    file, said = tmp_path / "a.toml", list[str]()
    file.write_text("[replay]\nblock_size = 8\n")
    config = load(file, ["replay.backend=in_graph"], said.append)
    assert config.replay.block_size == Config().replay.block_size
    assert said == [
        f'replay.block_size = 8 needs replay.backend = "reverb", not "in_graph": left out of what {file} says'
    ]


def test_the_files_own_contradiction_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[agent]\nhuber_delta = 2.0\n")
    with pytest.raises(ConfigError, match=f'^{file}: agent.huber_delta = 2 needs agent.loss = "huber", not "squared"$'):
        load(file, ["agent.discount=0.9"])


def test_a_configuration_that_was_saved_with_such_a_key_is_read_without_it() -> None:
    saved = Config(agent=DQN(huber_delta=2.0), learner=Learner(workers=5))
    unused: dict[str, str] = {}
    read = parse(dump(saved).encode(), unused=unused)
    assert read == Config()
    assert differences(read, Config(), "run") == []
    assert unused == {
        "agent.huber_delta": 'configuration: agent.huber_delta = 2 needs agent.loss = "huber", not "squared"',
        "learner.workers": f"configuration: learner.workers = 5 needs {WORKERS}",
    }


def test_a_configuration_made_in_python_is_refused_too() -> None:
    with pytest.raises(ConfigError, match=r"^configuration: ensemble\.acting = "):
        checked(Config(ensemble=Ensemble(acting="member")))


def test_the_printed_configuration_says_what_a_key_needs() -> None:
    (line,) = (each for each in dump(Config()).splitlines() if each.startswith("huber_delta"))
    assert line.endswith('beyond which the Huber loss is linear (needs agent.loss = "huber")')


WINDOWS = (
    'task.kwargs.render_mode = "human": training opens no windows, and `tfdqn evaluate RUN --video` records an episode'
)


def test_windows_of_environments_are_refused_with_what_there_is_instead() -> None:
    assert refusal("task.kwargs.render_mode=human") == f"override: {WINDOWS}"
    with pytest.raises(ConfigError, match=r"^configuration: task\.kwargs\.render_mode = "):
        checked(Config(task=Task(kwargs={"render_mode": "human", "size": 3})))
    from_mapping({"task": {"kwargs": {"render_mode": "rgb_array"}}})  # a task may observe what it renders


def test_a_run_that_was_begun_with_windows_goes_on_without_them() -> None:
    saved, unused = Config(task=Task(kwargs={"size": 3, "render_mode": "human"})), dict[str, str]()
    read = parse(dump(saved).encode(), unused=unused)
    assert read == Config(task=Task(kwargs={"size": 3}))
    assert unused == {"task.kwargs": f"configuration: {WINDOWS}"}
