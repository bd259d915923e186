"""Squared against Huber loss on CartPole: does it learn, and how large do Q-values grow?

    python -m benchmarks.huber [--seeds 1] [--env-steps 400000]

The setting of configs/cartpole.toml with the loss alone changed. No Q-value of it can truly exceed
1 / (1 - 0.99) = 100. docs/method.md discusses the outcome.
"""

import json
import sys
import tempfile
from pathlib import Path

import tfdqn
from benchmarks.measure import argument_parser, report
from benchmarks.whole_run import CONFIG

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
        run = Path(directory) / "run"
        summary = tfdqn.train(config, run)
        evaluations = [
            json.loads(line) for line in (run / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    solved = next((e["env_steps"] for e in evaluations if e["mean_return"] >= 475), None)
    mean_q = [each["mean_q"] for each in metrics if "mean_q" in each]
    return {
        "best_return": summary.best_return,
        "last_return": evaluations[-1]["mean_return"],
        "env_steps_to_475": solved,
        "highest_mean_q": max(mean_q),
        "last_mean_q": mean_q[-1],
    }


if __name__ == "__main__":
    main()
