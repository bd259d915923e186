"""A report's page: its numbers are those computed, it needs nothing from elsewhere, and what it can't hold is said."""

import os
import re
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest

from tests.support.report_pages import Page, drawn, scale
from tests.support.reported_runs import reported_run, seeds
from tfdqn.errors import UserError
from tfdqn.reports import page
from tfdqn.reports.group_table import group_table, improvement_table, key_table, run_table
from tfdqn.reports.groups import Report, improvements, read_report
from tfdqn.reports.statistics import performance_profile


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Two groups, the second of one run, whose label has to be escaped."""
    folder = tmp_path_factory.mktemp("runs & <seeds>")
    seeds(folder / "a", [30.0, 10.0, 25.0])
    other = ["task.kwargs={sutton_barto_reward = true}", "agent.n_step=3"]
    reported_run(folder / "b", 50.0, (20.0, 40.0, 45.0), other, seconds=3700.0)
    return read_report([folder], 24.0)


@pytest.fixture(scope="module")
def written(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    page.write_page(report, file, "tfdqn report 'runs & <seeds>'")
    return file


@pytest.fixture(scope="module")
def text(written: Path) -> str:
    return written.read_text(encoding="utf-8")


def test_the_page_s_tables_are_those_that_were_computed(report: Report, text: str) -> None:
    computed = {
        "groups-table": group_table(report),
        "improvements-table": improvement_table(improvements(report)),
        "keys-table": key_table(report),
        "runs-table": run_table(report),
    }
    assert Page(text).tables == {name: [table.columns, *table.rows] for name, table in computed.items()}


def test_the_curves_and_profiles_that_are_drawn_are_those_that_were_computed(report: Report, text: str) -> None:
    best, other = report.groups
    np.testing.assert_allclose(drawn(text, "curves", "curve-0"), [[100, 20], [200, 40], [300, 45]], rtol=1e-4)
    # The evaluations are half of each score, then the score: means of 15, 5, 12.5 and of 30, 10, 25.
    np.testing.assert_allclose(drawn(text, "curves", "curve-1"), [[100, 65 / 6], [200, 65 / 3]], rtol=1e-4)
    np.testing.assert_allclose(drawn(text, "curves", "threshold")[:, 1], 24, rtol=1e-4)
    for i, group in enumerate((best, other)):
        points = drawn(text, "profile", f"profile-{i}")
        known = np.array([performance_profile(group.scores, each) for each in points[:, 0] * (1 + 1e-6)])
        assert np.count_nonzero(~np.isclose(points[:, 1], known.ravel(), atol=1e-3)) <= 1  # beside a step


def test_the_improvements_that_are_drawn_are_those_that_were_computed(tmp_path: Path) -> None:
    paths = [seeds(tmp_path / str(n), [n, n + 2, n + 5], [f"agent.n_step={n}"]) for n in (1, 2, 3)]
    report = read_report(paths)
    page.write_page(report, tmp_path / "page.html", "")
    text = (tmp_path / "page.html").read_text()
    for row, each in enumerate(improvements(report)):
        interval = re.search(rf'<g id="improvement-interval-{row}">\s*<path d="M ([\d.]+) [\d.]+\s*L ([\d.]+) ', text)
        assert interval is not None and each.interval is not None
        point = re.search(rf'<g id="improvement-improvement-{row}">.*?<use href="[^"]*" x="([\d.]+)"', text, re.DOTALL)
        assert point is not None
        places = np.array([float(interval[1]), float(point[1]), float(interval[2])])
        found = np.polyval(scale(text, "improvement", "x"), places)
        np.testing.assert_allclose(found, [each.interval.low, each.probability, each.interval.high], atol=1e-4)


@pytest.mark.parametrize(
    ("most", "drawn_at_most", "said"),
    [
        (6, 6, ""),
        (6, 5, "The picture shows the first 5 pairs."),
        (4, 3, "The table has the first 4 of 6 pairs, the picture the first 3."),
    ],
)
def test_of_many_pairs_the_first_are_compared_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, drawn_at_most: int, said: str
) -> None:
    monkeypatch.setattr(page, "_MOST_COMPARED", most)
    monkeypatch.setattr(page, "MOST_PAIRS", drawn_at_most)
    paths = [reported_run(tmp_path / str(n), overrides=[f"agent.n_step={n}"]) for n in (1, 2, 3, 4)]
    page.write_page(read_report(paths), tmp_path / "page.html", "")
    found = Page((tmp_path / "page.html").read_text())
    assert len(found.tables["improvements-table"]) == 1 + most
    assert said in found.text and bool(re.search("picture (shows )?the first", found.text)) == bool(said)


def test_the_page_needs_nothing_from_elsewhere(text: str) -> None:
    attributes = Page(text).attributes
    assert {element for element, _, _ in attributes} & {"script", "link", "iframe", "object", "base"} == set()
    references = [
        value for _, name, value in attributes if name in ("src", "href", "srcset", "data", "poster", "action")
    ]
    assert references and all(value.startswith(("#", "data:")) for value in references)
    assert "http" not in text and "@import" not in text
    assert set(re.findall(r"url\((.)", text)) == {"#"}
    assert not any(name.startswith("on") for _, name, _ in attributes)


def test_every_id_is_its_own_and_every_reference_to_one_leads_there(text: str) -> None:
    attributes = Page(text).attributes
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    inside = [value[1:] for _, name, value in attributes if name == "href"] + re.findall(r"url\(#([^)]*)\)", text)
    assert inside and set(inside) <= set(ids)


def test_pictures_take_the_page_s_colours_and_lie_beside_it_too(written: Path, text: str) -> None:
    assert "currentColor" in text and "#010203" not in text and "#000000" not in text
    assert "prefers-color-scheme: dark" in text and "max-width: 40rem" in text
    names = sorted(each.name for each in written.parent.iterdir())
    assert names == ["report-curves.png", "report-improvement.png", "report-profile.png", "report.html"]
    assert all(each.read_bytes().startswith(b"\x89PNG") for each in written.parent.glob("*.png"))


def test_commands_to_make_it_again_are_in_it(report: Report, text: str) -> None:
    shown = Page(text).text
    assert "tfdqn report 'runs & <seeds>'" in shown
    assert f"{report.groups[0].runs[0].path}/config.toml' --run-dir" in shown
    assert "Configuration of 2. dqn, task.kwargs={}, agent.n_step=1 (seeds 1, 2, 3)" in shown
    assert 'id = "CartPole-v1"' in shown


def test_one_group_is_beside_no_other(tmp_path: Path) -> None:
    files = page.write_page(read_report([reported_run(tmp_path / "run")]), tmp_path / "a.html", "")
    assert [file.name for file in files] == ["a.html", "a-curves.png", "a-profile.png"]
    assert set(Page(files[0].read_text()).tables) == {"groups-table", "runs-table"}


def test_the_newest_video_of_a_run_lies_in_the_page_as_far_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "VIDEO_BYTES", 1_000)
    monkeypatch.setattr(page, "VIDEOS_BYTES", 1_500)
    videos = {"a": ("1.mp4", 900), "b": ("1.gif", 600), "c": ("1.gif", 1_001), "d": ("1.gif", 10)}
    for seed, (name, (video, size)) in enumerate(videos.items()):
        (reported_run(tmp_path / name, seed=seed) / "videos").mkdir()
        (tmp_path / name / "videos" / video).write_bytes(name.encode() * size)
    page.write_page(read_report([tmp_path]), tmp_path / "page.html", "")
    found = Page((tmp_path / "page.html").read_text())
    sources = [(element, value) for element, name, value in found.attributes if name == "src"]
    assert sources == [
        ("video", "data:video/mp4;base64," + b64encode(b"a" * 900).decode()),
        ("img", "data:image/gif;base64," + b64encode(b"b" * 600).decode()),
    ]
    assert found.text.count("is left out: its") == 2
    assert "c/videos/1.gif is left out" in found.text and "d/videos/1.gif is left out" in found.text


@pytest.mark.parametrize(
    ("name", "said"), [("page.pdf", "not an HTML page's name"), ("page", "not an HTML"), (".", "is a directory")]
)
def test_what_can_be_no_page_is_one_line(tmp_path: Path, report: Report, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        page.write_page(report, tmp_path / name, "")
    assert list(tmp_path.iterdir()) == []


def test_names_of_files_that_are_not_utf8_are_escaped(report: Report, tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9.html")
    page.write_page(report, file, f"tfdqn report runs --html {file}")
    assert r"caf\xe9.html" in file.read_text(encoding="utf-8")
