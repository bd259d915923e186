"""The section on searching in docs/many_runs.md: its commands are taken, its space is read, its files are left."""

import re
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.fake_trial import level
from tfdqn.cli import main
from tfdqn.config import Config, toml
from tfdqn.tuning import seeds as seeds_module
from tfdqn.tuning import trial_runs as search_module
from tfdqn.tuning.search_space import load_space

SECTION = (PROJECT / "docs" / "many_runs.md").read_text(encoding="utf-8").split("## Search\n")[1].split("\n## ")[0]
SEARCH, LUNARLANDER = SECTION.split("### LunarLander")
FAKE = (sys.executable, str(PROJECT / "tests" / "support" / "fake_trial.py"))


@pytest.fixture(autouse=True)
def _stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is a stand-in's."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(search_module, "search", partial(search_module.search, command=FAKE))
    monkeypatch.setattr(seeds_module, "train_seeds", partial(seeds_module.train_seeds, command=FAKE))
    (tmp_path / "configs").symlink_to(PROJECT / "configs")
    monkeypatch.chdir(tmp_path)


def command(text: str, verb: str) -> list[str]:
    """The command with that verb in a section's blocks, with its variables."""
    block = "".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL))
    variables = dict(re.findall(r'^(\w+)="(.*)"$', block, re.MULTILINE))
    (line,) = re.findall(rf"^tfdqn ({verb} .*)$", block, re.MULTILINE)
    return shlex.split(re.sub(r"\$(\w+)", lambda name: variables[name[1]], line))


def with_trials(arguments: list[str], count: int) -> list[str]:
    """The same command with fewer trials: each is a process."""
    at = arguments.index("--trials") + 1
    return [*arguments[:at], str(count), *arguments[at + 1 :]]


def test_the_command_leaves_what_the_table_says() -> None:
    few = ["stop.env_steps=20000", "evaluation.interval_env_steps=10000", "evaluation.final_episodes=4"]
    assert main.main([*with_trials(command(SEARCH, "tune"), 2), *few]) == 0
    (folder,) = re.findall(r"in `(runs/[^`]+)/`, or in the folder of `--study-dir`", SEARCH)
    rows = [
        row for cells in re.findall(r"^\| (`[^|]+) \|", SEARCH, re.MULTILINE) for row in re.findall(r"`([^`]+)`", cells)
    ]
    assert rows == ["study.html", "best.toml", "best/trial-NNN/", "trials/000/", "study.journal"]
    for row in rows:
        assert list(Path(folder).glob(row.replace("NNN", "*"))), row
    best = toml.load(Path(folder) / "best.toml")
    assert level(best) == max(level(toml.load(each)) for each in Path(folder).glob("trials/*/config.toml"))


def test_the_space_of_the_page_is_read_and_its_comments_hold(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", SEARCH, flags=re.DOTALL)
    (tmp_path / "space.toml").write_text(text)
    space = load_space("space.toml", Config())
    n_step = space.dimensions["agent.n_step"]
    assert "1, 3, 5, 7 or 9" in text
    assert vars(n_step) == {"low": 1, "high": 9, "step": 2, "log": False}
    values = {"optimizer.kind": "adam", "optimizer.momentum": 0.5}
    assert space.overrides(values) == ['optimizer.kind="adam"']


def test_the_commands_for_lunarlander_are_taken_and_compare_the_same_budget() -> None:
    """Searched with seed 1; both configurations are trained with 2 to 6."""
    tuned, shipped, drawn = (command(LUNARLANDER, verb) for verb in ("tune", "train", "plot"))
    given = [each for each in shipped if "=" in each]
    assert given == [each for each in tuned if "=" in each]
    config = toml.load(tuned[1], given)
    assert (config.seed, config.stop.env_steps, config.stop.return_at_least) == (1, 100_000, None)
    assert tuned[tuned.index("--fresh-seeds") + 1] == "5"
    assert shipped[shipped.index("--seeds") + 1] == "2-6"
    assert shipped[-1] in drawn
    assert load_space(tuned[2], config, [each.split("=")[0] for each in given]).dimensions
