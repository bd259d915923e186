"""A learned trader of one stock on days that it has never seen, beside buying and holding, and beside chance.

    python -m examples.fields.stocks RUN [RUN ...] [--validation FIRST LAST] [--held-out FIRST LAST] [--picture FILE]

Of several runs (seeds, settings) the one that earns most in the validation period is chosen; the held-out period
chooses nothing. Prints one JSON object: for each period, trader and run the return, the largest drawdown and the yearly
Sharpe ratio of daily returns, fees paid, with 95 % intervals by a bootstrap of blocks of 20 days (Künsch 1989); for
chance, the mean of 100 random traders.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import tfdqn
from tfdqn.randomness import stream
from tfdqn.tasks.fields.stocks import make_stocks

Choice = Callable[[np.ndarray], Any]  # an observation float32[6] → an action
DAYS_PER_YEAR, BLOCK_DAYS, SAMPLES, RANDOM_TRADERS = 252, 20, 2_000, 100


def trade(choose: Choice, kwargs: dict[str, Any]) -> np.ndarray:
    """The portfolio's daily logarithmic returns, float64[days], over the period of the task's arguments."""
    env = make_stocks(**kwargs)
    observation, _ = env.reset()
    returns, is_over = [], False
    while not is_over:
        observation, reward, terminated, truncated, _ = env.step(int(choose(observation)))
        returns.append(float(reward))
        is_over = terminated or truncated
    return np.array(returns)


def total_return(returns: np.ndarray) -> np.ndarray:
    """Of daily logarithmic returns [..., days]: what one unit of money has gained."""
    return np.expm1(returns.sum(axis=-1))


def drawdown(returns: np.ndarray) -> np.ndarray:
    """The largest fall from a peak, as a part of it; the start counts as one."""
    value = np.cumsum(returns, axis=-1)
    peak = np.maximum(np.maximum.accumulate(value, axis=-1), 0.0)
    return -np.expm1((value - peak).min(axis=-1))


def sharpe(returns: np.ndarray) -> np.ndarray:
    """Mean over deviation of daily returns, a year's, above no interest; 0 for one that is always in cash."""
    simple = np.expm1(returns)
    deviation = simple.std(axis=-1, ddof=1)
    return np.where(deviation > 0, simple.mean(axis=-1) / np.where(deviation > 0, deviation, 1), 0) * DAYS_PER_YEAR**0.5


STATISTICS = {"return": total_return, "drawdown": drawdown, "Sharpe": sharpe}


def blocks(returns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples float64[SAMPLES, days], each of blocks of consecutive days, which begin anywhere."""
    days = len(returns)
    length = min(BLOCK_DAYS, days)
    starts = rng.integers(days - length + 1, size=(SAMPLES, -(-days // length)))
    rows = (starts[..., np.newaxis] + np.arange(length)).reshape(SAMPLES, -1)[:, :days]
    return returns[rows]


def described(returns: np.ndarray) -> dict[str, Any]:
    """Of each statistic: [value, lower end, upper end of its 95 % interval]."""
    samples = blocks(returns, stream(0, "blocks"))
    ends = {name: np.percentile(statistic(samples), [2.5, 97.5]) for name, statistic in STATISTICS.items()}
    return {
        name: [round(float(each), 4) for each in (statistic(returns), *ends[name])]
        for name, statistic in STATISTICS.items()
    }


def random_traders(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Of each statistic: [mean, 2.5th and 97.5th percentile] of traders that choose anew each day."""
    rng = np.random.default_rng(0)
    returns = np.stack([trade(lambda _: rng.integers(2), kwargs) for _ in range(RANDOM_TRADERS)])
    found = {name: statistic(returns) for name, statistic in STATISTICS.items()}
    return {
        name: [round(float(each), 4) for each in (values.mean(), *np.percentile(values, [2.5, 97.5]))]
        for name, values in found.items()
    }


def compare(policies: dict[str, Choice], periods: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Each trader in each period, and which policy the period "validation" chooses."""
    figures: dict[str, Any] = {}
    for period, kwargs in periods.items():
        figures[period] = {name: described(trade(policy, kwargs)) for name, policy in policies.items()}
        figures[period]["buy and hold"] = described(trade(lambda _: 1, kwargs))
        figures[period]["random"] = random_traders(kwargs)
    chosen = max(policies, key=lambda name: figures["validation"][name]["return"][0])
    return {"chosen by validation": chosen, "value, 95 % interval": figures}


def draw(policy: Choice, kwargs: dict[str, Any], file: Path) -> None:
    """A picture of what one unit of money has become each day of the held-out period."""
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.add_subplot()
    traders: Iterable[tuple[str, Choice]] = (("learned", policy), ("buy and hold", lambda _: 1))
    for name, choose in traders:
        axes.plot(np.exp(np.cumsum(trade(choose, kwargs))), label=name)
    axes.set(xlabel=f"trading days since {kwargs['first_day']}", ylabel="value of 1, fees paid")
    axes.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--validation", nargs=2, default=["2015-01-01", "2016-12-31"], metavar=("FIRST", "LAST"))
    parser.add_argument("--held-out", nargs=2, default=["2017-01-01", "2018-12-31"], metavar=("FIRST", "LAST"))
    parser.add_argument("--picture", type=Path, help="where to draw the chosen policy in the held-out period")
    return parser


def main() -> None:
    options = parser().parse_args()
    trained = dict(tfdqn.load_config(options.runs[0] / "config.toml").task.kwargs)
    periods = {
        name: {**trained, "first_day": first, "last_day": last}
        for name, (first, last) in (("validation", options.validation), ("held out", options.held_out))
    }
    policies: dict[str, Choice] = {str(run): tfdqn.load_policy(run) for run in options.runs}
    found = compare(policies, {"training": trained, **periods})
    print(json.dumps(found, indent=2))
    if options.picture:
        draw(policies[found["chosen by validation"]], periods["held out"], options.picture)


if __name__ == "__main__":
    main()
