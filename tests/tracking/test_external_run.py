"""A run in another system is one run over all sessions, whose curves never go back."""

from collections.abc import Mapping
from pathlib import Path

from tfdqn.records import EpisodeScores, Evaluation
from tfdqn.storage.run_records import append_evaluation
from tfdqn.tracking.external_run import ExternalRun, TrackedRun
from tfdqn.tracking.tracker import Point


class Told(ExternalRun):
    """Keeps what it is told."""

    def __init__(self, id: str):
        self.id, self.where = id, "here"
        self.points: list[tuple[int, dict[str, float]]] = []
        self.is_closed = False

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        self.points.append((at.env_steps, dict(values)))

    def close(self) -> None:
        self.is_closed = True


def session(folder: Path, place: str = "a") -> tuple[TrackedRun, Told]:
    tracked = TrackedRun(folder / "system.json", place, folder / "evaluations.jsonl")
    told = Told(tracked.record.id)
    tracked.begin(told)
    return tracked, told


def at(env_steps: int) -> Point:
    return Point(env_steps, env_steps // 10, 1.0)


def evaluation(env_steps: int, train_steps: int, score: float) -> Evaluation:
    scores = EpisodeScores(
        episodes=2, mean_return=score, std_return=0.5, median_return=0.0, ci_low=0.0, ci_high=0.0, mean_length=score + 1
    )
    return Evaluation(env_steps=env_steps, train_steps=train_steps, scores=scores, is_best=False)


def test_a_resumed_run_keeps_its_id_and_is_told_only_what_is_new(tmp_path: Path) -> None:
    tracked, told = session(tmp_path)
    assert tracked.is_new
    for env_steps in (100, 200, 300):
        tracked.scalars({"loss": env_steps / 10}, at(env_steps))
    again, told_again = session(tmp_path)  # from a checkpoint at 100
    assert (again.is_new, again.record.id) == (False, tracked.record.id)
    for env_steps in (150, 250, 300, 350):
        again.scalars({"loss": env_steps / 10}, at(env_steps))
    again.scalars({"loss": 36.0}, at(350))  # an update later, say
    again.close()
    assert told.points == [(100, {"loss": 10.0}), (200, {"loss": 20.0}), (300, {"loss": 30.0})]
    assert told_again.points == [(350, {"loss": 35.0}), (350, {"loss": 36.0})]
    assert told_again.is_closed and not told.is_closed


def test_the_systems_own_id_is_kept_where_it_gives_one(tmp_path: Path) -> None:
    tracked = TrackedRun(tmp_path / "system.json", "a", tmp_path / "evaluations.jsonl")
    tracked.begin(Told("given by a server"))
    assert session(tmp_path)[0].record.id == "given by a server"


def test_a_resumed_run_is_told_where_the_system_has_kept_it(tmp_path: Path) -> None:
    first = TrackedRun(tmp_path / "system.json", "a", tmp_path / "evaluations.jsonl")
    assert first.record.store == ""
    kept = Told(first.record.id)
    kept.store = "/somewhere/mlruns"
    first.begin(kept)
    again = TrackedRun(tmp_path / "system.json", "a", tmp_path / "evaluations.jsonl")
    assert again.record.store == "/somewhere/mlruns"
    assert TrackedRun(tmp_path / "system.json", "b", tmp_path / "evaluations.jsonl").record.store == ""


def test_another_project_has_a_run_of_its_own(tmp_path: Path) -> None:
    tracked, _ = session(tmp_path)
    tracked.scalars({"loss": 1.0}, at(300))
    other, told = session(tmp_path, place="b")
    assert other.is_new and other.record.id != tracked.record.id
    other.scalars({"loss": 2.0}, at(200))
    assert told.points == [(200, {"loss": 2.0})]


def test_evaluations_are_told_from_their_file_once_each_whichever_process_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "evaluations.jsonl"
    append_evaluation(file, evaluation(100, 10, 1.0), 1.0)
    tracked, told = session(tmp_path)
    tracked.evaluation(evaluation(100, 10, 1.0), 1.0)  # the same, from this process
    tracked.scalars({}, at(110))
    append_evaluation(file, evaluation(200, 20, float("nan")), 2.0)
    append_evaluation(file, evaluation(200, 30, 3.0), 2.0)  # after the last updates
    tracked.close()
    again, told_again = session(tmp_path)
    append_evaluation(file, evaluation(300, 40, 4.0), 3.0)
    again.close()

    def values(score: float) -> dict[str, float]:
        return {"evaluation/return": score, "evaluation/std_return": 0.5, "evaluation/length": score + 1}

    assert told.points == [(100, values(1.0)), (110, {}), (200, {"evaluation/std_return": 0.5}), (200, values(3.0))]
    assert told_again.points == [(300, values(4.0))]


def test_an_evaluation_that_is_made_again_after_a_kill_keeps_its_first_value(tmp_path: Path) -> None:
    file = tmp_path / "evaluations.jsonl"
    tracked, told = session(tmp_path)
    for env_steps in (100, 200):
        append_evaluation(file, evaluation(env_steps, env_steps // 10, 1.0), 1.0)
    tracked.close()
    file.unlink()  # it was put aside, and the run goes on from 150
    again, told_again = session(tmp_path)
    for env_steps in (100, 200, 300):
        append_evaluation(file, evaluation(env_steps, env_steps // 10, 2.0), 1.0)
    again.close()
    steps = [(env_steps, values["evaluation/return"]) for env_steps, values in told.points + told_again.points]
    assert steps == [(100, 1.0), (200, 1.0), (300, 2.0)]


def test_an_evaluation_that_an_older_version_has_written_is_told_as_far_as_it_is_known(tmp_path: Path) -> None:
    (tmp_path / "evaluations.jsonl").write_text('{"mean_return": 5.0}\n{"env_steps": 100, "mean_return": 7.0}\n')
    tracked, told = session(tmp_path)
    tracked.close()
    assert told.points == [(100, {"evaluation/return": 7.0})]


def test_a_damaged_record_is_one_of_no_run(tmp_path: Path) -> None:
    tracked, _ = session(tmp_path)
    (tmp_path / "system.json").write_text('{"id": 1')
    assert session(tmp_path)[0].record.id != tracked.record.id
