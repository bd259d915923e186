"""The reference of keys: docs/configuration.md is what the package says, with every key of every kind once."""

import re

from msgspec import structs

from tests.support.commands import PROJECT
from tfdqn.config import Config
from tfdqn.config.fields import kinds
from tfdqn.config.reader import built_in
from tfdqn.config.reference import reference

PAGE = PROJECT / "docs" / "configuration.md"


def test_the_page_is_what_the_command_prints() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "tfdqn config --reference > docs/configuration.md"


def test_every_key_has_a_row_and_rows_of_one_key_differ() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    named = {re.match(r"\| `([\w.]+)`", row)[1] for row in rows}  # type: ignore[index]
    sections = {field.name: kinds(field.type) for field in structs.fields(Config)}
    own = {
        f"{name}.{key}"
        for name, by_kind in sections.items()
        for kind in built_in(by_kind)
        for key in by_kind[kind].__struct_fields__
    }
    assert named == own | {"seed"}
    assert len(set(rows)) == len(rows)


def test_a_row_has_default_values_meaning_and_the_kinds_that_have_the_key() -> None:
    text = reference()
    for row in (
        "| `evaluation.episodes` | `20` | a whole number from 1 to 100000 | episodes of each evaluation | yes |",
        "| `network.degree` (`linear`) | `2` | a whole number from 1 to 6 | highest total degree of the polynomial "
        'features (needs network.features = "polynomial") | no |',
        '| `exploration.decay` | `"linear"` | `linear`, `exponential` | shape of the decay | no |',
    ):
        assert row in text.splitlines()
    assert "| `network.noisy` (not `linear`) | `false` | true or false |" in text
    assert '`agent.kind` is one of these, or one of your own; the default is `"dqn"`.' in text
    assert "| `stop.return_at_least` | – | a number, or be left out |" in text
