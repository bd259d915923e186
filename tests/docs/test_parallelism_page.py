"""docs/parallelism.md against the program: its commands are taken as they stand; its keys, links and pictures exist."""

import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.support.commands import tfdqn
from tests.support.parallelism_page import PAGE, Command, commands
from tests.support.tiny_runs import latest
from tfdqn.cli import main
from tfdqn.cluster.environment import cluster_of_environment
from tfdqn.config import Config, toml
from tfdqn.config.toml import flat, from_mapping
from tfdqn.records import Summary

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "docs" / "pictures").glob("parallel-*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def resolved(command: Command, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The configuration that the command line would train with."""
    taken: list[Config] = []

    def train(config: Config, *_: object, **__: object) -> Summary:
        taken.append(config)
        return Summary(
            status="finished", reason="", env_steps=1, train_steps=1, episodes=1, seconds=1.0, best_return=None
        )

    monkeypatch.setattr("tfdqn.training.train.train_checked", train)
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert main.main(command.arguments) == 0
    (config,) = taken
    return config


def test_every_command_is_one_that_the_program_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = commands(tmp_path)
    found = [command for command in every if command.arguments[0] == "train"]
    for verb, file, *keys in (command.arguments for command in every if command not in found):
        assert verb == "launch"  # of which `tests/docs/test_jobs_page.py` runs others; here it is the keys that matter
        toml.load(ROOT / file, [key for key in keys if "=" in key])
    configs = [resolved(command, monkeypatch) for command in found]
    assert {config.learner.strategy for config in configs} == {
        *("local", "mirrored", "multi_worker", "parameter_server", "averaging")
    }
    assert any(config.learner.model_parallel > 1 for config in configs)
    assert {config.ensemble.execution for config in configs if config.ensemble.size > 1} == {*("batched", "processes")}
    for command, config in zip(found, configs, strict=True):
        if command.tf_config is not None:
            cluster = cluster_of_environment({"TF_CONFIG": command.tf_config})
            assert cluster is not None and cluster.is_chief
            is_served = config.learner.strategy == "parameter_server"
            assert set(cluster.jobs) == ({"chief", "worker", "ps"} if is_served else {"worker"})


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_command_for_one_host_trains(tmp_path: Path) -> None:
    """The page's command with a small task and few updates; those for many hosts: test_train_on_hosts.py."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    found = [command for command in commands(tmp_path) if command.tf_config is None]
    assert len(found) >= 12
    for index, command in enumerate(found):
        with tfdqn(tmp_path, *command.short, "--run-dir", f"run-{index}") as process:
            assert process.ended_within(240), f"{command}: {process.out}"
            assert process.ended() == 0, f"{command}: {process.err}"
        assert latest(tmp_path / f"run-{index}").counters.train_steps >= 50, command


def test_every_toml_snippet_is_a_configuration() -> None:
    snippets = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert snippets
    for snippet in snippets:
        from_mapping(tomllib.loads(snippet))


def test_every_key_that_the_page_names_is_in_the_configuration() -> None:
    keys = set(flat(Config()))
    named = set(re.findall(r"`((?:acting|ensemble|learner|replay|task)\.\w+)[` ]", PAGE))
    assert len(named) > 15
    assert named <= keys
    # A key that divides the work and is not on the page would be one that nobody finds.
    dividing = {
        *("acting.actors", "replay.shards", "ensemble.size", "ensemble.execution", "learner.strategy"),
        *("learner.logical_devices", "learner.model_parallel", "learner.workers", "learner.parameter_servers"),
        *("learner.updates_per_read", "learner.max_staleness_train_steps", "learner.all_reduce"),
        *("learner.averaging_period_train_steps", "learner.average_optimizer"),
    }
    assert dividing <= named


def test_every_link_inside_the_page_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links and links <= anchors


def test_every_file_that_the_page_says_proves_something_exists() -> None:
    files = set(re.findall(r"`((?:tests|configs)/[\w./-]+)`", PAGE))
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_picture_is_shown_once() -> None:
    shown = re.findall(r"^!\[[^\]]+\]\(pictures/(parallel-[\w-]+\.svg)\)$", PAGE, flags=re.MULTILINE)
    assert sorted(shown) == [picture.name for picture in PICTURES]


def test_all_pictures_speak_one_language_and_say_what_they_show() -> None:
    trees = [ElementTree.parse(picture).getroot() for picture in PICTURES]
    for part in ("style", "defs"):
        assert len({ElementTree.tostring(tree.find(f"{SVG}{part}")) for tree in trees}) == 1, part
    style = trees[0].findtext(f"{SVG}style") or ""
    assert "prefers-color-scheme: dark" in style
    for tree in trees:
        assert tree.findtext(f"{SVG}title") and tree.findtext(f"{SVG}desc")
        classes = {name for each in tree.iter() for name in each.get("class", "").split()}
        assert [name for name in classes if f".{name}" not in style] == []
