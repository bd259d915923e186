"""A model card: what an exported policy is and where it comes from, as JSON for programs and Markdown for people."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf

from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.exporting.formats import formats_in
from tfdqn.exporting.policy_inputs import (
    ENVIRONMENT_ACTION,
    NEXT_POLICY_STATE,
    PolicyInputs,
    short_request,
    state_size_of,
    unnamed,
)
from tfdqn.exporting.saved_model import PolicySignature, Tensor, signature_in
from tfdqn.exporting.versions import MODEL_CARD_FILE
from tfdqn.system.subprocesses import run_captured
from tfdqn.task_spec import LEGAL_ACTIONS, POLICY_STATE, ActionSpec, ArraySpec, TaskSpec

MARKDOWN_FILE = "model_card.md"
_GIT_SECONDS = 10.0
_VOTES = "for each action, how many members prefer it among the legal ones, and half a vote more for the winner"
_MOST_RANGES = 64  # of an array's elements, that a cell of the page has


def write_model_card(directory: Path, task_spec: TaskSpec, config: Config, origin: Mapping[str, Any]) -> None:
    """Writes `model_card.json` and `model_card.md` to a version's folder, after all files that they list.

    `origin` says where the policy comes from: its `checkpoint`, its `train_steps`, its `evaluation` and its run's
    `final_evaluation` of it if it has them.
    """
    signature = signature_in(directory)
    card = {
        "task": task_spec.id,
        **msgspec.to_builtins(signature),
        "observation": {name: _description(each) for name, each in task_spec.observation.items()},
        "actions": list(task_spec.num_actions),
        "first_action": list(task_spec.actions.low),
        "environment_action": msgspec.to_builtins(task_spec.actions),
        "action_names": _action_names(task_spec, config),
        "action_masks": task_spec.action_masks,
        "policy_state": config.network.state_size,
        **origin,
        "formats": formats_in(directory),
        "versions": {
            "tfdqn": metadata.version("tfdqn"),
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "git_revision": git_revision(Path(__file__).parent),
        "configuration": msgspec.to_builtins(config),
    }
    (directory / MODEL_CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (directory / MARKDOWN_FILE).write_text(_markdown(card, signature, task_spec, dump(config)), encoding="utf-8")


def git_revision(source: Path) -> str | None:
    """The commit from which this code runs, with "+changes" if tracked files differ from it; None if unknown.

    A container image has no repository, and gives its commit in the environment variable TFDQN_REVISION. A repository's
    counts only if it tracks `source`, a folder of the package.
    """
    if named := os.environ.get("TFDQN_REVISION"):
        return named

    def git(*arguments: str) -> str:
        return run_captured(["git", "-C", str(source), *arguments], _GIT_SECONDS, check=True).stdout.strip()

    try:
        # Fails where the package is installed in a virtual environment that lies in some other repository.
        git("ls-files", "--error-unmatch", "__init__.py")
        changed = "+changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.SubprocessError):
        return None


def _description(spec: ArraySpec) -> dict[str, Any]:
    description: dict[str, Any] = {"dtype": spec.dtype, "shape": list(spec.shape)}
    if spec.categories:
        description["values"] = [spec.start, spec.start + spec.categories - 1]
    if spec.bounds:
        description["bounds"] = [list(pair) for pair in spec.bounds]
    return description


def _action_names(task_spec: TaskSpec, config: Config) -> list[list[str]]:
    """The actions' names for each action dimension, from `task.action_names` or else the task; [] without any."""
    named = (config.task.action_names,) if config.task.action_names else task_spec.action_names
    return [list(names) for names in named]


def _markdown(card: Mapping[str, Any], signature: PolicySignature, task_spec: TaskSpec, configuration: str) -> str:
    final = card.get("final_evaluation")
    rows = [
        ("task", card["task"]),
        *_inputs_and_outputs(signature, card["observation"], task_spec, card["configuration"]["ensemble"]),
        ("actions", " x ".join(map(_number, card["actions"]))),
        ("the environment's action", _own_actions(task_spec.actions)),
        *(("action names", ", ".join(f"{i} {name}" for i, name in enumerate(names))) for names in card["action_names"]),
        ("checkpoint", f"{card['checkpoint']}, after {card['train_steps']:,} updates"),
        ("evaluation in training", _evaluation_in_words(card.get("evaluation"), card["configuration"]["evaluation"])),
        *([("final evaluation", f"{_scored(final)} over {final['episodes']:,} fresh episodes")] if final else []),
        ("formats", ", ".join(f"{each} (`{file}`)" for each, file in card["formats"].items())),
        *(card["versions"].items()),
        ("git revision", card["git_revision"] or "none"),
    ]
    table = "\n".join(f"| {_cell(key)} | {_cell(value)} |" for key, value in rows)
    request = example_request(PolicyInputs(task_spec, state_size_of(signature.inputs, task_spec)))
    title = f"# A policy for {card['task']}"
    return f"{title}\n\n| | |\n| --- | --- |\n{table}\n\n{request}\n\n```toml\n{configuration}```\n"


