"""The study's page: its pictures show the study's numbers, and it needs no other file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from tests.support.studies import score, study_in
from tfdqn.config import toml
from tfdqn.reports.pictures import svg
from tfdqn.tuning.search_space import Choices, NumberRange
from tfdqn.tuning.study import Study
from tfdqn.tuning.study_page import (
    draw_history,
    draw_importances,
    draw_parallel_coordinates,
    draw_slice,
    page,
    pictures,
    write_page,
)
from tfdqn.tuning.trial_records import Trial, TrialState

DIMENSIONS = {
    "optimizer.learning_rate": NumberRange(1e-4, 1e-2, log=True),
    "agent.n_step": NumberRange(1, 9, 2),
    "network.hidden_units": Choices(((16,), (8, 8), (4,))),
}


def drawn_by(draw: Callable[..., None], *given: Any) -> Axes:
    axes = Figure().add_subplot()
    draw(*given, axes)
    return axes


def trial(number: int, score: float | None, rate: float, n_step: int, units: tuple[int, ...]) -> Trial:
    values = {"optimizer.learning_rate": rate, "agent.n_step": n_step, "network.hidden_units": units}
    state = TrialState.PRUNED if score is None else TrialState.COMPLETE
    return Trial(number, state, values, score, {1: -5.0, 2: -3.0 - number})


TRIALS = [
    trial(0, 10.0, 1e-4, 1, (16,)),
    trial(1, None, 1e-3, 3, (8, 8)),
    trial(2, 30.0, 1e-3, 9, (8, 8)),
    trial(3, 20.0, 1e-2, 5, (4,)),
]


def test_the_history_is_of_scores_the_best_so_far_and_what_was_pruned() -> None:
    axes = drawn_by(draw_history, TRIALS)
    drawn = {str(line.get_label()): np.stack(line.get_data()).tolist() for line in axes.lines}
    assert drawn == {
        "complete": [[0, 2, 3], [10, 30, 20]],
        "best so far": [[0, 2, 3], [10, 30, 30]],
        "pruned, at its last evaluation": [[1], [-4]],
    }


def test_importances_are_bars_from_the_top() -> None:
    axes = drawn_by(draw_importances, {"agent.n_step": 0.75, "optimizer.learning_rate": 0.25})
    assert [each.get_width() for each in axes.patches] == [0.75, 0.25]
    assert [each.get_text() for each in axes.get_yticklabels()] == ["agent.n_step", "optimizer.learning_rate"]
    assert axes.yaxis_inverted()


def test_each_complete_trial_is_a_line_through_its_values_to_its_score() -> None:
    axes = drawn_by(draw_parallel_coordinates, TRIALS, DIMENSIONS)
    lines = [np.asarray(line.get_ydata()).tolist() for line in axes.lines if len(np.asarray(line.get_ydata())) == 4]
    assert lines == [  # the worst first: 1e-4, 1 and the first choice are 0, their counterparts 1
        pytest.approx([0.0, 0.0, 0.0, 0.0]),
        pytest.approx([1.0, 0.5, 1.0, 0.5]),
        pytest.approx([0.5, 1.0, 0.5, 1.0]),
    ]


def test_slices_show_the_scores_over_each_key() -> None:
    rate, n_step, units = (drawn_by(draw_slice, TRIALS, *each) for each in DIMENSIONS.items())
    assert [each.get_xlabel() for each in (rate, n_step, units)] == list(DIMENSIONS)
    points = [np.asarray(each.collections[0].get_offsets()).tolist() for each in (rate, n_step, units)]
    assert points == [[[1e-4, 10], [1e-3, 30], [1e-2, 20]], [[1, 10], [9, 30], [5, 20]], [[0, 10], [1, 30], [2, 20]]]
    assert (rate.get_xscale(), n_step.get_xscale()) == ("log", "linear")
    assert [each.get_text() for each in units.get_xticklabels()] == ["[16]", "[8, 8]", "[4]"]


def test_a_whole_number_has_no_ticks_in_between() -> None:
    few = [trial(number, 10.0, 1e-3, number, (4,)) for number in (1, 2)]
    axes = drawn_by(draw_slice, few, "agent.n_step", NumberRange(1, 3))
    assert all(float(each).is_integer() for each in axes.get_xticks())


def test_a_single_trial_can_be_drawn() -> None:
    for name, picture in pictures(TRIALS[:1], DIMENSIONS, {"agent.n_step": 0.0}).items():
        text = svg(picture, name)
        assert text.startswith("<svg")
        assert text.rstrip().endswith("</svg>")


def test_alike_scores_have_one_label_and_ticks_as_they_are() -> None:
    alike = [trial(number, 499.9999999 + 1e-8 * number, 1e-3, 3, (4,)) for number in range(3)]
    for draw in (draw_history, lambda trials, axes: draw_slice(trials, "agent.n_step", NumberRange(1, 9), axes)):
        axes = drawn_by(draw, alike)
        axes.figure.canvas.draw()
        assert axes.yaxis.get_offset_text().get_text() == ""
    same = [trial(number, 21_000.0, 1e-3, 3, (4,)) for number in range(2)]
    axes = drawn_by(draw_parallel_coordinates, same, DIMENSIONS)
    labels = [(each.get_text(), each.xy) for each in axes.texts if isinstance(each, Annotation)]
    assert labels[-1] == ("21,000", (3, 0.5))
    assert [text for text, (place, _) in labels if place == 3] == ["21,000"]


def test_a_slice_shows_the_whole_range() -> None:
    rate, n_step, _ = (drawn_by(draw_slice, TRIALS[:1], *each) for each in DIMENSIONS.items())
    for axes, (low, high) in ((rate, (1e-4, 1e-2)), (n_step, (1, 9))):
        left, right = axes.get_xlim()
        assert left < low < high < right


@pytest.mark.parametrize("scores", [[4.0], [4.0, 4.0]])
def test_trials_that_tell_nothing_of_the_keys_have_no_importance(tmp_path: Path, scores: list[float]) -> None:
    study = study_in(tmp_path)
    for each in scores:
        claimed = study.next_trial(9)
        assert claimed is not None
        study.complete(claimed, each)
    text = page("x", study.trials(), study)
    assert "This needs two or more complete trials with different scores." in text
    assert text.count("<svg") == 2 + 3


def searched_study(folder: Path) -> Study:
    study = study_in(folder)
    for _ in range(11):
        claimed = study.next_trial(12)
        assert claimed is not None
        study.complete(claimed, score(claimed))
    claimed = study.next_trial(12)
    assert claimed is not None
    study.fail(claimed, "the <loss> is NaN")
    return study


def test_the_page_has_everything_inside(tmp_path: Path) -> None:
    study = searched_study(tmp_path)
    write_page(study)
    text = (tmp_path / "study.html").read_text(encoding="utf-8")
    headings = ["The best", "History", "Importance", "Parallel coordinates", "Slices", "Trials"]
    assert re.findall(r"<h2>(.*?)</h2>", text) == headings
    assert text.count("<svg") == 3 + 3  # a slice for each key
    links = [each for each in re.findall(r'(?:src|href)="([^"]*)"', text) if not each.startswith("#")]
    assert links == []
    assert "@import" not in text
    assert "the &lt;loss&gt; is NaN" in text
    assert "11 complete, 1 failed." in text
    best = max(each.score for each in study.trials() if each.score is not None)
    assert f"{best:,.2f}" in text
    assert len(text) < 1_000_000


def test_pictures_have_names_of_their_own_for_their_parts(tmp_path: Path) -> None:
    """The pictures share a page: an id of one must not stand for another's."""
    text = page("x", searched_study(tmp_path).trials(), study_in(tmp_path))
    pictures = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    for picture in pictures:
        own = set(re.findall(r'id="([^"]*)"', picture))
        assert {each for each in re.findall(r"url\(#([^)]*)\)", picture)} <= own
    clips = [set(re.findall(r'<clipPath id="([^"]*)"', each)) for each in pictures]
    assert sum(map(len, clips)) == len(set().union(*clips))


def test_a_study_without_a_complete_trial_has_a_page_too(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    write_page(study)
    assert "<h2>Trials</h2>" in study.folder.page.read_text()


def test_dollars_are_dollars_and_logarithmic_axes_have_plain_numbers() -> None:
    name = "task.kwargs.$a_{b$"
    texts = ("$a_{b$", "b", r"\$")
    trials = [
        Trial(number, TrialState.COMPLETE, {name: text, "learning_rate": 10.0 ** (number - 4)}, float(number), {})
        for number, text in enumerate(texts)
    ]
    dimensions = {name: Choices(texts), "learning_rate": NumberRange(1e-4, 1e-2, log=True)}
    drawn = pictures(trials, dimensions, {name: 0.75, "learning_rate": 0.25})
    shown = {kind: svg(each, kind) for kind, each in drawn.items()}
    for kind in ("parallel", "slice-task-kwargs-$a_{b$"):
        assert all(f">{toml.written(text)}</text>" in shown[kind].replace("&quot;", '"') for text in texts)
    assert f">{name}</text>" in shown["importance"]
    assert [f">1e−0{power}</text>" in shown["slice-learning_rate"] for power in (4, 3, 2)] == [True] * 3
