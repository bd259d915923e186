"""`WandB`: tracks a run in Weights & Biases, online or offline.

As a program, takes a mode, and exits with `NOT_LOGGED_IN_STATUS` if that needs a login which this machine lacks.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfdqn.config import Tracking
from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.tracking.external_run import ExternalRun, TrackedRun
from tfdqn.tracking.systems import NOT_LOGGED_IN_STATUS
from tfdqn.tracking.tracker import Point, final_scores

STAGING_VARIABLE = "WANDB_DATA_DIR"  # names the directory in which W&B stages what it has yet to send


class WandB(ExternalRun):
    """A run in W&B: curves against environment steps, and the exported policy as a model artifact.

    W&B keeps its own files in `wandb/` in the run directory, from which `wandb sync` sends what hasn't been sent. It
    joins offline sessions into one run if the row numbers of a session are above those of earlier ones: they go on from
    the calls that these have made.
    """

    def __init__(self, config: Tracking, run: RunDir, tracked: TrackedRun):
        os.environ.setdefault(STAGING_VARIABLE, str(run.path.resolve() / "wandb"))
        import wandb

        self._wandb: Any = wandb
        self._run = wandb.init(
            id=tracked.record.id,
            resume="allow",
            project=config.wandb_project,
            entity=config.wandb_entity,
            group=config.wandb_group,
            name=config.name or run.path.resolve().name,
            tags=list(config.tags),
            mode=None if config.wandb_mode == "auto" else config.wandb_mode,
            dir=str(run.path),
            settings=wandb.Settings(console="off", x_stats_pid=os.getppid()),  # the trainer's CPU and memory
        )
        self.id, self._row = self._run.id, tracked.record.calls
        self.where = self._run.url or f"offline; to send it: wandb sync {Path(self._run.dir).parent}"
        self._run.define_metric("env_steps")
        self._run.define_metric("*", step_metric="env_steps")

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        self._log(values, at)

    def histogram(self, name: str, values: np.ndarray, at: Point) -> None:
        self._log({name: self._wandb.Histogram(values)}, at)

    def hyperparameters(self, values: Mapping[str, bool | int | float | str]) -> None:
        self._run.config.update(dict(values), allow_val_change=True)

    def summary(self, summary: Summary, at: Point) -> None:
        self._run.summary.update(final_scores(summary))
        if policy := summary.paths.get("exported policy"):
            artifact = self._wandb.Artifact(f"policy-{self.id}", type="model", metadata=final_scores(summary))
            artifact.add_dir(policy, skip_cache=True)
            self._run.log_artifact(artifact, aliases=["latest", "best"])

    def video(self, name: str, video: Path, at: Point) -> None:
        self._log({name: self._wandb.Video(str(video), format="mp4")}, at)

    def close(self) -> None:
        self._run.finish()

    def _log(self, values: Mapping[str, Any], at: Point) -> None:
        self._run.log({**values, **at._asdict()}, step=self._row)
        self._row += 1


def may_send(mode: str) -> bool:
    """Whether a run in this mode can be tracked: W&B has a key, or the mode doesn't send anything."""
    import wandb

    settings = wandb.setup().settings
    mode = settings.mode if mode == "auto" else mode
    return mode != "online" or bool(settings.identity_token_file or wandb.api.api_key)


if __name__ == "__main__":
    sys.exit(0 if may_send(sys.argv[1]) else NOT_LOGGED_IN_STATUS)
