"""Who asks for the end during the final evaluation gets it; the next start finishes, and asking is then too late."""

import json
from pathlib import Path

import msgspec

from tests.support.tiny_runs import tiny
from tfdqn.records import Progress
from tfdqn.training.train import train


def test_one_that_is_stopped_is_finished_by_the_next_start(tmp_path: Path) -> None:
    run, phases = tmp_path / "run", ["starting"]

    def remember(progress: Progress) -> None:
        phases.append(progress.phase)

    endless = train(
        tiny("evaluation.final_episodes=100000"),
        run,
        on_progress=remember,
        interrupted=lambda: phases[-1] == "final evaluation",
    )
    assert (endless.status, endless.reason, endless.final) == ("interrupted", "by its caller", None)
    assert not (run / "summary.json").exists()
    phases.clear()
    finished = train(tiny(), run, on_progress=remember, interrupted=lambda: phases[-1:] == ["drawing and exporting"])
    assert finished.status == "finished" and phases[-1] == "drawing and exporting"
    assert finished.final is not None and finished.final.episodes == 4
    card = json.loads((Path(finished.paths["exported policy"]) / "model_card.json").read_text())
    assert card["final_evaluation"] == msgspec.to_builtins(finished.final)
