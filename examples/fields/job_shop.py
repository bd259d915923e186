"""A learned schedule beside dispatching rules, chance and the best makespan that there is.

    python -m examples.fields.job_shop RUN [--picture FILE.png]

Prints one JSON object: the makespan of each. Rules dispatch as a shop does, without delay: whenever a machine is free
and operations wait for it, one of them begins, by SPT the one that takes least, by FIFO the one that has waited
longest, by MWKR the one whose job has most work left, itself included; of equals the job with the lowest number.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import tfdqn
from tfdqn.tasks.fields.job_shop import OPTIMA, JobShop, make_job_shop, read_instance

Choice = Callable[[np.ndarray, np.ndarray], Any]  # an observation and the legal jobs bool[jobs] → a job
RANDOM_SCHEDULES = 1_000


class Waiting(NamedTuple):
    """An operation that waits for its machine."""

    time: int  # that it takes
    since: int
    work_left: int  # of its job, itself included
    job: int


RULES: dict[str, Callable[[Waiting], Any]] = {
    "SPT": lambda each: (each.time, each.job),
    "FIFO": lambda each: (each.since, each.job),
    "MWKR": lambda each: (-each.work_left, each.job),
}


def dispatched(shop: JobShop, rule: Callable[[Waiting], Any]) -> int:
    """The makespan by a rule, which gives of the operations that wait for a machine the least one."""
    jobs, operations = shop.times.shape
    next_operation, ready, free = [0] * jobs, [0] * jobs, [0] * operations
    for _ in range(jobs * operations):
        open_jobs = [job for job in range(jobs) if next_operation[job] < operations]
        starts = {job: max(ready[job], free[shop.machines[job, next_operation[job]]]) for job in open_jobs}
        now = min(starts.values())
        machine = min(shop.machines[job, next_operation[job]] for job in open_jobs if starts[job] == now)
        queue = [
            Waiting(int(shop.times[job, at]), ready[job], int(shop.times[job, at:].sum()), job)
            for job in open_jobs
            if shop.machines[job, at := next_operation[job]] == machine and ready[job] <= now
        ]
        chosen = min(queue, key=rule)
        ready[chosen.job] = free[machine] = now + chosen.time
        next_operation[chosen.job] += 1
    return max(ready)


def scheduled(instance: str, choose: Choice) -> dict[str, Any]:
    """What the environment says of the schedule that is built by a choice of jobs: "makespan", "gantt_df"."""
    env: Any = make_job_shop(instance)
    observation, _ = env.reset()
    is_over = False
    while not is_over:
        legal = np.array(env.valid_action_mask())
        observation, _, is_over, _, info = env.step(int(choose(observation, legal)))
    return info


def compare(policy: Choice, instance: str) -> dict[str, Any]:
    """The makespan of each, and its ratio to the best where that is known."""
    shop, rng = read_instance(instance), np.random.default_rng(0)
    found = {"learned": int(scheduled(instance, policy)["makespan"])}
    found |= {name: dispatched(shop, rule) for name, rule in RULES.items()}

    def chance(observation: np.ndarray, legal: np.ndarray) -> int:
        return int(rng.choice(np.flatnonzero(legal)))

    drawn = [int(scheduled(instance, chance)["makespan"]) for _ in range(RANDOM_SCHEDULES)]
    figures: dict[str, Any] = {name: {"makespan": makespan} for name, makespan in found.items()}
    figures[f"random, mean of {RANDOM_SCHEDULES}"] = {"makespan": round(float(np.mean(drawn)), 1)}
    figures[f"random, best of {RANDOM_SCHEDULES}"] = {"makespan": min(drawn)}
    if instance in OPTIMA:
        figures["optimum"] = {"makespan": OPTIMA[instance]}
        for each in figures.values():
            each["times the optimum"] = round(each["makespan"] / OPTIMA[instance], 3)
    return figures


def draw(policy: Choice, instance: str, file: Path) -> None:
    """A Gantt chart of the learned schedule: a row for each machine, a colour for each job."""
    schedule = scheduled(instance, policy)["gantt_df"]
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.add_subplot()
    for job, rows in schedule.groupby("Task"):
        machines = [int(name.split()[-1]) for name in rows["Resource"]]
        axes.barh(machines, rows["Finish"] - rows["Start"], left=rows["Start"], edgecolor="white", label=job)
    axes.set(xlabel="time", ylabel="machine")
    axes.legend(ncol=len(schedule["Task"].unique()), loc="upper center", bbox_to_anchor=(0.5, 1.2), fontsize="x-small")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--picture", type=Path, help="where to draw the learned schedule")
    return parser


def main() -> None:
    options = parser().parse_args()
    instance = tfdqn.load_config(options.run / "config.toml").task.kwargs.get("instance", "ft06")
    policy = tfdqn.load_policy(options.run)
    print(json.dumps(compare(policy, instance), indent=2))
    if options.picture:
        draw(policy, instance, options.picture)


if __name__ == "__main__":
    main()
