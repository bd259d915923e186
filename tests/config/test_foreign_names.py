"""A name of another library in place of a key: the message gives the key that it stands for."""

import re
from pathlib import Path
from typing import Any

import pytest

from tfdqn.config import Config
from tfdqn.config.foreign_names import _NAMES_INSTEAD, _UNITS, _other_unit, foreign_names, meant_by
from tfdqn.config.schema import keys
from tfdqn.config.toml import from_mapping
from tfdqn.errors import ConfigError
from tfdqn.tuning.search_space import load_space


def test_each_stands_for_a_key_that_there_is_and_is_none_itself() -> None:
    names = foreign_names()
    assert {key for own in names.values() for key in own} <= keys().keys()
    assert not names.keys() & {key.rpartition(".")[2] for key in keys()}
    assert not names.keys() & set(Config.__struct_fields__)


def test_a_name_that_no_key_stands_for_is_not_among_those_that_stand_for_one() -> None:
    instead = [name for names in _NAMES_INSTEAD.values() for name in names.split()]
    assert not set(instead) & foreign_names().keys()
    assert {name for name in instead if any(key.endswith(f".{name}") for key in keys())} == {"device"}


def test_a_unit_is_said_only_of_a_name_that_stands_for_one_key_and_counts_something_else() -> None:
    keys_of = foreign_names()
    for name in _UNITS:
        unit, _, other = _other_unit(name).removeprefix(", in ").partition(", not ")
        assert len(keys_of[name]) == 1, name
        assert unit != other, name


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("replay.max_size=100", 'replay.max_size is not a key (did you mean "replay.capacity"?); the keys of [replay]'),
        ("gamma=0.9", 'gamma is not a key (did you mean "agent.discount"?); the keys and sections are: seed'),
        (
            "exploration_fraction=0.1",
            'exploration_fraction is not a key (did you mean "exploration.decay_env_steps", in environment steps, not '
            "fractions of the whole training?)",
        ),
        (
            "dqn.target_update_interval=500",
            'dqn is not a key (did you mean "agent.target_update_period_train_steps" for its target_update_interval, '
            "in updates, not environment steps?)",
        ),
        (
            "target_update_period=9",
            'target_update_period is not a key (did you mean "agent.target_update_period_train_steps"?)',
        ),
        ("n_steps=5", 'n_steps is not a key (did you mean "agent.n_step" or "agent.rollout_steps"?); the keys and'),
        ("num_iterations=9", "num_iterations is not a key; the keys and sections are: seed"),
        (
            "policy_kwargs.net_arch=[64]",
            'policy_kwargs is not a key (did you mean "network.hidden_units" for its net_arch?); the keys and sections',
        ),
        (
            "policy_kwargs.share=true",
            'policy_kwargs is not a key (did you mean "network.activation" or "network.hidden_units"?); the keys and',
        ),
        ("dqn.share=true", "dqn is not a key; the keys and sections are: seed"),
        ("replay_buffer_config.capacity=9", 'replay_buffer_config is not a key (did you mean "replay.capacity"?)'),
        ("n_timesteps=9", 'n_timesteps is not a key (did you mean "stop.env_steps"?)'),
        ("optimizer.lr=1e-3", 'optimizer.lr is not a key (did you mean "optimizer.learning_rate"?)'),
        # A name that may mean anything, in a section of ours.
        ("task.max_length=1", "task.max_length is not a key; the keys of [task] are"),
        ("stop.n_steps=1", 'stop.n_steps is not a key (did you mean "stop.env_steps"?); the keys of [stop] are'),
        ("agent.n_steps=1", 'agent.n_steps is not a key (did you mean "agent.n_step" or "agent.rollout_steps"?)'),
        ("export.policy=1", "export.policy is not a key; the keys of [export] are"),
        ("agent.tau=1", 'agent.tau is not a key (did you mean "agent.target_update_tau"?)'),
        # A letter more or less: of another library's name, of a key in another section, of one in this one.
        ("agent.gama=0.9", 'agent.gama is not a key (did you mean "agent.discount"?); the keys of [agent] are'),
        ("replay.bufer_size=9", 'replay.bufer_size is not a key (did you mean "replay.capacity"?); the keys of'),
        (
            "target_update_intervals=9",
            'target_update_intervals is not a key (did you mean "agent.target_update_period_train_steps", in updates,',
        ),
        ("lerning_rate=1", 'lerning_rate is not a key (did you mean "optimizer.learning_rate"?); the keys and'),
        ("agent.discout=1", 'agent.discout is not a key (did you mean "agent.discount"?); the keys of [agent] are'),
        # A name that no key stands for.
        ("device=cuda", "device is not a key: learning uses all GPUs that TensorFlow sees "),
        ("learner.device=cpu", "learner.device is not a key: learning uses all GPUs that TensorFlow sees "),
        ("devices=1", "devices is not a key: learning uses all GPUs that TensorFlow sees "),
        ("num_gpu=1", "num_gpu is not a key: learning uses all GPUs that TensorFlow sees "),
        ("verbose=1", "verbose is not a key: there are no levels of output, and progress is always shown"),
        ("verbos=1", "verbos is not a key: there are no levels of output, and progress is always shown"),
        ("task.render_mode=human", "task.render_mode is not a key: `tfdqn evaluate RUN --video` records an episode"),
        # A misspelt name that no key stands for, where there is a key of that name.
        ("acting.devic=cpu", 'acting.devic is not a key (did you mean "acting.device"?); the keys of [acting] are'),
        # A key of ours, in another section.
        ("dqn.learning_rate=1", 'dqn is not a key (did you mean "optimizer.learning_rate" for its learning_rate?)'),
        ("agnet.discount=1", 'agnet is not a key (did you mean "agent"?); the keys and sections'),
        ("replay.batch_size=1", 'replay.batch_size is not a key (did you mean "learner.batch_size"?)'),
    ],
)
def test_an_override_and_a_file_are_told_the_key(override: str, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^override: {re.escape(line)}"):
        from_mapping({}, [override])
    values: dict[str, Any] = {}
    path, _, value = override.partition("=")
    section, _, key = path.rpartition(".")
    (values.setdefault(section, {}) if section else values)[key] = value
    with pytest.raises(ConfigError, match=f"^configuration: {re.escape(line)}"):
        from_mapping(values)


def test_the_names_in_a_table_of_another_library_come_before_the_name_of_the_table() -> None:
    def meant(name: str, table: dict[str, Any], section: str = "") -> str:
        return meant_by(name, table, section, ["seed", "agent", "replay"])

    inside = {"type": "x", "prioritized_replay_alpha": 0.6, "final_prioritized_replay_beta": 0.4}
    assert meant("replay_buffer_config", inside) == (
        ' (did you mean "priorities.exponent" for its prioritized_replay_alpha, '
        '"priorities.importance_end" for its final_prioritized_replay_beta?)'
    )
    assert meant("dqn", {"gamma": 0.9, "unknown": 1}) == ' (did you mean "agent.discount" for its gamma?)'
    assert meant("dqn", {"tau": 0.9}) == ' (did you mean "agent.target_update_tau" for its tau?)'
    assert meant("dqn", {"unknown": 1, "kind": 2}) == ""
    assert meant("replay_buffer_config", {}) == ' (did you mean "replay.capacity"?)'
    assert meant("env_config", {"gamma": 0.9}) == ' (did you mean "task.kwargs"?)'  # a keyword argument of the task's


def test_a_space_is_told_the_key(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    for text, meant in (
        ('"optimizer.lr" = { low = 1e-5, high = 1e-3 }', 'optimizer.lr is not a key (did you mean "optimizer.learn'),
        ("buffer_size = { low = 100, high = 200 }", 'buffer_size is not a key (did you mean "replay.capacity"?)'),
        ('"dqn.gamma" = { choices = [0.9, 0.99] }', 'dqn is not a key (did you mean "agent.discount" for its gamma?)'),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=re.escape(f"{file}: {meant}")):
            load_space(file, Config())
