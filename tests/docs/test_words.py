"""docs/glossary.md against the code: the words that it has replaced are gone."""

import ast
import re
from pathlib import Path

import pytest

import tfdqn

PROJECT = Path(tfdqn.__file__).parents[1]
CODE = sorted(
    file for folder in ("tfdqn", "tests", "benchmarks", "examples") for file in (PROJECT / folder).rglob("*.py")
)
PAGES = [
    PROJECT / "README.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
    *sorted((PROJECT / "docs").rglob("*.svg")),
    *sorted((PROJECT / "configs").rglob("*.toml")),
]
GLOSSARY = PROJECT / "docs" / "glossary.md"
NAMING_THEM = (GLOSSARY, Path(__file__))

# fmt: off
RETIRED = {
    "AsynchronousUpdates", "AveragingUpdates", "Beat", "ByInputs", "ByOutputs", "Checkpoints", "Control",
    "Cut", "EncodedBoard", "Evaluated", "FarActors", "FarEvaluator", "FarRatio", "FilmError", "Generation",
    "Invitation", "JobSession", "LearnerWatch", "Led", "LocalCluster", "Member", "MeshUpdates", "Observed", "Pace",
    "RoutedItems", "RunWatch", "ServedShard", "SharedParameters", "SignOfLife", "Supervised",
    "SynchronousUpdates", "Target", "Team", "UnitUpdates", "Updated", "Updates",
    "VariableClient", "VariablePublisher", "Wanted", "WorkClock", "computing_with", "expects_nobody",
    "goes_on", "is_meeting", "make_unit", "signs", "take_place", "unit_weights",
}
# fmt: on
# Prose, or a name of words, that a reader has to guess at, or for which there is an established word.
PHRASES = re.compile(
    r"(?<![a-z])(who(m|so)?ever|signs?[ _]of[ _]life|heart[ _]beats?|film(s|ed|ing)?|optimisers?|lock[ -]step"
    r"|in[ _-]step(?!\.[a-z]|[][)}]))(?![a-z])",  # but not `for x in step.y` and `[x for x in step[1:]]`
    re.IGNORECASE,
)


def names(file: Path) -> set[str]:
    """Every identifier of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
    return found


def test_retired_identifiers_are_gone() -> None:
    assert {str(file): found for file in CODE if (found := names(file) & RETIRED)} == {}


@pytest.mark.parametrize("file", [*CODE, *PAGES], ids=lambda file: str(file.relative_to(PROJECT)))
def test_no_text_makes_its_reader_guess(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    found = [] if file in NAMING_THEM else [match[0] for match in PHRASES.finditer(text)]
    assert found == []


def test_the_checks_find_what_they_look_for(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text("from a import Led\nled = Chief()\n")
    assert names(file) & RETIRED == {"Led"}
    for text in (
        "it asks whoever is there",
        "def test_whoever_dies():",
        "a sign of life",
        "sign_of_life",
        "Heart beats",
        "an episode is filmed",
        "FILMS_BYTES",
        "they learn in step.",
        "learn_in_step_on_hosts",
        "in lock-step",
        "the optimiser's moments",
    ):
        assert PHRASES.search(text)
    for text in (
        "every process gives its heartbeat",
        "in lockstep",
        "in steps of ten",
        "for key in step.state()",
        "[x for x in step[1:]]",
    ):
        assert not PHRASES.search(text)
