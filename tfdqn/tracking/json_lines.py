"""`JsonLines`: writes metrics as lines of `metrics.jsonl`, and evaluations as lines of `evaluations.jsonl`."""

from collections.abc import Mapping

from tfdqn.records import Evaluation
from tfdqn.storage.json_lines import append_line
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import append_evaluation
from tfdqn.tracking.tracker import Point, Tracker


class JsonLines(Tracker):
    """A tracker that appends to a run's JSON lines. Each line is in the file when the call returns."""

    def __init__(self, run: RunDir):
        self._run = run

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        named = {name.split("/")[-1]: value for name, value in values.items()}
        append_line(self._run.metrics_file, at._replace(seconds=round(at.seconds, 3))._asdict() | named)

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        append_evaluation(self._run.evaluations_file, evaluation, seconds)
