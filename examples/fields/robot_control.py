"""A learned controller on a robot whose physics differ from training's: heavier, slipperier, on another planet.

    python -m examples.fields.robot_control RUN [--factors 0.5 0.75 1.25 1.5 2] [--episodes 50] [--picture FILE.png]

Prints one JSON object: the mean return with physics as they were trained on, and with mass, friction and gravity times
each factor, one at a time; with each its fall, on the same initial states, and 95 % bootstrap intervals. Needs the
extra mujoco: episodes are played in gymnasium's environment, whichever the run was trained in.

Mass is every body's, with its inertia. Friction is that of contacts and the damping of joints: what has no contacts
has only the latter.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from matplotlib.figure import Figure

import tfdqn
from examples.fields.means import mean_of
from tfdqn.config import Task
from tfdqn.tasks.suites.packages import package_of

Policy = Callable[[Any], np.ndarray]  # observations [E, …], or a dict of them → actions of the environment [E, …]
PARTS = {  # of a mujoco.MjModel
    "mass": ("body_mass", "body_inertia"),
    "friction": ("geom_friction", "dof_damping"),
    "gravity": ("opt.gravity",),
}


def scale(env: gymnasium.Env[Any, Any], quantity: str, factor: float) -> None:
    """Multiplies a quantity of a MuJoCo environment, before its reset, and what MuJoCo derives from it."""
    import mujoco

    own: Any = env.unwrapped
    for name in PARTS[quantity]:
        values = own.model.opt.gravity if name == "opt.gravity" else getattr(own.model, name)
        values *= factor
    mujoco.mj_setConst(own.model, own.data)


def make(task: Task) -> gymnasium.Env[Any, Any]:
    """gymnasium's environment, or Gymnasium-Robotics'."""
    package = package_of(task.id)
    limit: dict[str, Any] = {"max_episode_steps": task.max_episode_steps} if task.max_episode_steps else {}
    return gymnasium.make(f"{package.module}:{task.id}" if package else task.id, **task.kwargs, **limit)


def play(policy: Policy, envs: Sequence[gymnasium.Env[Any, Any]], seed: int) -> np.ndarray:
    """Returns float64[E] of an episode of each; the same initial states for the same seed."""
    observations = [env.reset(seed=seed + index)[0] for index, env in enumerate(envs)]
    returns, running = np.zeros(len(envs)), np.ones(len(envs), bool)
    while running.any():
        actions = policy(_stacked(observations))
        for index in np.flatnonzero(running):
            observations[index], reward, terminated, truncated, _ = envs[index].step(actions[index])
            returns[index] += float(reward)
            running[index] = not (terminated or truncated)
    return returns


def _stacked(observations: Sequence[Any]) -> Any:
    """Arrays, or dicts of arrays as of gymnasium's goal environments, with a batch axis."""
    if isinstance(observations[0], dict):
        return {name: np.stack([each[name] for each in observations]) for name in observations[0]}
    return np.stack(observations)


def compare(policy: Policy, task: Task, factors: Sequence[float], episodes: int, seed: int) -> dict[str, Any]:
    """{"unchanged": a mean, quantity: {factor: a mean and a fall}}, each with its interval."""

    def returns(*change: Any) -> np.ndarray:
        envs = [make(task) for _ in range(episodes)]
        for env in envs:
            if change:
                scale(env, *change)
        try:
            return play(policy, envs, seed)
        finally:
            for env in envs:
                env.close()

    unchanged = returns()
    found: dict[str, Any] = {"episodes": episodes, "unchanged": mean_of("return", unchanged)}
    for quantity in PARTS:
        found[quantity] = {}
        for factor in factors:
            changed = returns(quantity, factor)
            found[quantity][f"{factor:g}"] = {**mean_of("return", changed), **mean_of("fall", unchanged - changed)}
    return found


def draw(found: dict[str, Any], file: Path) -> None:
    """A picture of the return by factor, a panel for each quantity; the line is that of unchanged physics."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    for number, quantity in enumerate(PARTS):
        rows = {1.0: found["unchanged"], **{float(factor): row for factor, row in found[quantity].items()}}
        factors = sorted(rows)
        low, high = np.array([rows[factor]["return, 95 % interval"] for factor in factors]).T
        axes = figure.add_subplot(1, len(PARTS), number + 1)
        axes.plot(factors, [rows[factor]["return"] for factor in factors], marker="o")
        axes.fill_between(factors, low, high, alpha=0.3)
        axes.axhline(found["unchanged"]["return"], color="black", linewidth=0.5)
        axes.set(xlabel=f"{quantity}, times training's", ylabel="" if number else "return")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--factors", type=float, nargs="+", default=[0.5, 0.75, 1.25, 1.5, 2.0])
    parser.add_argument("--episodes", type=int, default=50, help="of each physics")
    parser.add_argument("--seed", type=int, default=0, help="of initial states")
    parser.add_argument("--picture", type=Path, help="where to draw the return by factor")
    return parser


def main() -> None:
    options = parser().parse_args()
    task = tfdqn.load_config(options.run / "config.toml").task
    policy: Any = tfdqn.load_policy(options.run)
    found = compare(policy, task, options.factors, options.episodes, options.seed)
    print(json.dumps(found, indent=2))
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
