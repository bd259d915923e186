"""docs/method.md against the code: every function, key and equation that it names is there."""

import re
import tomllib
from pathlib import Path

from tests.support.method_page import PAGE, resolve
from tfdqn.config import C51, IQN, PQN, QRDQN, Config, Impala, Linear, Munchausen, RMSprop
from tfdqn.config.toml import flat


def test_every_function_that_the_page_names_exists() -> None:
    names = set(re.findall(r"`(tfdqn\.[\w.]+)`", PAGE))
    assert len(names) > 15
    for name in names:
        assert callable(resolve(name)), name


def test_every_key_that_the_page_names_is_in_the_configuration() -> None:
    configs = [
        Config(),
        *(Config(agent=kind()) for kind in (PQN, C51, QRDQN, IQN)),
        Config(network=Linear(), agent=Munchausen(), optimizer=RMSprop()),
        Config(network=Impala()),
    ]
    sections = "agent|ensemble|optimizer|network|replay|learner|exploration"
    for section, key in set(re.findall(rf"`({sections})\.(\w+)[` ]", PAGE)):
        assert key == "kind" or any(hasattr(getattr(each, section), key) for each in configs), key


def test_every_default_that_the_page_states_is_the_default() -> None:
    stated = re.findall(r"The default [^.;]*\(`([\w.]+) = ([^`]+)`\)", PAGE)
    assert len(stated) >= 3
    defaults = flat(Config())
    assert {key: tomllib.loads(f"value = {value}")["value"] for key, value in stated} == {
        key: defaults[key] for key, _ in stated
    }


def test_every_numbered_equation_is_verified_once() -> None:
    numbers = [int(number) for number in re.findall(r"\\tag\{(\d+)\}", PAGE)]
    assert numbers == list(range(1, len(numbers) + 1))
    sources = [file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_method_of_*.py")]
    marked = [int(number) for text in sources for number in re.findall(r"^@equation\((\d+), ", text, re.M)]
    assert sorted(marked) == numbers
