"""Configuration files: what is written is read back, and what is wrong is said in one line."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tfdqn.config import DQN, MLP, SGD, Config, RMSprop, Stop, Task
from tfdqn.config.toml import checked, dump, flat, from_mapping, load, parse, with_changed_task
from tfdqn.errors import ConfigError


def problem(values: dict[str, Any], *overrides: str) -> str:
    """The one line of the ConfigError that `values` end in."""
    with pytest.raises(ConfigError) as caught:
        from_mapping(values, overrides)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_with_overrides_gives_what_both_say(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "small.toml"
    file.write_text('[task]\nid = "Acrobot-v1"\n[agent]\nn_step = 2\n', encoding)
    config = load(file, ["agent.n_step=3", "task.kwargs.map_name=8x8", "network.hidden_units=[64, 32]"])
    assert config == Config(
        task=Task(id="Acrobot-v1", kwargs={"map_name": "8x8"}), agent=DQN(n_step=3), network=MLP(hidden_units=(64, 32))
    )


def test_a_section_without_kind_is_of_the_default_kind() -> None:
    assert from_mapping({"network": {"hidden_units": [8]}}).network == MLP(hidden_units=(8,))


def test_an_override_of_kind_alone_takes_the_new_kinds_defaults() -> None:
    assert from_mapping({}, ["optimizer.kind=rmsprop"]).optimizer == RMSprop()


def test_keys_that_both_kinds_have_outlive_a_change_of_kind() -> None:
    config = from_mapping({"optimizer": {"kind": "adam", "learning_rate": 0.5}}, ["optimizer.kind=sgd"])
    assert config.optimizer == SGD(learning_rate=0.5)


def test_a_key_of_another_kind_is_named_with_both_kinds() -> None:
    assert problem({"optimizer": {"kind": "sgd", "beta_1": 0.8}}) == (
        'configuration: optimizer.beta_1 = 0.8 is a key of optimizer.kind = "adam" or "radam", and '
        'optimizer.kind is "sgd", '
        "whose keys are: learning_rate, schedule, end_learning_rate, decay_train_steps, momentum"
    )


def test_none_as_an_override_takes_a_value_back() -> None:
    assert from_mapping({"stop": {"return_at_least": 475}}, ["stop.return_at_least=none"]).stop == Stop()


@pytest.mark.parametrize("day", ["2030-01-01", "2030-01-01 10:30:00", "2030-01-01T10:30:00Z", "10:30:00"])
def test_a_date_on_the_command_line_is_its_text(day: str) -> None:
    assert from_mapping({}, [f"task.kwargs.first_day={day}"]).task.kwargs == {"first_day": day}


def test_a_date_in_a_file_is_to_be_quoted() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(b"[task]\nkwargs = { first_day = 2030-01-01 }")
    line = 'configuration: task.kwargs.first_day = 2030-01-01: a date or a time must be in quotes: "2030-01-01"'
    assert str(caught.value) == line
    with pytest.raises(ConfigError, match="seed = 2030-01-01: must be a whole number"):
        parse(b"seed = 2030-01-01")
    assert 'kwargs.days[0] = 10:30:00: a date or a time must be in quotes: "10:30:00"' in problem(
        {}, "task.kwargs.days=[10:30:00]"
    )


def test_a_text_that_looks_like_a_number_can_be_quoted() -> None:
    assert from_mapping({}, ['task.id="3"']).task.id == "3"


@pytest.mark.parametrize(
    ("values", "overrides", "line"),
    [
        (
            {"agent": {"n_stp": 3}},
            [],
            'configuration: agent.n_stp is not a key (did you mean "agent.n_step"?); the keys of [agent] are: '
            "kind, n_step, discount, n_step_end, discount_end, horizon_env_steps, reward_scale, "
            "target_update_period_train_steps, target_update_tau, gradient_clip_norm, "
            "loss, huber_delta, value_rescaling",
        ),
        (
            {"agent.n_step": 3},
            [],
            "configuration: agent.n_step is not a key; the keys and sections are: seed, task, "
            "network, agent, ensemble, optimizer, exploration, acting, replay, priorities, learner, stop, evaluation, "
            "checkpoint, export, logging, tracking, health",
        ),
        (
            {"n_step": 3},
            [],
            'configuration: n_step is not a key (did you mean "agent.n_step"?); the keys and sections '
            "are: seed, task, "
            "network, agent, ensemble, optimizer, exploration, acting, replay, priorities, learner, stop, evaluation, "
            "checkpoint, export, logging, tracking, health",
        ),
        (
            {"network": {"kind": "linear", "degre": 3}},
            [],
            'configuration: network.degre is not a key (did you mean "network.degree"?); the keys of '
            "[network] are: kind, features, degree, normalize_observations",
        ),
        (
            {"agent": {"kind": "double"}},
            [],
            'configuration: agent.kind = "double": must be one of "dqn", "double_dqn", "munchausen", "pqn", "c51", '
            '"qr_dqn", "iqn", or one of your own, "my_module:name" (did you mean "double_dqn"?)',
        ),
        (
            {"optimizer": {"kind": "adma"}},
            [],
            'configuration: optimizer.kind = "adma": must be one of "adam", "radam", "rmsprop", "sgd" (did '
            'you mean "adam"?)',
        ),
        ({}, ["agent.n_step=0"], "override: agent.n_step = 0: must be a whole number from 1 to 1000"),
        ({}, ["agent.n_step=2.0"], "override: agent.n_step = 2.0: must be a whole number from 1 to 1000: write 2"),
        ({}, ["agent.n_step=1e5"], "override: agent.n_step = 100000.0: must be a whole number from 1 to 1000"),
        ({}, ["agent.n_step=2.5"], "override: agent.n_step = 2.5: must be a whole number from 1 to 1000"),
        (
            {},
            ["stop.env_steps=1e5"],
            "override: stop.env_steps = 100000.0: must be a whole number at least 1: write 100_000",
        ),
        ({}, ["task.id=1e5"], "override: task.id = 100000.0: must be text in quotes, not empty"),
        ({}, ["agent.n_step=true"], "override: agent.n_step = true: must be a whole number from 1 to 1000"),
        ({}, ["agent.n_step="], 'override: agent.n_step = "": must be a whole number from 1 to 1000'),
        ({}, ["agent.discount=1.5"], "override: agent.discount = 1.5: must be a number from 0 to 1"),
        ({}, ["agent.discount=nan"], "override: agent.discount = nan: must be a finite number"),
        ({}, ["stop.return_at_least=-inf"], "override: stop.return_at_least = -inf: must be a finite number"),
        ({}, ["task.kwargs.x=[1, nan]"], "override: task.kwargs.x[1] = nan: must be a finite number"),
        ({}, ["replay.capacity=0"], "override: replay.capacity = 0: must be a whole number from 1 to 2147483647"),
        (
            {},
            ["replay.capacity=100_000_000_000"],
            "override: replay.capacity = 100000000000: must be a whole number from 1 to 2147483647",
        ),
        ({}, ["replay.min_size=0"], "override: replay.min_size = 0: must be a whole number at least 1"),
        (
            {},
            ["stop.env_steps=10_000_000_000_000_000"],
            "override: stop.env_steps = 10000000000000000: must be a whole number from 1 to 9007199254740992",
        ),
        ({}, ["task.id=3"], "override: task.id = 3: must be text in quotes, not empty"),
        ({}, ["task.action_masks=1"], "override: task.action_masks = 1: must be true or false"),
        (
            {},
            ["task.action_mask_source=infos"],
            'override: task.action_mask_source = "infos": must be one of "auto", "info", "observation", or one of your '
            'own, "method:NAME" (did you mean "info"?)',
        ),
        ({}, ["task.kwargs=3"], "override: task.kwargs = 3: must be a table"),
        (
            {},
            ["network.hidden_units=[8, 0]"],
            "override: network.hidden_units = [8, 0]: must be a list, each element of which is a whole number from 1 "
            "to 65536",
        ),
        ({}, ["optimizer.beta_1=1"], "override: optimizer.beta_1 = 1: must be a number at least 0 and below 1"),
        ({"agent": 3}, [], "configuration: agent = 3: must be a table, [agent]"),
        ({}, ["seed"], 'override "seed": must be key=value, such as agent.n_step=3'),
        ({}, ["=3"], 'override "=3": must be key=value, such as agent.n_step=3'),
        ({}, ["agent.=3"], 'override "agent.=3": must be key=value, such as agent.n_step=3'),
        ({"seed": 2}, ["seed.x=3"], 'override "seed.x=3": "seed" is 2, not a table'),
    ],
)
def test_bad_input_is_named_with_its_value_and_what_is_allowed(
    values: dict[str, Any], overrides: list[str], line: str
) -> None:
    assert problem(values, *overrides) == line


def test_broken_toml_is_located_by_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("seed = 1\n[agent\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: is not valid TOML: .*line 2, column 7"):
        load(file)


def test_none_on_the_command_line_is_a_keys_own_word_where_it_has_that_word() -> None:
    config = from_mapping({"network": {"memory": "gru"}}, ["network.memory=none", "stop.return_at_least=none"])
    assert (config.network.memory, config.stop.return_at_least) == ("none", None)


def test_none_on_the_command_line_empties_a_list() -> None:
    names = {"task": {"action_names": ["left", "right"]}}
    assert from_mapping(names, ["task.action_names=none"]).task.action_names == ()


def test_every_key_is_written_with_its_meaning() -> None:
    text = dump(Config())
    assert "# Mnih et al. 2015: the next state's value is the target network's highest Q-value." in text
    assert "n_step = 1                             # rewards summed before bootstrapping" in text
    assert 'kind = "mlp"  # one of mlp, nature_cnn, ' in text
    assert 'decay = "linear"          # shape of the decay: linear, exponential' in text
    assert "# return_at_least = " in text
    assert len([line for line in text.splitlines() if " = " in line and "  # " not in line]) == 0


def test_a_configuration_made_in_python_is_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"^configuration: agent\.n_step = 0: must be a whole number from 1"):
        checked(Config(agent=DQN(n_step=0)))
    with pytest.raises(ConfigError, match=r"task\.kwargs\.f = .*: must be a string, a number"):
        checked(Config(task=Task(kwargs={"f": None})))


def test_a_checked_configuration_is_what_a_file_would_give_back() -> None:
    assert checked(Config(task=Task(kwargs={"size": (3, 4)}))).task.kwargs == {"size": [3, 4]}


def test_flat_names_every_key_and_keeps_values_whole() -> None:
    config = Config(seed=3, task=Task(kwargs={"size": {"x": 1}}))
    paths = flat(config)
    assert (paths["seed"], paths["task.kwargs"], paths["agent.kind"]) == (3, {"size": {"x": 1}}, "dqn")
    assert paths["network.kind"] == "mlp"
    assert paths == flat(msgspec.to_builtins(config))


def test_a_line_break_in_an_override_adds_no_key() -> None:
    config = from_mapping({}, ["task.kwargs.name=3\nseed = 9"])
    assert config == Config(task=Task(kwargs={"name": "3\nseed = 9"}))


def test_the_callers_mapping_stays_as_it_was() -> None:
    values = {"agent": {"n_step": 2}}
    from_mapping(values, ["agent.n_step=3"])
    assert values == {"agent": {"n_step": 2}}


def test_bytes_of_a_command_line_that_are_no_text_are_refused() -> None:
    assert problem({}, "task.id=\udcff") == 'override: task.id = "\\udcff": must be valid Unicode'
    assert "must be strings" in problem({}, "task.kwargs.\udcff=3")


def test_an_overridden_kind_leaves_out_the_files_keys_of_another_and_says_which(tmp_path: Path) -> None:
    file = tmp_path / "images.toml"
    file.write_text('[network]\nkind = "nature_cnn"\ndense_units = 64\ndueling = true\n')
    said: list[str] = []
    network = load(file, ["network.kind=mlp", "network.hidden_units=[8]"], said.append).network
    assert network == MLP(dueling=True, hidden_units=(8,))
    assert said == [f'network.kind = "mlp" has no network.dense_units: left out of what {file} says']
    for overrides in (["network.kind=mlp", "network.dense_units=3"], ['network={kind="mlp", dense_units=3}']):
        with pytest.raises(ConfigError, match=r"^override: network\.dense_units = 3 is a key of network\.kind"):
            load(file, overrides, said.append)
    file.write_text('[network]\nkind = "mlp"\ndense_units = 64\n')
    with pytest.raises(ConfigError, match=r"images\.toml: network\.dense_units = 64 is a key of network\.kind"):
        load(file, ["network.dueling=true"], said.append)
    file.write_text("[network]\n")
    assert load(file, [], said.append) == Config() and said[1:] == [f"{file} sets no key: the defaults are used"]


def test_a_key_given_twice_is_named() -> None:
    with pytest.raises(ConfigError, match=r'^configuration: line 3 gives a key or a table .*: "b = 2"$'):
        parse(b"[a]\nb = 1\nb = 2")


DUE = 'overrides must be a list of key=value strings, such as ["agent.n_step=3"]; '


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"agent.n_step": 3}, "the argument is of type dict"),
        ({}, "the argument is of type dict"),
        (["seed=1", 3], "3 is of type int"),
        ([None], "None is None"),
        (3, "the argument is of type int"),
        (None, "the argument is None"),
    ],
)
def test_overrides_are_a_list_of_strings(overrides: Any, found: str, tmp_path: Path) -> None:
    (tmp_path / "small.toml").touch()
    for refuse in (
        lambda: load(tmp_path / "small.toml", overrides),
        lambda: with_changed_task(Config(), overrides, ""),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse()
        assert str(caught.value) == DUE + found


@pytest.mark.parametrize(("path", "found"), [({}, "of type dict"), (b"small.toml", "of type bytes")])
def test_a_file_is_named_by_a_path(path: Any, found: str) -> None:
    with pytest.raises(ConfigError, match=f"^the path of a TOML file is needed, .*; the argument is {found}$"):
        load(path)
