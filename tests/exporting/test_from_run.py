"""An exported run says what it is; what no evaluation bears out is not exported."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tensorflow as tf

from tests.support.policies import network_of, task
from tests.support.run_files import a_summary
from tests.support.tiny_runs import tiny
from tfdqn.config import MLP
from tfdqn.errors import RunDirError, UserError
from tfdqn.evaluation.evaluator import scores
from tfdqn.exporting.from_run import export_run
from tfdqn.exporting.model_card import git_revision, write_model_card
from tfdqn.exporting.saved_model import export_policy
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import write_summary
from tfdqn.task_spec import ActionSpec, ArraySpec


def test_the_card_says_what_it_is_and_where_it_comes_from(run: RunDir) -> None:
    version = export_run(run.path)
    card = json.loads((version / "model_card.json").read_text())
    assert card["task"] == "Test-v0"
    assert card["observation"] == {"observation": {"dtype": "float32", "shape": [4]}}
    assert card["inputs"] == {"observation": {"dtype": "float32", "shape": [-1, 4]}}
    assert card["outputs"] == {
        "action": {"dtype": "int32", "shape": [-1]},
        "q_values": {"dtype": "float32", "shape": [-1, 3]},
    }
    assert (card["actions"], card["first_action"], card["action_masks"]) == ([3], [0], False)
    assert (card["checkpoint"], card["train_steps"]) == ("best", 1_270)
    assert (card["evaluation"]["mean_return"], card["evaluation"]["episodes"]) == (200.0, 3)
    assert card["versions"]["tensorflow"] == tf.__version__
    assert card["configuration"] == json.loads(msgspec.json.encode(tiny()))
    assert card["git_revision"] is None or re.fullmatch(r"[0-9a-f]{40}(\+changes)?", card["git_revision"])

    page = (version / "model_card.md").read_text()
    assert "| actions | 3 |" in page
    assert "| checkpoint | best, after 1,270 updates |" in page
    assert re.search(r"greedy mean return 200\.00 \(95 %: \d+\.\d\d to \d+\.\d\d\) over 3 episodes \|", page)
    (configuration,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert tomllib.loads(configuration)["stop"]["env_steps"] == tiny().stop.env_steps


def test_the_card_has_the_final_evaluation_of_its_own_policy_alone(run: RunDir) -> None:
    final = scores(np.array([10.0, 14.0]), np.array([10.0, 14.0]))
    # The run's best policy has a return of 200.0, and so that of 150.0 was an earlier one.
    for best_return, expected in ((200.0, final), (150.0, None)):
        write_summary(run.summary_file, a_summary(best_return=best_return, paths={}, final=final))
        version = export_run(run.path)
        card = json.loads((version / "model_card.json").read_text())
        assert card.get("final_evaluation") == (None if expected is None else msgspec.to_builtins(expected))
        assert card["evaluation"]["mean_return"] == 200.0
        row = re.search(r"^\| final evaluation \| (.*) \|$", (version / "model_card.md").read_text(), re.MULTILINE)
        said = row and re.sub(r"\(95 %: .*\)", "()", row[1])
        assert said == (None if expected is None else "greedy mean return 12.00 () over 2 fresh episodes")


def test_the_card_says_what_is_seen_and_what_actions_mean(tmp_path: Path) -> None:
    speed = ArraySpec(shape=(2,), dtype="float32", bounds=((-0.5, 1.0), (None, None)))
    dials = ArraySpec(shape=(2,), dtype="int32", categories=5, bounds=((0.0, 2.0), (0.0, 4.0)))
    spec = task(speed=speed, cell=ArraySpec(shape=(), dtype="int32", categories=4, start=1), dials=dials)
    named = msgspec.structs.replace(spec, action_names=(("LEFT", "STAY", "RIGHT"),))
    origin = {"checkpoint": "latest", "train_steps": 3}
    version = export_policy(spec, network_of(spec), tmp_path, {})
    write_model_card(version, named, tiny(), origin)
    card = json.loads((version / "model_card.json").read_text())
    assert card["action_names"] == [["LEFT", "STAY", "RIGHT"]]
    assert card["observation"]["speed"]["bounds"] == [[-0.5, 1.0], [None, None]]
    page = (version / "model_card.md").read_text()
    assert "| input `speed` | float32[B, 2], required, -0.5 to 1, any |" in page
    assert "| input `cell` | int32[B], required, 1 to 4 |" in page
    assert "| input `dials` | int32[B, 2], required, 0 to 2, 0 to 4 |" in page
    assert "| action names | 0 LEFT, 1 STAY, 2 RIGHT |" in page

    write_model_card(version, named, tiny('task.action_names=["a", "b", "c"]'), origin)
    assert json.loads((version / "model_card.json").read_text())["action_names"] == [["a", "b", "c"]]
    write_model_card(version, spec, tiny(), origin)
    assert json.loads((version / "model_card.json").read_text())["action_names"] == []
    assert "action names" not in (version / "model_card.md").read_text()


def test_whole_numbers_on_the_page_are_whole(tmp_path: Path) -> None:
    load = ArraySpec(shape=(2,), dtype="int32", bounds=((0.0, 12_345.0), (-2_000_000_000.0, 0.0)))
    level = ArraySpec(shape=(), dtype="float32", bounds=((0.0, 12_345.0),))
    spec = task(load=load, level=level, cell=ArraySpec(shape=(), dtype="int32", categories=100_000))
    spec = msgspec.structs.replace(spec, actions=ActionSpec(low=(0, 0.0), high=(12_345, 0.5), counts=(12_346, 3)))
    evaluation = msgspec.to_builtins(scores(np.zeros(12_345), np.zeros(12_345)))
    keys = "evaluation.episodes=2_345", "evaluation.confirm_episodes=10_000"
    origin = {"checkpoint": "best", "train_steps": 12_345, "evaluation": evaluation}
    version = export_policy(spec, network_of(spec, MLP(hidden_units=(2,))), tmp_path, {})
    write_model_card(version, spec, tiny(*keys), origin)
    page = (version / "model_card.md").read_text()
    assert "| input `load` | int32[B, 2], required, 0 to 12,345, -2,000,000,000 to 0 |" in page
    assert "| input `level` | float32[B], required, 0 to 1.234e+04 |" in page
    assert "| input `cell` | int32[B], required, 0 to 99,999 |" in page
    assert "| actions | 37,038 |" in page
    assert "int64[], 0 to 12,345 in 12,346 values, 0 to 0.5 in 3 values |" in page
    assert "over 12,345 episodes: 2,345, and 10,000 more to confirm a new best policy |" in page


def test_the_ranges_of_very_many_elements_are_not_on_the_page(tmp_path: Path) -> None:
    for count, said in ((64, ", 62 to 65, 63 to 65"), (65, "65 ranges, one for each element: `bounds` in `model_card")):
        bounds = tuple((float(low), 65.0) for low in range(count))
        spec = task(observation=ArraySpec(shape=(count,), dtype="int32", bounds=bounds))
        version = export_policy(spec, network_of(spec), tmp_path, {})
        write_model_card(version, spec, tiny(), {"checkpoint": "latest", "train_steps": 3})
        assert said in (version / "model_card.md").read_text()
        card = json.loads((version / "model_card.json").read_text())
        assert card["observation"]["observation"]["bounds"][-1] == [count - 1.0, 65.0]


def test_what_would_end_a_cell_of_the_page_is_kept_inside_it(tmp_path: Path) -> None:
    names = 'task.action_names=["left|right", "up\\ndown", "stay"]'
    version = export_policy(task(), network_of(task()), tmp_path, {})
    write_model_card(version, task(), tiny(names), {"checkpoint": "latest", "train_steps": 3})
    page = (version / "model_card.md").read_text()
    assert "\n| action names | 0 left\\|right, 1 up down, 2 stay |\n" in page


def test_only_what_an_evaluation_bears_out_is_exported(run: RunDir) -> None:
    with pytest.raises(UserError, match=r"not exported: the best policy's mean return is 200\.00 over 3 episodes"):
        export_run(run.path, min_return=200.5)
    with pytest.raises(UserError, match=r"^min_return = nan: a finite number is needed$"):
        export_run(run.path, min_return=float("nan"))
    assert not run.exports.exists()
    assert export_run(run.path, min_return=200.0).name == "1"


def test_what_is_no_run_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match=r"nowhere doesn't exist$"):
        export_run(tmp_path / "nowhere")
    with pytest.raises(RunDirError, match=r"is not a run directory: no config\.toml in it$"):
        export_run(tmp_path)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_the_revision_is_that_of_the_source_alone(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x")
        done = subprocess.run(["git", *who, *arguments], cwd=tmp_path, capture_output=True, check=True)
        return done.stdout.decode().strip()

    source = tmp_path / "package"
    source.mkdir()
    (source / "__init__.py").write_text("")
    assert git_revision(source) is None
    git("init", "-q")
    assert git_revision(source) is None  # somebody else's repository
    git("add", ".")
    git("commit", "-qm", "one")
    assert git_revision(source) == git("rev-parse", "HEAD")
    (source / "__init__.py").write_text("x = 1")
    assert git_revision(source) == git("rev-parse", "HEAD") + "+changes"
