"""A learned time to exercise an American put, beside the best one, and never before maturity.

    python -m examples.fields.american_put RUN [--steps-per-date 20] [--paths 100000] [--seed 0] [--picture FILE.png]

Prints one JSON object. Values are exact on a binomial tree (Cox, Ross and Rubinstein 1979): the policy is asked at each
node of each exercise date, and what it earns is averaged backwards. A simulation of the stock's own paths, with its
95 % bootstrap interval, shows that the tree stands for them.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import tfdqn
from tfdqn.evaluation.evaluator import scores
from tfdqn.tasks.fields.american_put import EXERCISE, AmericanPut

Choice = Callable[[np.ndarray], Any]  # observations float32[B, 2] → an action for each
Rule = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # date, spots, payoffs, held values → whether


def value(put: AmericanPut, steps_per_date: int, is_exercised: Rule) -> float:
    """What the option is worth on a tree with `steps_per_date` steps between exercise dates.

    Up and down are u = exp(σ sqrt(dt)) and 1 / u, the chance of up p = (exp(r dt) - 1 / u) / (u - 1 / u).
    """
    steps = put.exercise_dates * steps_per_date
    step_years = put.maturity_years / steps
    up, discount = math.exp(put.volatility * math.sqrt(step_years)), math.exp(-put.rate * step_years)
    chance = (1 / discount - 1 / up) / (up - 1 / up)
    values = np.zeros(steps + 1)  # to hold at maturity is to let it expire
    for step in range(steps, -1, -1):
        if step < steps:
            values = discount * (chance * values[1:] + (1 - chance) * values[:-1])
        if step % steps_per_date == 0:
            spots = put.spot * up ** np.arange(-step, step + 1, 2.0)
            payoffs = put.strike - spots
            values = np.where(is_exercised(step // steps_per_date, spots, payoffs, values), payoffs, values)
    return float(values[0])


def best(date: int, spots: np.ndarray, payoffs: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Exercise where that pays more than to hold."""
    return payoffs > held


def at_maturity(put: AmericanPut) -> Rule:
    """A European put's."""
    return lambda date, spots, payoffs, held: (payoffs > 0) & (date == put.exercise_dates)


def of_policy(policy: Choice, put: AmericanPut) -> Rule:
    """The learned one, asked in states as the task observes them."""

    def is_exercised(date: int, spots: np.ndarray, payoffs: np.ndarray, held: np.ndarray) -> np.ndarray:
        return np.asarray(policy(put.observed(date, spots))) == EXERCISE

    return is_exercised


def simulated(put: AmericanPut, policy: Choice, paths: int, seed: int) -> np.ndarray:
    """Discounted payoffs float64[paths] of the policy on paths of the stock."""
    rng, step_years = np.random.default_rng(seed), put.maturity_years / put.exercise_dates
    spots, payoffs, alive = np.full(paths, put.spot), np.zeros(paths), np.arange(paths)
    for date in range(put.exercise_dates + 1):
        now = np.asarray(policy(put.observed(date, spots[alive]))) == EXERCISE
        payoffs[alive[now]] = math.exp(-put.rate * date * step_years) * (put.strike - spots[alive[now]])
        alive = alive[~now]
        if not len(alive):
            break
        shocks = put.volatility * math.sqrt(step_years) * rng.standard_normal(len(alive))
        spots[alive] *= np.exp((put.rate - put.volatility**2 / 2) * step_years + shocks)
    return payoffs


def compare(policy: Choice, put: AmericanPut, steps_per_date: int, paths: int, seed: int) -> dict[str, Any]:
    """The learned value, exact and simulated, beside the best and the European one."""
    learned, most = value(put, steps_per_date, of_policy(policy, put)), value(put, steps_per_date, best)
    found = scores(simulated(put, policy, paths, seed), np.full(paths, put.exercise_dates))
    return {
        "learned": round(learned, 4),
        "best on the same dates": round(most, 4),
        "learned, part of the best": round(learned / most, 5),
        "best at any time": round(value(_continuous(put, steps_per_date), 1, best), 4),
        "exercised only at maturity": round(value(put, steps_per_date, at_maturity(put)), 4),
        "learned, simulated": {
            "value": round(found.mean_return, 4),
            "95 % interval": [round(found.ci_low, 4), round(found.ci_high, 4)],
        },
    }


def _continuous(put: AmericanPut, steps_per_date: int) -> AmericanPut:
    dates = put.exercise_dates * steps_per_date
    return AmericanPut(put.spot, put.strike, put.rate, put.volatility, put.maturity_years, dates)


def boundary(put: AmericanPut, rule: Rule, steps_per_date: int) -> np.ndarray:
    """The highest spot at which the rule exercises at each date, float64[dates + 1]; NaN where it never does."""
    highest = np.full(put.exercise_dates + 1, np.nan)

    def noting(date: int, spots: np.ndarray, payoffs: np.ndarray, held: np.ndarray) -> np.ndarray:
        exercised = rule(date, spots, payoffs, held)
        if exercised.any():
            highest[date] = spots[exercised].max()
        return exercised

    value(put, steps_per_date, noting)
    return highest


def draw(policy: Choice, put: AmericanPut, steps_per_date: int, file: Path) -> None:
    """A picture of the boundary below which the option is exercised, the learned one and the best."""
    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    years = np.linspace(0, put.maturity_years, put.exercise_dates + 1)
    axes.step(years, boundary(put, of_policy(policy, put), steps_per_date), where="post", label="learned")
    axes.step(years, boundary(put, best, steps_per_date), where="post", label="best", linestyle="--")
    axes.set(xlabel="years", ylabel="exercised at or below this spot")
    axes.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--steps-per-date", type=int, default=20, help="of the tree")
    parser.add_argument("--paths", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, help="where to draw the boundaries")
    return parser


def main() -> None:
    options = parser().parse_args()
    put = AmericanPut(**tfdqn.load_config(options.run / "config.toml").task.kwargs)
    policy = tfdqn.load_policy(options.run)
    print(json.dumps(compare(policy, put, options.steps_per_date, options.paths, options.seed), indent=2))
    if options.picture:
        draw(policy, put, options.steps_per_date, options.picture)


if __name__ == "__main__":
    main()
