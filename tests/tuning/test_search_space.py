"""Search spaces: what is read, what becomes of a trial's values, and what is wrong in one line."""

import json
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tfdqn.config import DQN, MLP, Adam, Config, SmallCNN
from tfdqn.config.toml import from_mapping, load
from tfdqn.errors import ConfigError, ConfigErrors
from tfdqn.tuning.search_space import Choices, NumberRange, SearchSpace, dimensions_of, load_space, written_dimension

CONFIGS = Path(__file__).parents[2] / "configs"


def space_of(tmp_path: Path, text: str, config: Config | None = None, overridden: tuple[str, ...] = ()) -> SearchSpace:
    file = tmp_path / "space.toml"
    file.write_text(text, encoding="utf-8")
    return load_space(file, config or Config(), overridden)


def problem(tmp_path: Path, text: str, config: Config | None = None, overridden: tuple[str, ...] = ()) -> str:
    """The one line of the ConfigError, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        space_of(tmp_path, text, config, overridden)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line.replace(f"{tmp_path / 'space.toml'}", "SPACE")


def test_ranges_and_choices_have_the_types_of_their_keys(tmp_path: Path) -> None:
    text = """
        "optimizer.learning_rate" = { low = 1e-5, high = 1, log = true }
        "agent.n_step" = { low = 1, high = 8, step = 2 }
        network.hidden_units = { choices = [[64, 64], [256]] }
        "agent.n_step_end" = { choices = ["none", 4] }
        [exploration]
        end = { low = 0, high = 0.1 }
        [task.kwargs]
        size = { low = 1, high = 2.5 }
    """
    dimensions = space_of(tmp_path, text).dimensions
    assert dimensions == {
        "optimizer.learning_rate": NumberRange(1e-5, 1.0, log=True),
        "agent.n_step": NumberRange(1, 7, 2),  # 8 is not reached from 1 by twos
        "network.hidden_units": Choices(((64, 64), (256,))),
        "agent.n_step_end": Choices((None, 4)),
        "exploration.end": NumberRange(0.0, 0.1),
        "task.kwargs.size": NumberRange(1.0, 2.5),
    }
    assert [type(each) for each in vars(dimensions["optimizer.learning_rate"]).values()] == [float, float, int, bool]
    assert list(dimensions)[-2:] == ["exploration.end", "task.kwargs.size"]
    assert [type(each) for each in vars(dimensions["task.kwargs.size"]).values()] == [float, float, int, bool]


def test_a_recorded_space_is_read_and_written_as_its_file_had_it(tmp_path: Path) -> None:
    ranges = """
        "optimizer.learning_rate" = {low = 1e-05, high = 1.0, log = true}
        "agent.n_step" = {low = 1, high = 7, step = 2}
        "exploration.end" = {low = 0.0, high = 0.1}
        "network.hidden_units" = {choices = [[64, 64], [256]]}
        "agent.n_step_end" = {choices = ["none", 4]}
    """
    space = space_of(tmp_path, ranges)
    recorded = json.loads(json.dumps(space.to_builtins()))
    assert [f'"{key}" = {written_dimension(each)}' for key, each in recorded.items()] == [
        line.strip() for line in ranges.strip().splitlines()
    ]
    found = dimensions_of(recorded)
    units = found.pop("network.hidden_units")
    assert units == Choices(([64, 64], [256]))  # JSON has no tuples
    assert found == {key: each for key, each in space.dimensions.items() if key in found}


def test_a_keyword_argument_may_have_the_name_of_a_word(tmp_path: Path) -> None:
    text = "[task.kwargs]\nstep = { low = 1, high = 3 }\nlow = { choices = [1, 2] }"
    assert space_of(tmp_path, text).dimensions == {
        "task.kwargs.step": NumberRange(1, 3),
        "task.kwargs.low": Choices((1, 2)),
    }


def test_a_trials_values_become_what_the_command_line_would_say(tmp_path: Path) -> None:
    text = """
        "agent.kind" = { choices = ["dqn", "munchausen"] }
        "network.hidden_units" = { choices = [[64, 64], [256]] }
        "agent.n_step_end" = { choices = ["none", 4] }
        "agent.loss" = { choices = ["squared", "huber"] }
        "task.kwargs.render" = { choices = [true, false] }
    """
    values = {"agent.kind": "munchausen", "network.hidden_units": (256,), "agent.n_step_end": None}
    values |= {"agent.loss": "huber", "task.kwargs.render": True}
    overrides = space_of(tmp_path, text).overrides(values)
    assert overrides == [
        'agent.kind="munchausen"',
        "network.hidden_units=[256]",
        "agent.n_step_end=none",
        'agent.loss="huber"',
        "task.kwargs.render=true",
    ]
    config = from_mapping({}, overrides)
    assert (config.agent.kind, config.network, config.agent.n_step_end) == (
        "munchausen",
        MLP(hidden_units=(256,)),
        None,
    )


def test_a_key_of_one_searched_kind_is_left_out_beside_another(tmp_path: Path) -> None:
    space = space_of(
        tmp_path, '"optimizer.kind" = { choices = ["adam", "sgd"] }\n"optimizer.momentum" = { low = 0.5, high = 0.9 }\n'
    )
    assert space.overrides({"optimizer.kind": "sgd", "optimizer.momentum": 0.6}) == [
        'optimizer.kind="sgd"',
        "optimizer.momentum=0.6",
    ]
    assert space.overrides({"optimizer.kind": "adam", "optimizer.momentum": 0.6}) == ['optimizer.kind="adam"']


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 'is empty: it names the keys to search, such as "optimizer.learning_rate" = '),
        ("a = ", "is not valid TOML: "),
        ("[agent]\nn_step = {}", "agent.n_step has no low"),
        ("[task.kwargs]\nsize = { low = 1, high = 3 }\nx = 3", "task.kwargs.x = 3: must be a table"),
        (f"[task.kwargs]\nx = {{ low = 0.5, high = {10**400} }}", "task.kwargs.x: 1"),
        ('"optimizer.lr" = { low = 1, high = 2 }', "optimizer.lr is not a key"),
        ('"optimzer.epsilon" = { low = 1, high = 2 }', "optimzer is not a key (did you mean"),
        (
            '"optimizer.momentum" = { low = 0.1, high = 0.2 }',
            'optimizer.momentum = 0.1 is a key of optimizer.kind = "rmsprop" or "sgd", and optimizer.kind is "adam"',
        ),
        (
            '"optimizer.learning_rate" = { low = 0.0, high = 1.0 }',
            "optimizer.learning_rate = 0.0: must be a number above 0 and at most 1e+12",
        ),
        ('"agent.n_step" = { low = 1, high = 1001 }', "agent.n_step = 1001: must be a whole number from 1 to 1000"),
        ('"agent.n_step" = { low = 1.5, high = 3 }', "agent.n_step = 1.5: must be a whole number"),
        (
            '"agent.kind" = { choices = ["dqn", "doubledqn"] }',
            'agent.kind = "doubledqn": must be one of "dqn", "double_dqn"',
        ),
        ('"agent.n_step" = { choices = [1, 1001] }', "agent.n_step = 1001: must be a whole number from 1 to 1000"),
        ('"agent.n_step.x" = { low = 1, high = 3 }', "agent.n_step = {'x': 1}: must be a whole number from 1 to 1000"),
        ('"optimizer" = { choices = [{ kind = "adam" }, { kind = "sgd" }] }', "optimizer is a section: give its keys"),
        ('"learner" = { low = 1, high = 3 }', "learner is a section: give its keys, such as "),
        ("[task.kwargs]\nx = { low = 3, high = 1 }", "task.kwargs.x: low = 3 must be below high = 1"),
        ('"agent.n_step" = { choices = [1, "two"] }', 'agent.n_step = "two": must be a whole number'),
        ('"agent.loss" = { low = "a", high = "b" }', 'agent.loss = "a": must be one of "squared", "huber"'),
        ('"agent.loss" = { low = "huber", high = "squared" }', "agent.loss is no number: give choices"),
        ('"replay.backend" = 3', "replay.backend = 3: must be a table, { low = …, high = … } or"),
        (
            '"agent.n_step" = { lowest = 1, high = 3 }',
            'agent.n_step has "lowest" (did you mean "low"?): must be one of low, high, step, log, choices',
        ),
        ('"agent.n_step" = { high = 3 }', "agent.n_step has no low: give low and high, or choices"),
        ('"agent.n_step" = { low = 3, high = 3 }', "agent.n_step: low = 3 must be below high = 3"),
        ('"exploration.end" = { low = 0.0, high = 0.1, log = true }', "exploration.end: low = 0.0 must be above 0"),
        ('"exploration.end" = { low = 0.1, high = 0.2, log = 1 }', "exploration.end.log = 1: must be true or false"),
        ('"exploration.end" = { low = 0.1, high = 0.2, step = 1 }', "exploration.end.step = 1: is for whole numbers"),
        (
            '"agent.n_step" = { low = 1, high = 3, step = 3 }',
            "agent.n_step.step = 3: must be a whole number from 1 to 2",
        ),
        ('"agent.n_step" = { choices = [1, 2], low = 1 }', "agent.n_step has choices and low: give one of them"),
        ('"agent.n_step" = { choices = [1] }', "agent.n_step.choices = [1]: must be a list of at least two values"),
        ('"agent.discount" = { choices = [1, 0.9, 1.0] }', "agent.discount.choices has 1.0 twice"),
        ('"seed" = { low = 1, high = 9 }', "seed can't be searched: every trial has the seed of the configuration"),
        ('"stop.env_steps" = { low = 1, high = 9 }', "stop.env_steps can't be searched: trials are compared after"),
        ('"tracking.name" = { choices = ["a", "b"] }', "tracking.name can't be searched: where a trial is shown"),
        ('"evaluation.episodes" = { low = 1, high = 9 }', "evaluation.episodes can't be searched: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    assert problem(tmp_path, text).startswith(f"SPACE: {line}")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file"):
        load_space(tmp_path / "none.toml", Config())


def test_keys_are_those_of_the_configurations_own_kinds(tmp_path: Path) -> None:
    text = '"network.dense_units" = { low = 16, high = 64, step = 16 }'
    assert problem(tmp_path, text).startswith("SPACE: network.dense_units = 16 is a key of network.kind = ")
    space = space_of(tmp_path, text, Config(network=SmallCNN(), optimizer=Adam()))
    assert space.dimensions == {"network.dense_units": NumberRange(16, 64, 16)}


@pytest.mark.parametrize("given", ["agent.n_step", "task.kwargs"])
def test_a_key_that_is_searched_and_given_is_refused(tmp_path: Path, given: str) -> None:
    text = '"agent.n_step" = { low = 1, high = 3 }\n"task.kwargs" = { choices = [{ a = 1 }, { a = 2 }] }'
    line = problem(tmp_path, text, overridden=("agent.discount", given))
    assert line == f"{given} is given on the command line, and searched by SPACE: leave out one of them"


def test_the_shipped_spaces_suit_their_configurations() -> None:
    spaces = sorted((CONFIGS / "spaces").glob("*.toml"))
    assert spaces
    for file in spaces:
        assert load_space(file, load(CONFIGS / file.name)).dimensions


PQN = load(PROJECT / "configs" / "algorithms" / "pqn.toml")
USELESS: dict[str, NumberRange | Choices] = {
    "optimizer.learning_rate": NumberRange(1e-4, 1e-2),
    "network.memory_units": NumberRange(10, 20),
}


def test_a_key_without_effect_in_any_trial_is_refused() -> None:
    space = SearchSpace("space.toml", USELESS)
    with pytest.raises(ConfigError) as raised:
        space.refuse_keys_without_effect(Config())
    why = 'it needs network.memory = "lstm" or "gru"'
    assert str(raised.value) == f"space.toml: network.memory_units has no effect in any trial: {why}"
    space.refuse_keys_without_effect(Config(network=MLP(memory="gru")))
    with pytest.raises(ConfigError, match=r"learner\.updates_per_call has no effect in any trial: a call makes all"):
        SearchSpace("", {"learner.updates_per_call": NumberRange(1, 9)}).refuse_keys_without_effect(PQN)


@pytest.mark.parametrize(
    "other",
    [{"network.memory": Choices(("none", "lstm"))}, {"network.kind": Choices(("mlp", "small_cnn"))}],
    ids=["its key is searched", "its kind is searched"],
)
def test_a_key_that_other_searched_keys_may_give_an_effect_is_searched(other: dict[str, Choices]) -> None:
    SearchSpace("", USELESS | other).refuse_keys_without_effect(Config())


def test_a_key_of_a_section_that_nothing_reads_needs_its_kind() -> None:
    priorities = {"replay.capacity": NumberRange(1_000, 9_000)}
    with pytest.raises(ConfigError, match=r"^: replay\.capacity has no effect in any trial: "):
        SearchSpace("", priorities).refuse_keys_without_effect(PQN)
    SearchSpace("", priorities | {"agent.kind": Choices(("dqn", "pqn"))}).refuse_keys_without_effect(PQN)


def test_all_wrong_keys_are_named_but_none_of_a_kind_that_is_unknown(tmp_path: Path) -> None:
    text = """
"optimizer.kind" = { choices = ["adma", "sgd"] }
"optimizer.momentum" = { low = 0.5, high = 0.9 }
"agent.n_step" = { low = 3 }
"optimizr.epsilon" = { low = 1, high = 2 }
"""
    with pytest.raises(ConfigErrors) as caught:
        space_of(tmp_path, text)
    file = tmp_path / "space.toml"
    assert [line.removeprefix(f"{file}: ")[:20] for line in caught.value.lines] == [
        'optimizer.kind = "adma": must'[:20],
        "agent.n_step has no high"[:20],
        "optimizr is not a key"[:20],
    ]


def test_all_keys_without_effect_are_named(tmp_path: Path) -> None:
    text = '"agent.huber_delta" = { low = 1.0, high = 2.0 }\n"learner.workers" = { low = 2, high = 3 }'
    with pytest.raises(ConfigErrors) as caught:
        space_of(tmp_path, text).refuse_keys_without_effect(Config(agent=DQN(loss="squared")))
    assert [" has no effect in any trial" in line for line in caught.value.lines] == [True, True]
