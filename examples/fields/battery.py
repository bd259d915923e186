"""A learned battery beside a rule, chance and the linear program's optimum, on the same days.

    python -m examples.fields.battery RUN [--days 1000] [--seed 0] [--picture FILE.png]

Prints one JSON object: the mean profit of a day in EUR with its 95 % bootstrap interval, and its part of the optimum's.
The battery and its prices are those of the run's configuration, the days others than those of training: another seed
draws them, or from the file that `--prices-file` names.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import linprog

import tfdqn
from tfdqn.evaluation.evaluator import scores
from tfdqn.tasks.fields.battery import CHARGE, DISCHARGE, HOURS, IDLE, Battery

Choice = Callable[[np.ndarray], Any]  # observations float32[days, 26] → an action for each day


def optimum(prices: np.ndarray, battery: Battery) -> tuple[float, np.ndarray]:
    """(the most that a day can earn in EUR, energy stored after each hour float64[24]), by a linear program.

    Its battery may charge and discharge at any power, and even in parts of the same hour: an upper bound for one that
    has full power or none.
    """
    one_way, hours, nothing = battery.efficiency**0.5, np.eye(HOURS), np.zeros((HOURS, HOURS))
    after_before = hours - np.eye(HOURS, k=-1)
    solved = linprog(  # over energy bought, sold and stored
        np.concatenate([prices, battery.degradation_cost - prices, np.zeros(HOURS)]),
        A_eq=np.hstack([-one_way * hours, hours / one_way, after_before]),
        b_eq=np.zeros(HOURS),
        A_ub=np.hstack([hours, hours, nothing]),
        b_ub=np.full(HOURS, battery.power_mw),
        bounds=[(0, battery.power_mw)] * (2 * HOURS) + [(0, battery.capacity_mwh)] * HOURS,
    )
    if not solved.success:
        raise RuntimeError(f"the linear program was not solved: {solved.message}")
    return -float(solved.fun), solved.x[2 * HOURS :]


def rule(prices: np.ndarray, battery: Battery) -> np.ndarray:
    """Actions int[24]: charge in the cheapest hours, as many as fill it, and discharge in as many of the dearest."""
    count = min(math.ceil(battery.capacity_mwh / battery.power_mw / battery.efficiency**0.5), HOURS // 2)
    order = np.argsort(prices, kind="stable")
    actions = np.full(HOURS, IDLE)
    actions[order[:count]], actions[order[-count:]] = CHARGE, DISCHARGE
    return actions


def play(batteries: list[Battery], seed: int, choose: Choice) -> np.ndarray:
    """Each battery's profit float64[days] of a day; day i is the same for whatever chooses."""
    observations = [battery.reset(seed=seed + day)[0] for day, battery in enumerate(batteries)]
    profits = np.zeros(len(batteries))
    for _ in range(HOURS):
        actions = choose(np.stack(observations))
        answers = [battery.step(int(action)) for battery, action in zip(batteries, actions, strict=True)]
        observations = [answer[0] for answer in answers]
        profits += [answer[1] for answer in answers]
    return profits


def compare(policy: Choice, kwargs: dict[str, Any], days: int, seed: int) -> dict[str, Any]:
    """Of each way to choose: {"EUR a day", "95 % interval", "part of the optimum"}."""
    batteries, rng = [Battery(**kwargs) for _ in range(days)], np.random.default_rng(seed)
    profits = {"learned": play(batteries, seed, policy)}
    best = np.array([optimum(battery.prices, battery)[0] for battery in batteries])
    plans = np.stack([rule(battery.prices, battery) for battery in batteries], axis=1)
    hours = iter(plans)
    profits["rule"] = play(batteries, seed, lambda _: next(hours))
    profits["random"] = play(batteries, seed, lambda _: rng.integers(3, size=days))
    profits["linear program"] = best
    return {name: _row(each, best) for name, each in profits.items()}


def _row(profits: np.ndarray, best: np.ndarray) -> dict[str, Any]:
    found = scores(profits, np.full(len(profits), HOURS))
    return {
        "EUR a day": round(found.mean_return, 2),
        "95 % interval": [round(found.ci_low, 2), round(found.ci_high, 2)],
        "part of the optimum": round(float(profits.sum() / best.sum()), 4),
    }


def draw(policy: Choice, kwargs: dict[str, Any], seed: int, file: Path) -> None:
    """A picture of the first day: its prices, and what is stored by the learned battery and by the optimum's."""
    battery, stored = Battery(**kwargs), list[float]()

    def choose(observations: np.ndarray) -> Any:
        stored.append(float(observations[0, 0]) * battery.capacity_mwh)
        return policy(observations)

    play([battery], seed, choose)
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes, energy = figure.add_subplot(2, 1, 1), figure.add_subplot(2, 1, 2)
    axes.step(range(HOURS), battery.prices, where="post", color="black")
    axes.set_ylabel("EUR/MWh")
    energy.step(range(HOURS), [*stored[1:], stored[-1]], where="post", label="learned")
    energy.step(range(HOURS), optimum(battery.prices, battery)[1], where="post", label="linear program", linestyle="--")
    energy.set(xlabel="hour", ylabel="MWh after the hour")
    energy.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--days", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prices-file", help="days to compare on, where the run's prices are a file")
    parser.add_argument("--picture", type=Path, help="where to draw the first of the days")
    return parser


def main() -> None:
    options = parser().parse_args()
    kwargs = dict(tfdqn.load_config(options.run / "config.toml").task.kwargs)
    if options.prices_file:
        kwargs["prices_file"] = options.prices_file
    policy = tfdqn.load_policy(options.run)
    print(json.dumps(compare(policy, kwargs, options.days, options.seed), indent=2))
    if options.picture:
        draw(policy, kwargs, options.seed, options.picture)


if __name__ == "__main__":
    main()
