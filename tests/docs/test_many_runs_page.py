"""docs/many_runs.md against the program: its commands are taken as they stand, its files and options exist."""

import re
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import PROJECT
from tests.support.tiny_runs import tiny
from tfdqn.cli import main
from tfdqn.config import Config
from tfdqn.config.toml import flat, load
from tfdqn.errors import FAILED_STATUS
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.tuning.child_runs import default_jobs
from tfdqn.tuning.seed_results import summarize
from tfdqn.tuning.seeds import SeedsOutcome, train_seeds

PAGE = (PROJECT / "docs" / "many_runs.md").read_text(encoding="utf-8")
SEEDS = PAGE.split("## Several seeds")[1].split("\n## ")[0]
FAKE = (sys.executable, str(PROJECT / "tests" / "support" / "fake_run.py"))


def commands(text: str) -> list[list[str]]:
    """What stands in blocks, then what stands in lines; after `tfdqn`."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [*"\n".join(blocks).splitlines(), *re.findall(r"`(tfdqn (?:inspect|plot) [^`]+)`", text)]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("tfdqn ")]


def test_the_commands_for_seeds_do_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is a stand-in's."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr("tfdqn.tuning.seeds.train_seeds", partial(train_seeds, command=FAKE))
    (tmp_path / "configs").symlink_to(PROJECT / "configs")
    monkeypatch.chdir(tmp_path)
    given = commands(SEEDS)
    assert [command[0] for command in given] == ["train", "train", "plot", "inspect", "plot"]
    for command in given:
        assert main.main(command) == 0, command
    folder = Path(re.findall(r"\| in `(runs/[^`]+)/` \|", SEEDS)[0])
    cells = " ".join(re.findall(r"^\| (`[^|]+) \|", SEEDS, re.MULTILINE))
    rows = re.findall(r"`([^`]+)`", cells)
    assert rows == ["seed-1/", "seed-5/", "seeds.json", "learning_curve.png"]
    assert all((folder / row).exists() for row in rows)
    (log,) = re.findall(r"`(seed-1/[\w/]+\.log)`", SEEDS)
    assert (folder / log).exists()
    assert Path("runs/compared.png").exists()


def test_every_key_and_option_that_the_page_names_exists() -> None:
    from typer.main import get_command

    verbs = get_command(main.app).commands  # type: ignore[attr-defined]
    options = {each for verb in verbs.values() for param in verb.params for each in param.opts}
    named = set(re.findall(r"(--[a-z][a-z-]+)", PAGE)) - {"--constraint"}  # pip's
    assert {"--seeds", "--jobs", "--run-dir"} <= named <= options
    assert set(re.findall(r"`((?:learner|task)\.\w+)`", PAGE)) <= set(flat(tiny()))


def test_as_many_seeds_run_at_a_time_as_the_page_says() -> None:
    assert "one seed at a time on two cores, and four on eight." in " ".join(PAGE.split())
    shipped = load(PROJECT / "configs" / "cartpole.toml")
    assert [default_jobs(shipped, cores, gpus=0) for cores in (2, 8)] == [1, 4]


def test_the_exit_status_of_a_failed_seed_is_the_page_s() -> None:
    (status,) = re.findall(r"exit\s+status is (\d+)", SEEDS)
    assert int(status) == FAILED_STATUS


def test_the_command_for_seeds_together_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[int]]] = []

    def train(config: Config, seeds: list[int], folder: SeedsFolder, view: object, jobs: int | None) -> SeedsOutcome:
        asked.append((config.replay.backend, seeds))
        return SeedsOutcome(summarize(folder), is_over=True, failed=[], unsaved=[])

    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr("tfdqn.tuning.seeds.train_seeds_together", train)
    (tmp_path / "configs").symlink_to(PROJECT / "configs")
    monkeypatch.chdir(tmp_path)
    (command,) = commands(PAGE.split("## Seeds together")[1].split("\n## ")[0])
    assert main.main(command) == 0
    assert asked == [("in_graph", [1, 2, 3, 4, 5])]
