"""A whole CartPole run on the setting that peers publish: environment steps/s, and seconds until it is solved.

    python -m benchmarks.whole_run [KEY=VALUE ...] [--seeds 1 2 3 4 5] [--backend reverb|in_graph]

The setting is configs/cartpole.toml (CleanRL's, but for its 64 environments) for all its 500,000 steps. "Solved" is
the first evaluation of at least 475, the mean of 100 greedy episodes. Seconds count from the first environment step;
compilation, evaluations, checkpoints and logs are in them.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tfdqn
from benchmarks.measure import argument_parser, report
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import EvaluationLine, read_evaluations

CONFIG = Path(__file__).parent.parent / "configs" / "cartpole.toml"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--backend", choices=("reverb", "in_graph"), default="reverb")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the runs there (tfdqn plot DIR/*)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        runs = options.keep or Path(temporary)
        results = {f"seed {seed}": _run(runs / f"seed{seed}", seed, options) for seed in options.seeds}
    report("whole run", {"backend": options.backend, "overrides": options.overrides}, results)


def _run(run: Path, seed: int, options: argparse.Namespace) -> dict[str, float | None]:
    whole = ["stop.return_at_least=1e9", f"seed={seed}", f"replay.backend={options.backend}"]
    config = tfdqn.load_config(CONFIG, [*whole, *options.overrides])
    summary = tfdqn.train(config, run)
    print(f"seed {seed}: {summary.env_steps / summary.seconds:,.0f} env steps/s", file=sys.stderr)
    solved = first_solved(read_evaluations(RunDir(run).evaluations_file))
    return {
        "env_steps_per_second": summary.env_steps / summary.seconds,
        "updates_per_second": summary.train_steps / summary.seconds,
        "seconds_to_475": None if solved is None else solved.seconds,
        "env_steps_to_475": None if solved is None else solved.env_steps,
        "best_return": summary.best_return,
        "final_mean_return": summary.final.mean_return if summary.final else None,
    }


def first_solved(evaluations: Sequence[EvaluationLine]) -> EvaluationLine | None:
    """The first that solves CartPole."""
    return next((each for each in evaluations if each.mean_return is not None and each.mean_return >= 475), None)


if __name__ == "__main__":
    main()
