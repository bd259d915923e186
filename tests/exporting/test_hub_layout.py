"""A folder for model hubs: what they read of a model card, and a policy that loads."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.support.run_files import a_summary
from tfdqn.config import toml
from tfdqn.config.headline import headline
from tfdqn.errors import UserError
from tfdqn.evaluation.evaluator import scores
from tfdqn.exporting.from_run import export_run
from tfdqn.exporting.hub_layout import write_hub_layout
from tfdqn.exporting.loaded_policy import load_policy
from tfdqn.reports.finished_runs import read_runs
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import write_summary


def front_matter(folder: Path) -> dict[str, Any]:
    opening, front, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert opening == ""
    found = yaml.safe_load(front)
    assert isinstance(found, dict)
    return found


def the_metric(folder: Path) -> dict[str, Any]:
    [model] = front_matter(folder)["model-index"]
    assert model["name"] == "dqn-Test-v0"
    [result] = model["results"]
    assert result["dataset"] == {"type": "Test-v0", "name": "Test-v0"}
    assert result["task"]["type"] == "reinforcement-learning"
    [metric] = result["metrics"]
    assert isinstance(metric, dict)
    return metric


def test_it_has_what_a_hub_reads_and_a_policy_that_loads(
    run: RunDir, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    version = export_run(run.path)
    folder = tmp_path / "hub" / "policy"
    write_hub_layout(run, version, "best", folder)
    front = front_matter(folder)
    assert (front["library_name"], front["pipeline_tag"]) == ("tfdqn", "reinforcement-learning")
    assert {"Test-v0", "dqn", "reinforcement-learning"} <= set(front["tags"])
    # Returns of 100, 200 and 300: their mean, and their deviation √(20,000 / 3).
    assert the_metric(folder) == {
        "type": "mean_reward",
        "name": "mean_reward, 3 greedy episodes",
        "value": "200.00 +/- 81.65",
        "verified": False,
    }
    observation = np.array([0.1, -0.2, 0.3, 0.4], np.float32)
    assert load_policy(folder / "saved_model")(observation) == load_policy(version)(observation)
    assert tomllib.loads((folder / "training.toml").read_text()) == tomllib.loads(toml.dump(run.config()))
    # There is no such task as Test-v0: no video.
    assert sorted(each.name for each in folder.iterdir()) == ["README.md", "saved_model", "training.toml"]
    assert "replay.mp4 is left out: " in caplog.text
    assert sorted(each.name for each in folder.parent.iterdir()) == ["policy"]


def test_its_page_has_python_that_runs_and_names_the_files_that_are_there(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "policy"
    version = export_run(run.path)
    write_hub_layout(run, version, "best", folder)
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert (
        "\n# A policy for Test-v0\n\nA deep Q-network, trained by tfdqn " in page
        and f"({headline(run.config())})" in page
    )
    assert re.findall(r"^- `(.*?)`: ", page, re.MULTILINE) == ["saved_model", "training.toml"]
    assert (
        "| formats |" not in page
        and "```toml" not in page
        and "| input `observation` | float32[B, 4], required |" in page
    )
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"observation": np.array([0.1, -0.2, 0.3, 0.4], np.float32)}
    exec(code_in(page), names)
    assert names["action"] == load_policy(version)(names["observation"])


@pytest.mark.parametrize(
    ("changes", "call"),
    [
        ({"action_masks": True}, "action = policy(observation, legal_actions=legal_actions)"),
        ({"policy_state": 8}, "action, state = policy.step(observation, state)  # None: an episode begins"),
    ],
)
def test_its_python_calls_the_policy_as_that_is_called(
    run: RunDir, tmp_path: Path, changes: dict[str, Any], call: str
) -> None:
    version = export_run(run.path)
    card = json.loads((version / "model_card.json").read_text())
    (version / "model_card.json").write_text(json.dumps(card | changes))
    write_hub_layout(run, version, "best", tmp_path / "policy")
    assert code_in((tmp_path / "policy" / "README.md").read_text()).splitlines()[-1] == call


def code_in(page: str) -> str:
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert isinstance(code, str)
    return code


def test_a_finished_runs_score_is_of_its_fresh_episodes(run: RunDir, tmp_path: Path) -> None:
    final = scores(np.array([10.0, 14.0]), np.array([10.0, 14.0]))
    write_summary(run.summary_file, a_summary(best_return=200.0, paths={}, final=final))
    write_hub_layout(run, export_run(run.path), "best", tmp_path / "policy")
    assert the_metric(tmp_path / "policy")["value"] == "12.00 +/- 2.00"
    page = (tmp_path / "policy" / "README.md").read_text()
    assert "). Its mean return over 2 fresh greedy episodes is 12.00 (std 2.00)." in page


def test_a_folder_for_a_hub_is_not_taken_for_a_run(run: RunDir, tmp_path: Path) -> None:
    write_hub_layout(run, export_run(run.path), "best", tmp_path / "hub" / "policy")
    with pytest.raises(UserError, match="hub is not a run directory, and has none in it"):
        read_runs([tmp_path / "hub"])


def test_what_is_there_already_is_left_alone(run: RunDir, tmp_path: Path) -> None:
    version = export_run(run.path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    with pytest.raises(UserError, match=r"mine: already exists and is not an empty folder; give a new or"):
        write_hub_layout(run, version, "best", tmp_path / "mine")
    with pytest.raises(UserError, match=r"notes/policy can't be created or written: .*notes is not a directory$"):
        write_hub_layout(run, version, "best", tmp_path / "mine" / "notes" / "policy")
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["notes"]
    (tmp_path / "empty").mkdir()
    write_hub_layout(run, version, "best", tmp_path / "empty")
    assert (tmp_path / "empty" / "README.md").is_file()
