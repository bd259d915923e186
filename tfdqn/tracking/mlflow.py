"""`MLflow`: tracks a run in an MLflow experiment, on a server or in a folder."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfdqn.config import Tracking
from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.tracking.external_run import ExternalRun, TrackedRun
from tfdqn.tracking.systems import absolute, mlflow_tracking_uri
from tfdqn.tracking.tracker import Point, final_scores

# MLflow's own limits.
_MAX_PARAMS_PER_REQUEST = 100
_MAX_PARAM_CHARACTERS = 6_000


class MLflow(ExternalRun):
    """A run in MLflow: the configuration as params, curves as metrics by environment steps, the policy as artifacts."""

    def __init__(self, config: Tracking, run: RunDir, tracked: TrackedRun):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow
        from mlflow.entities import Metric, Param

        self._metric, self._param = Metric, Param
        if (uri := mlflow_tracking_uri(config, tracked.record.store)) is not None:
            mlflow.set_tracking_uri(uri)
        self.store = absolute(mlflow.get_tracking_uri())
        self._client = mlflow.MlflowClient()
        id = tracked.record.id
        if tracked.is_new:
            experiment = self._experiment(config.mlflow_experiment)
            name = config.name or run.path.resolve().name
            tags = {"mlflow.source.name": "tfdqn", "run_dir": str(run.path.resolve()), **dict.fromkeys(config.tags, "")}
            id = self._client.create_run(experiment, run_name=name, tags=tags).info.run_id
        else:
            self._client.update_run(id, status="RUNNING")
        self.id, self._ends_as = id, "KILLED"
        self.where = f"run {id} of experiment {config.mlflow_experiment} at {mlflow.get_tracking_uri()}"

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        now = int(1000 * time.time())
        named = {**values, "train_steps": at.train_steps, "seconds": at.seconds}
        metrics = [self._metric(name, float(value), now, at.env_steps) for name, value in named.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def hyperparameters(self, values: Mapping[str, bool | int | float | str]) -> None:
        """Logs the params that the run doesn't have yet: MLflow's can't change, so they keep their first values."""
        logged = self._client.get_run(self.id).data.params
        new = [
            self._param(key, str(value)[:_MAX_PARAM_CHARACTERS]) for key, value in values.items() if key not in logged
        ]
        for first in range(0, len(new), _MAX_PARAMS_PER_REQUEST):
            self._client.log_batch(self.id, params=new[first : first + _MAX_PARAMS_PER_REQUEST])

    def text(self, name: str, markdown: str) -> None:
        self._client.log_text(self.id, markdown, f"{name}.md")

    def summary(self, summary: Summary, at: Point) -> None:
        self.scalars(final_scores(summary), at)
        if policy := summary.paths.get("exported policy"):
            self._client.log_artifacts(self.id, policy, "policy")
        self._ends_as = "FINISHED"

    def video(self, name: str, video: Path, at: Point) -> None:
        self._client.log_artifact(self.id, str(video), name)

    def close(self) -> None:
        self._client.set_terminated(self.id, self._ends_as)

    def _experiment(self, name: str) -> Any:
        """The id of the experiment, which is created if need be; another run may create it at the same moment."""
        import mlflow

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name)
            except mlflow.MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return found.experiment_id
