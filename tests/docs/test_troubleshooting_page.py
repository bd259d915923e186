"""docs/troubleshooting.md: its messages are the program's own, its keys and curves exist."""

import ast
import re

import pytest

from tests.support.commands import PROJECT
from tfdqn.config.schema import keys

PAGE = " ".join((PROJECT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").split())
SOURCES = [file.read_text(encoding="utf-8") for file in sorted((PROJECT / "tfdqn").rglob("*.py"))]


def literals(source: str) -> str:
    """The source's text, pieces of f-strings included, in the order in which it stands there."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    texts = sorted((node.lineno, node.col_offset, node.value) for node in nodes if isinstance(node.value, str))
    return " ".join(text for _, _, text in texts)


TEXT = "\n".join(map(literals, SOURCES))


@pytest.mark.parametrize(
    "words",
    [
        "lower optimizer.learning_rate, or set agent.gradient_clip_norm, or check the task's rewards",
        "held back by the replay ratio",
        "which trained here before,",
        "ended without saving: it was killed,",
        'task.vectorization = "async" needs ',
        "shared memory for task.num_envs = ",
        ", and no process is silent",
        " has made no progress for ",
        "ended; the same command or call goes on with it",
        "; where its threads were is in ",
        "still stopping: ",
        ": the disk is full: make room; ",
        "the last checkpoint is intact",
        ": the checkpoint could not be written: ",
        "the disk is full: make room; the checkpoint needs at least ",
        " is in use by ",
        "`, which has it save",
        " may still be using ",
        ": choose a run directory (--run-dir, run_dir in Python) on another disk",
        " belongs to another configuration: ",
        "is CUDA installed with it (tensorflow[and-cuda], ",
    ],
)
def test_a_message_is_one_that_the_program_has(words: str) -> None:
    assert words in PAGE or words.strip() in PAGE
    assert words in TEXT


def test_every_key_and_curve_that_the_page_names_exists() -> None:
    sections = {key.partition(".")[0] for key in keys()}
    named = {name for name in re.findall(r"`(\w+\.\w+)(?: = [^`]+)?`", PAGE) if name.partition(".")[0] in sections}
    assert len(named) > 15 and named <= set(keys())
    curves = re.findall(r"`((?:acting|learning|replay)/\w+)`", PAGE)
    metrics = {f"learning/{name}" for name in ("mean_q", "max_q", "loss", "mean_abs_td_error", "gradient_norm")}
    others = {"acting/epsilon", "replay/samples_per_insert"}
    assert set(curves) == metrics | others
