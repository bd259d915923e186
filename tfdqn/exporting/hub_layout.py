"""`write_hub_layout`: an exported version of a policy as a folder that model hubs, such as Hugging Face's, take.

`README.md` begins with a model card's metadata as they read it (huggingface.co/docs/hub/model-cards), and `replay.mp4`
is the film that they show beside it.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from tfdqn.errors import UserError
from tfdqn.evaluation.evaluate import evaluate
from tfdqn.exporting.formats import ModelFormat, formats_in
from tfdqn.exporting.model_card import JSON_FILE, MARKDOWN_FILE
from tfdqn.exporting.versions import require_free
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_summary

README_FILE = "README.md"
CONFIG_FILE = "training.toml"  # not a run's: the folder is none
REPLAY_FILE = "replay.mp4"
log = logging.getLogger(__name__)
_MODEL = "saved_model"
_BODY = """\
A deep Q-network for {task}, trained by tfdqn ({kind}).

```python
import tfdqn

policy = tfdqn.load_policy("{model}")
action = policy(observation)  # the environment's own
```

`{model}/` is a SavedModel that needs TensorFlow alone. `tfdqn train {config}` trains one like it.

"""


def write_hub_layout(run: RunDir, version: Path, checkpoint: Literal["best", "latest"], directory: Path) -> None:
    """Writes the folder; it appears as a whole.

    Args:
      run: that the policy is of; it is filmed, where the task can be.
      version: of the policy, exported already.
      checkpoint: that it was exported from.
      directory: new or empty.

    Raises UserError as `require_free`.
    """
    require_free(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as unfinished:
        folder = Path(unfinished) / directory.name
        converted = [file for each, file in formats_in(version).items() if each is not ModelFormat.savedmodel]
        shutil.copytree(version, folder / _MODEL, ignore=shutil.ignore_patterns(*converted))
        for file in converted:
            shutil.copy(version / file, folder)
        shutil.copy(run.config_file, folder / CONFIG_FILE)
        _film(run, checkpoint, folder / REPLAY_FILE)
        card = json.loads((version / JSON_FILE).read_text(encoding="utf-8"))
        page = (version / MARKDOWN_FILE).read_text(encoding="utf-8")
        (folder / README_FILE).write_text(_readme(run, card, page, checkpoint), encoding="utf-8")
        folder.rename(directory)


def metadata(card: Mapping[str, Any], scores: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a hub reads of a policy: of its version's card, and of its evaluation where there was one."""
    kind, task = card["configuration"]["agent"]["kind"], card["task"]
    found: dict[str, Any] = {
        "library_name": "tfdqn",
        "pipeline_tag": "reinforcement-learning",
        "tags": [task, kind, "deep-reinforcement-learning", "reinforcement-learning", "tensorflow"],
    }
    if scores is not None:
        score = {
            "type": "mean_reward",
            "name": f"mean_reward, {scores['episodes']} greedy episodes",
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


def _readme(run: RunDir, card: Mapping[str, Any], page: str, checkpoint: str) -> str:
    """Of the best policy of a run that has finished the scores are those of its fresh episodes at the end."""
    summary = read_summary(run.summary_file) if checkpoint == "best" else None
    final = summary.final if summary else None
    scores = card.get("evaluation") if final is None else msgspec.structs.asdict(final)
    front = yaml.safe_dump(metadata(card, scores), sort_keys=False, allow_unicode=True)
    title, _, rest = page.partition("\n\n")
    body = _BODY.format(
        task=card["task"], kind=card["configuration"]["agent"]["kind"], model=_MODEL, config=CONFIG_FILE
    )
    return f"---\n{front}---\n\n{title}\n\n{body}{rest}"


def _film(run: RunDir, checkpoint: Literal["best", "latest"], file: Path) -> None:
    try:
        film = evaluate(run.path, episodes=1, checkpoint=checkpoint, video="mp4").video
    except UserError as error:
        log.warning("%s is left out: %s", file.name, error)
    else:
        shutil.copy(str(film), file)
