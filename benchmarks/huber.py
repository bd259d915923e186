"""Squared against Huber loss on CartPole: does it learn, and how large do Q-values grow?

    python -m benchmarks.huber [--seeds 1] [--env-steps 400000]

The setting of configs/cartpole.toml with the loss alone changed. No Q-value of it can truly exceed
1 / (1 - 0.99) = 100. docs/method.md discusses the outcome.
"""

import sys
import tempfile
from pathlib import Path

import tfdqn
from benchmarks.measure import argument_parser, report
from benchmarks.whole_run import CONFIG, first_solved
from tfdqn.storage.json_lines import read_lines
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import read_evaluations

LOSSES = {
    "squared": ["agent.loss=squared"],
    "Huber, delta 1": ["agent.loss=huber"],
    "Huber, delta 100": ["agent.loss=huber", "agent.huber_delta=100"],
    "Huber, delta 1, rewards times 0.01": ["agent.loss=huber", "agent.reward_scale=0.01"],
}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--env-steps", type=int, default=400_000)
    options = parser.parse_args()
    results = {}
    for name, overrides in LOSSES.items():
        for seed in options.seeds:
            results[f"{name}, seed {seed}"] = _run([*overrides, f"seed={seed}"], options.env_steps)
            print(name, seed, results[f"{name}, seed {seed}"], file=sys.stderr)
    report("huber", {"env_steps": options.env_steps}, results)


def _run(overrides: list[str], env_steps: int) -> dict[str, float | None]:
    whole = ["stop.return_at_least=1e9", f"stop.env_steps={env_steps}"]
    config = tfdqn.load_config(CONFIG, [*overrides, *whole])
    with tempfile.TemporaryDirectory() as directory:
        run = RunDir(Path(directory) / "run")
        summary = tfdqn.train(config, run.path)
        evaluations = read_evaluations(run.evaluations_file)
        mean_q = [line["mean_q"] for line in read_lines(run.metrics_file) if "mean_q" in line]
    solved = first_solved(evaluations)
    return {
        "best_return": summary.best_return,
        "last_return": evaluations[-1].mean_return,
        "env_steps_to_475": None if solved is None else solved.env_steps,
        "highest_mean_q": max(mean_q, default=None),
        "last_mean_q": mean_q[-1] if mean_q else None,  # a run may end before it has recorded any
    }


if __name__ == "__main__":
    main()