def _inputs_and_outputs(
    signature: PolicySignature, observation: Mapping[str, Any], task_spec: TaskSpec, ensemble: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """A row for each input and each output; B is the batch, of any size. No input may be left out.

    `ensemble` is the configuration's section.
    """
    has_branches = len(task_spec.num_actions) > 1
    has_votes = ensemble["size"] > 1 and ensemble["aggregation"] == "majority"
    dimensions = ", a row for each dimension, false beyond its own actions" if has_branches else ""
    inputs = {
        LEGAL_ACTIONS: f"true for each legal action, in the order of their numbers, which count from 0{dimensions}",
        POLICY_STATE: f"zeros where an episode begins, then `{NEXT_POLICY_STATE}` of the previous step",
    } | {name: _range_in_words(each) for name, each in observation.items()}
    outputs = {
        "action": "the number of the best action" + (" of each dimension" if has_branches else ""),
        "q_values": _VOTES if has_votes else "of all actions, also of illegal ones",
        ENVIRONMENT_ACTION: "the best action as the environment takes it",
        NEXT_POLICY_STATE: f"the `{POLICY_STATE}` of the episode's next step",
    }
    sides: tuple[tuple[str, Mapping[str, Tensor], Mapping[str, str]], ...] = (
        ("input", signature.inputs, {name: ", ".join(filter(None, ("required", inputs[name]))) for name in inputs}),
        ("output", signature.outputs, outputs),
    )
    for side, tensors, words in sides:
        for name, each in tensors.items():
            yield f"{side} `{name}`", f"{each.in_words}, {words[name]}"


def _number(number: float) -> str:
    """A number in words: a whole number in full, any other with four digits."""
    return f"{number:,}" if isinstance(number, int) else f"{number:.4g}"


def _cell(text: str) -> str:
    """`text` in a cell of a Markdown table, where a bar or a line break would end it."""
    return " ".join(text.replace("|", "\\|").splitlines())


def _own_actions(spec: ActionSpec) -> str:
    """The environment's own actions in words: dtype, shape, and the values that each element takes."""
    values = [
        _number(low) if count == 1 else f"{_number(low)} to {_number(high)} in {count:,} values"
        for low, high, count in zip(spec.low, spec.high, spec.counts, strict=True)
    ]
    if len(set(values)) == 1:
        values = values[:1]
    return f"{spec.dtype}{list(spec.shape)}, {', '.join(values)}"


def _range_in_words(described: Mapping[str, Any]) -> str:
    """What the elements of an observation's array may be; empty if that is not known."""
    if "values" in described and "bounds" not in described:
        first, last = described["values"]
        return f"{_number(first)} to {_number(last)}"
    number: type = float if np.dtype(described["dtype"]).kind == "f" else int  # `bounds` are floats of either
    pairs = described.get("bounds", ())
    if len(pairs) > _MOST_RANGES:
        return f"{len(pairs):,} ranges, one for each element: `bounds` in `{MODEL_CARD_FILE}`"
    ends = [["any" if end is None else _number(number(end)) for end in pair] for pair in pairs]
    return ", ".join("any" if low == high == "any" else f"{low} to {high}" for low, high in ends)


def _evaluation_in_words(scores: Mapping[str, Any] | None, keys: Mapping[str, Any]) -> str:
    """An evaluation's result, its interval and its episodes. `keys` is the configuration's section `evaluation`."""
    if scores is None:
        return "none"
    played, first, more = scores["episodes"], keys["episodes"], keys["confirm_episodes"]
    parts = f": {first:,}, and {more:,} more to confirm a new best policy" if played == first + more > first else ""
    return f"{_scored(scores)} over {played:,} episodes{parts}"


def _scored(scores: Mapping[str, Any]) -> str:
    """An evaluation's result and its interval in words."""
    mean, low, high = (f"{scores[key]:,.2f}" for key in ("mean_return", "ci_low", "ci_high"))
    return f"greedy mean return {mean} (95 %: {low} to {high})"


def example_request(inputs: PolicyInputs) -> str:
    """A section in Markdown: the body of a request of one row, whose values the task can give.

    It is the body's JSON, or, where that would be long, Python that makes it.
    """
    rows = inputs.example(1)
    heading = "## A request\n\nThe body of a request of one row, to `POST /v1/models/NAME:predict` of `tfdqn serve` or "
    heading += "TensorFlow Serving"
    if body := short_request(rows):
        return f"{heading}:\n\n```json\n{body}\n```"
    made = {name: _made(array[0]) for name, array in rows.items()}
    named = "{" + ", ".join(f"{json.dumps(name)}: {each}" for name, each in made.items()) + "}"
    code = f'body = json.dumps({{"instances": [{named if len(made) > 1 else unnamed(made)}]}})'
    return f"{heading}, made by Python:\n\n```python\nimport json\n\nimport numpy as np\n\n{code}\n```"


def _made(array: np.ndarray) -> str:
    """Python that makes an array as nested lists."""
    if array.size and (array == array.flat[0]).all():
        return f'np.full({array.shape}, {array.flat[0].item()}, "{array.dtype}").tolist()'
    if array.dtype == bool and array.ndim == 2:
        counts = array.sum(axis=1, keepdims=True)
        if (array == (np.arange(array.shape[1]) < counts)).all():  # a mask of branches with all actions legal
            return f"(np.arange({array.shape[1]}) < np.array({counts.tolist()})).tolist()"
    return repr(array.tolist())
