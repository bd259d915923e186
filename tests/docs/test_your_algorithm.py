"""docs/your_algorithm.md: its module and configuration, as they stand there, learn and are served."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.commands import PROJECT, ran
from tfdqn.cli.main import main
from tfdqn.config import Config, Stop
from tfdqn.config.toml import checked, load

PAGE = (PROJECT / "docs" / "your_algorithm.md").read_text(encoding="utf-8")
CATCH = (
    *("task.id=tests.support.toy_environments:Catch-v0", "task.num_envs=16", "agent.n_step=3"),
    *("optimizer.learning_rate=3e-3", "exploration.decay_env_steps=4000"),
    *("replay.backend=in_graph", "replay.capacity=10000", "replay.min_size=500", "learner.schedule=alternate"),
    *("learner.batch_size=64", "learner.updates_per_call=20", "learner.env_steps_per_update=8", "stop.env_steps=12000"),
    *("stop.return_at_least=0.9", "evaluation.interval_env_steps=2000", "evaluation.confirm_episodes=0"),
    *("evaluation.episodes=50", "logging.tensorboard=false"),
)
FILES = {
    **{"my_algorithm.py": "python", "mine.toml": "toml", "my_network.py": "python", "images.toml": "toml"},
    "my_camera.py": "python",
}
ROVER = """
import gymnasium
import numpy as np
from gymnasium import spaces


class Rover(gymnasium.Env):
    observation_space = spaces.Dict(
        {
            "camera": spaces.Box(0, 255, (25, 35, 3), np.uint8),
            "gear": spaces.Discrete(4),
            "speed": spaces.Box(-1, 1, (2,)),
        }
    )
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), float(action), bool(self.np_random.random() < 0.1), False, {}


gymnasium.register("Rover-v0", Rover)
"""


def blocks() -> dict[str, str]:
    """The page's blocks by the files as which they are to be saved, in order."""
    found = [block for block in re.findall(r"```(\w+)\n(.*?)```", PAGE, re.S) if block[0] in FILES.values()]
    assert [language for language, _ in found] == list(FILES.values())
    return {name: text for name, (_, text) in zip(FILES, found, strict=True)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in blocks().items():
        (tmp_path / name).write_text(text)
    return tmp_path


def trained(folder: Path, config: str, *overrides: str) -> dict[str, Any]:
    """The summary of a run in `folder`."""
    done = ran(folder, "train", config, *overrides, "--run-dir", "run", environment={"HOME": str(folder)})
    assert done.ended() == 0, done.err
    return json.loads((folder / "run" / "summary.json").read_text())


def test_a_loss_and_a_head_are_less_than_forty_lines_of_code() -> None:
    assert len([line for line in blocks()["my_algorithm.py"].splitlines() if line.strip()]) < 40


def test_its_keys_are_shown_with_their_meaning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    assert main(["config", "mine.toml"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r'kind = "my_algorithm:hl_gauss" +# your own, or one of', shown)
    assert re.search(r"bins = 51 +# bins of the histogram", shown) and "limit = 100.0" in shown


def test_it_learns_and_is_exported(folder: Path) -> None:
    summary = trained(folder, "mine.toml", *CATCH, "network.hidden_units=[32]", "agent.limit=2")
    assert summary["final"]["mean_return"] >= 0.8  # a random player gets -0.6
    assert (folder / "run" / "exports" / "1" / "saved_model.pb").is_file()


def test_the_torso_is_trained_as_it_stands_there(folder: Path) -> None:
    short = ("stop.env_steps=1200", "replay.min_size=300", "evaluation.episodes=2", "evaluation.final_episodes=2")
    assert trained(folder, "images.toml", *short)["train_steps"] > 0
    card = json.loads((folder / "run" / "exports" / "1" / "model_card.json").read_text())
    assert card["configuration"]["network"]["kind"] == "my_network:two_conv"
    assert card["configuration"]["network"]["filters"] == 32


@pytest.mark.parametrize("ensemble", [pytest.param(1, marks=pytest.mark.long), 2])
def test_an_image_and_numbers_are_read_together(folder: Path, ensemble: int) -> None:
    (folder / "rover.py").write_text(ROVER)
    (folder / "rover.toml").write_text('task.id = "rover:Rover-v0"\nnetwork.kind = "my_camera:camera"\n')
    short = ("stop.env_steps=1200", "replay.min_size=300", "evaluation.episodes=2", "evaluation.final_episodes=2")
    assert trained(folder, "rover.toml", f"ensemble.size={ensemble}", *short)["train_steps"] > 0


@pytest.mark.long
def test_the_torso_learns(folder: Path) -> None:
    network = ("network.filters=8", "network.dense_units=32", "task.kwargs={board = true}")
    assert trained(folder, "images.toml", *CATCH, *network)["final"]["mean_return"] >= 0.8


def test_it_is_configured_in_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    import my_algorithm  # type: ignore[import-not-found]

    made = Config(agent=my_algorithm.HLGauss(limit=100.0), stop=Stop(env_steps=500_000, return_at_least=475.0))
    assert checked(made) == load(folder / "mine.toml")


def test_its_loss_is_the_cross_entropy_with_a_gaussian_around_dqns_target(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    import my_algorithm  # type: ignore[import-not-found]

    from tests.support.loss_outputs import of_tables

    rng, size, bins = np.random.default_rng(1), 6, 5
    online, target = rng.normal(size=(2, 2 * size, 3, bins)).astype(np.float32)
    batch = {
        "action_tm1": rng.integers(3, size=size).astype(np.int32),
        "r_t": rng.normal(size=size).astype(np.float32),
        "discount_t": np.float32([0.9, 0, 0.9, 0.9, 0, 0.9]),
    }
    found = of_tables(my_algorithm.HLGauss(bins=bins, limit=2), online, target, batch, None)
    edges, rows = np.linspace(-2, 2, bins + 1), np.arange(size)

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)

    q_t = (softmax(target[size:]) * (edges[1:] + edges[:-1]) / 2).sum(axis=-1)
    y = np.clip(batch["r_t"] + batch["discount_t"] * q_t.max(axis=1), -2, 2)
    grid = np.linspace(-2, 2, 200 * bins + 1)  # the Gaussian's mass in each bin, by the trapezoidal rule
    density = np.exp(-(((grid - y[:, None]) / (0.75 * 0.8)) ** 2) / 2)
    steps = (density[:, 1:] + density[:, :-1]).reshape(size, bins, 200).sum(axis=2)
    histogram = steps / steps.sum(axis=1, keepdims=True)
    log_p = np.log(softmax(online[:size]))[rows, batch["action_tm1"]]
    np.testing.assert_allclose(found.loss, -(histogram * log_p).sum(axis=1), rtol=1e-4)
