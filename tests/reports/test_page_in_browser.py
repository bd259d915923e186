"""A report's page in a real browser: no error, readable in 400 pixels and in the dark, its numbers those computed."""

import json
import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import numpy as np
import pytest

from tests.support.report_pages import Page, drawn
from tests.support.reported_runs import reported_run, seeds
from tfdqn.reports.group_table import group_table
from tfdqn.reports.groups import Report, read_report
from tfdqn.reports.page import write_page

pytestmark = pytest.mark.browser

# What the browser says of the page: widths in pixels; colours of text, and of the ground that it stands on.
PROBE = """<script>
const style = element => getComputedStyle(element)
const right = element => element.getBoundingClientRect().right
const wide = [...document.querySelectorAll("body *")].filter(each => right(each) > innerWidth + 1)
const fonts = [...document.querySelectorAll("svg text")].map(each => each.getBoundingClientRect().height)
document.title = JSON.stringify({
  width: innerWidth, beyond: wide.map(each => each.outerHTML.slice(0, 80)), smallest_text: Math.min(...fonts),
  ground: style(document.body).backgroundColor,
  inks: [...document.querySelectorAll("p, td, figcaption, svg text")].map(
    each => each.closest("svg") ? style(each).fill : style(each).color),
  shown: document.querySelectorAll("svg").length,
})
</script>"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("a folder with a rather long name that has to be broken somewhere")
    seeds(folder / "a", [30.0, 10.0, 25.0])
    reported_run(folder / "b", 50.0, (20.0, 40.0, 45.0), ["agent.n_step=3", "learner.batch_size=64"])
    return read_report([folder], 24.0)


@pytest.fixture(scope="module")
def page(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    write_page(report, file, "tfdqn report runs")
    file.write_text(file.read_text().replace("</body>", f"{PROBE}</body>"))
    return file


def look_at(page: Path, *options: str) -> tuple[str, dict, list[str]]:
    """(the document as the browser has it, what the probe found, what the console says)."""
    program = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
    done = subprocess.run(
        [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"),
            f"--user-data-dir={page.parent / 'profile'}",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    probed = json.loads(title[1]) if title[1].startswith("{") else {}
    return done.stdout, probed, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def contrast(ink: str, ground: str) -> float:
    """By WCAG 2: (lighter + 0.05) / (darker + 0.05) of relative luminances."""
    lights = []
    for colour in (ink, ground):
        channels = np.array([int(each) for each in re.findall(r"\d+", colour)[:3]]) / 255
        linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_what_the_browser_shows_is_what_was_computed(report: Report, page: Path) -> None:
    text, probed, console = look_at(page, "--window-size=1100,900")
    table = group_table(report)
    assert Page(re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)).tables["groups-table"] == [
        table.columns,
        *table.rows,
    ]
    np.testing.assert_allclose(drawn(text, "curves", "curve-0"), [[100, 20], [200, 40], [300, 45]], rtol=1e-4)
    assert (console, probed["shown"]) == ([], 3)


def test_a_telephone_s_width_is_enough(page: Path) -> None:
    """In a frame: the browser's own window can't be so narrow."""
    frame = f'<iframe style="width: 400px; height: 900px; border: 0" srcdoc="{escape(page.read_text())}"></iframe>'
    script = "<script>onload = () => { document.title = frames[0].document.title }</script>"
    outer = page.with_name("outer.html")
    outer.write_text(f"<!doctype html><title></title>{frame}{script}")
    _, probed, console = look_at(outer)
    assert (probed["width"], console) == (400, [])
    assert probed["beyond"] == []
    assert probed["smallest_text"] >= 9


@pytest.mark.parametrize(("scheme", "is_dark"), [("0", True), ("1", False)])
def test_text_and_pictures_can_be_read_in_the_light_and_in_the_dark(page: Path, scheme: str, is_dark: bool) -> None:
    _, probed, _ = look_at(page, f"--blink-settings=preferredColorScheme={scheme}")
    assert (contrast(probed["ground"], "rgb(255, 255, 255)") > 10) is is_dark
    assert len(probed["inks"]) > 50
    assert min(contrast(ink, probed["ground"]) for ink in set(probed["inks"])) >= 4.5


def test_an_error_of_a_page_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<title>t</title><script>nothing.at.all</script>")
    _, _, console = look_at(tmp_path / "page.html")
    assert len(console) == 1 and "ReferenceError" in console[0]
