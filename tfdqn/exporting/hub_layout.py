"""`write_hub_layout`: an exported version of a policy → a folder for a model hub such as Hugging Face's.

`README.md` begins with the metadata that a hub reads (huggingface.co/docs/hub/model-cards); `replay.mp4` is the video
that it shows beside the page.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from tfdqn.config.headline import headline
from tfdqn.errors import UserError
from tfdqn.evaluation.evaluate import evaluate
from tfdqn.exporting.formats import ModelFormat, formats_in
from tfdqn.exporting.model_card import MARKDOWN_FILE
from tfdqn.exporting.versions import MODEL_CARD_FILE, require_free
from tfdqn.storage.run_directory import RunDir

README_FILE = "README.md"
CONFIG_FILE = "training.toml"  # not config.toml, by which a folder is taken for a run
REPLAY_FILE = "replay.mp4"
log = logging.getLogger(__name__)
_MODEL = "saved_model"
_BODY = """\
A deep Q-network, trained by tfdqn {version} ({headline}).{scores}

```python
import tfdqn

policy = tfdqn.load_policy("{model}")
{call}
```

An observation is what the task gives with the keys `[task]` of `{config}`, or a batch of that; an action is what its
environment takes.

{files}

"""
_FILES = {
    _MODEL: "a SavedModel, which needs TensorFlow alone",
    ModelFormat.onnx.file: "the same policy for ONNX Runtime",
    ModelFormat.tflite.file: "the same policy for TFLite",
    REPLAY_FILE: "a video of one of its episodes",
    CONFIG_FILE: f"the whole configuration: `tfdqn train {CONFIG_FILE}` trains a policy like it",
}


def write_hub_layout(run: RunDir, version: Path, checkpoint: Literal["best", "latest"], directory: Path) -> None:
    """Writes the folder for a hub: README, SavedModel and other formats, configuration, and a video of one episode.

    The folder appears as a whole. If the task can't be rendered, the video is left out and a warning is logged.

    Args:
      run: the run that trained the policy.
      version: the exported version's folder.
      checkpoint: which policy that version is of.
      directory: the folder to write.

    Raises UserError if `directory` is neither new nor an empty folder, or can't be made.
    """
    require_free(directory)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as unfinished:
        folder = Path(unfinished) / directory.name
        converted = [file for each, file in formats_in(version).items() if each is not ModelFormat.savedmodel]
        shutil.copytree(version, folder / _MODEL, ignore=shutil.ignore_patterns(*converted))
        for file in converted:
            shutil.copy(version / file, folder)
        shutil.copy(run.config_file, folder / CONFIG_FILE)
        _record_video(run, checkpoint, folder / REPLAY_FILE)
        card = json.loads((version / MODEL_CARD_FILE).read_text(encoding="utf-8"))
        page = (version / MARKDOWN_FILE).read_text(encoding="utf-8")
        names = {each.name for each in folder.iterdir()}
        (folder / README_FILE).write_text(_readme(run, card, page, names), encoding="utf-8")
        folder.rename(directory)


def metadata(card: Mapping[str, Any], scores: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata at the top of a hub's README: from the version's model card, with `scores` if it was evaluated."""
    kind, task = card["configuration"]["agent"]["kind"], card["task"]
    found: dict[str, Any] = {
        "library_name": "tfdqn",
        "pipeline_tag": "reinforcement-learning",
        "tags": [task, kind, "deep-reinforcement-learning", "reinforcement-learning", "tensorflow"],
    }
    if scores is not None:
        score = {
            "type": "mean_reward",
            "name": f"mean_reward, {scores['episodes']:,} greedy episodes",
            "value": f"{scores['mean_return']:.2f} +/- {scores['std_return']:.2f}",
            "verified": False,
        }
        result = {
            "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
            "dataset": {"type": task, "name": task},
            "metrics": [score],
        }
        found["model-index"] = [{"name": f"{kind}-{task}", "results": [result]}]
    return found


def _readme(run: RunDir, card: Mapping[str, Any], page: str, names: Collection[str]) -> str:
    """The whole README: with the title and the table of `page`, the model card as Markdown, and the files by `names`.

    Its scores are those of the final evaluation of this policy, if the card has one, since its episodes played no part
    in choosing the policy; else those of the evaluation that chose it.
    """
    final = card.get("final_evaluation")
    scores = final or card.get("evaluation")
    front = yaml.safe_dump(metadata(card, scores), sort_keys=False, allow_unicode=True)
    title, table, _ = page.split("\n\n", 2)
    body = _BODY.format(
        version=card["versions"]["tfdqn"],
        headline=headline(run.config()),
        scores=_said(final) if final else "",
        model=_MODEL,
        config=CONFIG_FILE,
        call=_call(card),
        files="\n".join(f"- `{name}`: {what}" for name, what in _FILES.items() if name in names),
    )
    rows = "\n".join(row for row in table.splitlines() if not row.startswith("| formats |"))  # of the version's folder
    return f"---\n{front}---\n\n{title}\n\n{body}{rows}\n"


def _said(final: Mapping[str, Any]) -> str:
    mean = f"{final['mean_return']:,.2f} (std {final['std_return']:,.2f})"
    return f" Its mean return over {final['episodes']:,} fresh greedy episodes is {mean}."


def _call(card: Mapping[str, Any]) -> str:
    """A line of Python: what the policy is called with depends on whether it has masks and a memory."""
    legal_actions = ", legal_actions=legal_actions" if card["action_masks"] else ""
    if card["policy_state"]:
        return f"action, state = policy.step(observation, state{legal_actions})  # None: an episode begins"
    return f"action = policy(observation{legal_actions})"


def _record_video(run: RunDir, checkpoint: Literal["best", "latest"], file: Path) -> None:
    """Records one greedy episode as `file`; logs a warning if that can't be done."""
    try:
        video = evaluate(run.path, episodes=1, checkpoint=checkpoint, video="mp4").video
    except UserError as error:
        log.warning("%s is left out: %s", file.name, error)
    else:
        shutil.copy(str(video), file)
