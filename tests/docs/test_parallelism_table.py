"""docs/parallelism.md's table: whatever it says to train does, and whatever it says is refused is, in those words."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import tfdqn
from tests.support.tiny_runs import latest, tiny, tiny_pqn
from tfdqn.acting.actors import saved_actors
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.errors import ConfigError
from tfdqn.training.call import train

PAGE = (Path(__file__).parents[2] / "docs" / "parallelism.md").read_text(encoding="utf-8")
UPDATES = 50
TRAINS = "trains"

# Two of everything: the fewest that are several.
STRATEGIES = {
    "local": [],
    "mirrored": ["learner.logical_devices=2"],
    "multi_worker": ["learner.workers=2"],
    "parameter_server": ["learner.workers=2"],
    "averaging": ["learner.workers=2", "learner.averaging_period_train_steps=5"],
}
FEATURES = {
    "several actors": ["acting.actors=2"],
    "sharded replay": ["replay.shards=2"],
    "ensemble": ["ensemble.size=2"],
    "model parallel": ["learner.model_parallel=2"],
    "PQN": [],
}


def table() -> dict[tuple[str, str], str]:
    """(strategy, feature) → what the page's cell says."""
    (block,) = re.findall(r"^\| strategy \|.*?(?=\n\n)", PAGE, re.M | re.S)
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
    return {(row[0].strip("`"), feature): cell for row in rows for feature, cell in zip(head[1:], row[1:], strict=True)}


TABLE = table()


def test_the_table_has_a_cell_for_every_pair() -> None:
    assert TABLE.keys() == {(strategy, feature) for strategy in STRATEGIES for feature in FEATURES}


@pytest.mark.parametrize(("strategy", "feature"), [pair for pair, cell in TABLE.items() if cell != TRAINS])
def test_what_the_table_refuses_is_refused_in_its_words(strategy: str, feature: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(strategy, feature)
    assert str(caught.value).partition(": ")[2] == TABLE[strategy, feature].replace("`", "")


def settings(strategy: str, *features: str) -> list[str]:
    """Overrides of the tiny configuration: fifty updates and a few."""
    overrides = [f"learner.strategy={strategy}", *STRATEGIES[strategy], "stop.env_steps=340"]
    for feature in features:
        overrides += FEATURES[feature]
    if "model parallel" in features:  # each network over two devices
        overrides.append(f"learner.logical_devices={4 if strategy == 'mirrored' else 2}")
    return [*overrides, "evaluation.episodes=1", "evaluation.final_episodes=1"]


def configured(strategy: str, *features: str) -> Config:
    """Of rollouts another tiny configuration."""
    return (tiny_pqn if "PQN" in features else tiny)(*settings(strategy, *features))


def has_several_actors(run: Path) -> bool:
    return saved_actors(latest(run).arrays("actor")) == 2


def has_sharded_replay(run: Path) -> bool:
    return len(list(latest(run).replay.glob("shard-*"))) == 2


def has_ensemble(run: Path) -> bool:
    return latest(run).arrays("learner")["online/q/bias"].shape == (2, 2)


SHOWS: dict[str, Callable[[Path], bool]] = {
    "several actors": has_several_actors,
    "sharded replay": has_sharded_replay,
    "ensemble": has_ensemble,
}


def trained(folder: Path, strategy: str, *features: str) -> Path:
    """The directory of a run that has made at least fifty updates, of weights that are finite."""
    said: list[str] = []
    if strategy == "local" and "model parallel" not in features:  # which needs no process of its own
        train(configured(strategy, *features), folder / "run", say=said.append)
    else:
        (folder / "tiny.toml").write_text(dump(configured(strategy, *features)))
        with tfdqn(folder, "train", "tiny.toml", "--run-dir", "run") as process:
            assert process.ended_within(240), process.out
            assert process.ended() == 0, process.err
            said = process.out.splitlines()
    arrays = latest(folder / "run").arrays("learner")
    assert arrays["train_steps"] >= UPDATES
    assert all(np.isfinite(array).all() for array in arrays.values())
    # A checkpoint looks the same whatever the network was split over.
    assert sum("optimizer are on" in line for line in said) == ("model parallel" in features)
    return folder / "run"


@pytest.mark.parametrize(
    "strategy",
    [pytest.param(each, marks=[pytest.mark.long] if each not in ("local", "mirrored") else []) for each in STRATEGIES],
)
def test_each_strategy_trains_whatever_the_table_says_together(tmp_path: Path, strategy: str) -> None:
    """But for the split network, which is no ensemble."""
    features = [each for each in SHOWS if TABLE[strategy, each] == TRAINS]
    run = trained(tmp_path, strategy, *features)
    assert {each for each, is_there in SHOWS.items() if is_there(run)} == set(features)


def test_replicas_that_are_split_train(tmp_path: Path) -> None:
    trained(tmp_path, "mirrored", "model parallel")


def test_rollouts_are_learned_from(tmp_path: Path) -> None:
    trained(tmp_path, "local", "PQN")


@pytest.mark.long
@pytest.mark.parametrize(("strategy", "feature"), [pair for pair in TABLE if TABLE[pair] == TRAINS])
def test_each_pair_of_the_table_trains_by_itself(tmp_path: Path, strategy: str, feature: str) -> None:
    run = trained(tmp_path, strategy, feature)
    assert [each for each, is_there in SHOWS.items() if is_there(run)] == [feature] * (feature in SHOWS)
