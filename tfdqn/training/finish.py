"""The results that a run leaves when it has finished: curve, exported policy, summary."""

import msgspec

from tfdqn.config import Config
from tfdqn.exporting.from_run import export_run
from tfdqn.records import EpisodeScores, Summary
from tfdqn.reports import learning_curves
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import write_summary


def write_results(run: RunDir, config: Config, summary: Summary, final: EpisodeScores | None) -> Summary:
    """Draws the curve, exports the best policy (the latest, where none was evaluated), and writes the summary."""
    has_best = run.best_weights.exists()
    paths = {
        "learning curve": str(learning_curves.plot([run], run.learning_curve)),
        "exported policy": str(export_run(run, "best" if has_best else "latest")),
        "checkpoints": str(run.checkpoints),
    }
    if has_best:
        paths["best policy"] = str(run.best)
    if config.logging.tensorboard:
        paths["TensorBoard logs"] = str(run.logs)
    summary = msgspec.structs.replace(summary, final=final, paths=paths)
    write_summary(run.summary_file, summary)
    return summary
