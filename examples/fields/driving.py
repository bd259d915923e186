"""A learned driver on highway-env's roads, beside one that leaves everything as it is, and beside chance.

    python -m examples.fields.driving RUN [--episodes 100] [--picture FILE.png] [--video FILE.mp4]

Prints one JSON object: of each driver, on the same traffic at the start, the part of episodes without a collision, with
Wilson's 95 % interval (1927), and the mean return, with a bootstrap interval; and what the learned one earns beyond
each of the others. Episodes are driven in highway-env itself, whichever version of the task the run was trained in.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import imageio
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

import tfdqn
from examples.fields.means import mean_of
from tfdqn.config import Task

Driver = Callable[[np.ndarray], int]  # an observation → an action
IDLE = 1  # of highway-env's DiscreteMetaAction: lane and speed stay
FRAMES_PER_SECOND = 4  # of a video: as many decisions


class Episode(NamedTuple):
    total_reward: float
    is_crashed: bool


def make(task: Task, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    """highway-env's environment of a task, EnvPool's included, whose arguments are highway-env's configuration."""
    kwargs = {"config": dict(task.kwargs)} if task.suite == "envpool" else task.kwargs
    limit: dict[str, Any] = {"max_episode_steps": task.max_episode_steps} if task.max_episode_steps else {}
    return gymnasium.make(f"highway_env:{task.id}", render_mode=render_mode, **kwargs, **limit)


def drive(
    driver: Driver, env: gymnasium.Env[Any, Any], seed: int, on_step: Callable[[], Any] = lambda: None
) -> Episode:
    """One episode; `on_step` is called at its start and after each step."""
    observation, _ = env.reset(seed=seed)
    on_step()
    total, is_over, is_crashed = 0.0, False, False
    while not is_over:
        observation, reward, terminated, truncated, info = env.step(int(driver(observation)))
        total, is_over, is_crashed = total + float(reward), terminated or truncated, bool(info["crashed"])
        on_step()
    return Episode(total, is_crashed)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a part: where it is 1, not of width 0, as a bootstrap's is."""
    found = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def compare(policy: Driver, task: Task, episodes: int, seed: int) -> dict[str, Any]:
    """Of each driver its figures; episode i begins alike for all."""
    env, rng = make(task), np.random.default_rng(seed)
    actions: Any = env.action_space
    drivers: dict[str, Driver] = {
        "learned": policy,
        "idle": lambda _: IDLE,
        "random": lambda _: int(rng.integers(actions.n)),
    }
    driven = {
        name: [drive(driver, env, seed + number) for number in range(episodes)] for name, driver in drivers.items()
    }
    env.close()
    returns = {name: np.array([each.total_reward for each in found]) for name, found in driven.items()}
    figures: dict[str, Any] = {"episodes": episodes}
    for name, found in driven.items():
        safe = sum(not each.is_crashed for each in found)
        figures[name] = {
            "without collision": round(safe / episodes, 4),
            "without collision, 95 % interval": [round(end, 4) for end in wilson(safe, episodes)],
            **mean_of("return", returns[name]),
        }
    for name in ("idle", "random"):
        figures["learned"] |= mean_of(f"return beyond {name}", returns["learned"] - returns[name])
    return figures


def draw(figures: dict[str, Any], file: Path) -> None:
    """A picture of each driver's part without collision and return, with their intervals."""
    figure, drivers = Figure(figsize=(8, 3), layout="constrained"), ["learned", "idle", "random"]
    for number, name in enumerate(("without collision", "return")):
        axes = figure.add_subplot(1, 2, number + 1)
        values = np.array([figures[driver][name] for driver in drivers])
        ends = np.array([figures[driver][f"{name}, 95 % interval"] for driver in drivers])
        axes.errorbar(drivers, values, np.abs(ends.T - values), fmt="o", capsize=4)
        axes.set_ylabel(f"part of episodes {name}" if number == 0 else name)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def record_video(policy: Driver, task: Task, seed: int, file: Path) -> None:
    """Writes an MP4 of one episode of highway-env's own pictures, one for each decision."""
    os.environ["OFFSCREEN_RENDERING"] = "1"  # highway-env opens no window then, and with SDL's dummy it draws nothing
    os.environ.pop("SDL_VIDEODRIVER", None)
    env, frames = make(task, render_mode="rgb_array"), list[Any]()
    drive(policy, env, seed, lambda: frames.append(env.render()))
    env.close()
    file.parent.mkdir(parents=True, exist_ok=True)
    imageio.mimwrite(file, frames, fps=FRAMES_PER_SECOND, macro_block_size=2)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the traffic")
    parser.add_argument("--picture", type=Path, help="where to draw the figures")
    parser.add_argument("--video", type=Path, help="where to record the first episode, as an MP4")
    return parser


def main() -> None:
    options = parser().parse_args()
    task = tfdqn.load_config(options.run / "config.toml").task
    policy: Any = tfdqn.load_policy(options.run)
    figures = compare(policy, task, options.episodes, options.seed)
    print(json.dumps(figures, indent=2))
    if options.picture:
        draw(figures, options.picture)
    if options.video:
        record_video(policy, task, options.seed, options.video)


if __name__ == "__main__":
    main()
