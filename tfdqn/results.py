"""The results that a run leaves when it has finished: curve, exported policy, summary."""

import msgspec

from tfdqn import exporting, report
from tfdqn.config import Config
from tfdqn.durable import write_atomically
from tfdqn.run_dir import RunDir
from tfdqn.scores import EpisodeScores
from tfdqn.summary import Summary


def write_results(run: RunDir, config: Config, summary: Summary, final: EpisodeScores | None) -> Summary:
    """Draws the curve, exports the best policy (the latest, where none was evaluated), and writes the summary."""
    has_best = run.best_weights.exists()
    paths = {
        "learning curve": str(report.plot([run.path], run.learning_curve)),
        "exported policy": str(exporting.export_run(run.path, "best" if has_best else "latest")),
        "checkpoints": str(run.checkpoints),
    }
    if has_best:
        paths["best policy"] = str(run.best)
    if config.logging.tensorboard:
        paths["TensorBoard logs"] = str(run.logs)
    summary = msgspec.structs.replace(summary, final=final, paths=paths)
    write_atomically(run.summary_file, msgspec.json.format(msgspec.json.encode(summary), indent=2))
    return summary


def earlier_summary(run: RunDir) -> Summary | None:
    """What a run that had finished before came to."""
    if not run.summary_file.exists():
        return None
    try:
        return msgspec.json.decode(run.summary_file.read_bytes(), type=Summary)
    except msgspec.MsgspecError:
        return None  # written by another version: the run is finished anew
