"""`write_page`: a report as one self-contained HTML page, without scripts, with its pictures and videos inside."""

import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape
from itertools import cycle
from pathlib import Path

from tfdqn.config import toml
from tfdqn.errors import UserError, counted
from tfdqn.reports import group_table
from tfdqn.reports.groups import Group, Improvement, Report, improvements
from tfdqn.reports.html import document, table
from tfdqn.reports.pictures import COLOURS, MOST_PAIRS, Picture, pictures, png, svg
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.shell_commands import own_command

_MOST_COMPARED = 200  # pairs: those of twenty groups, in some ten seconds
VIDEO_BYTES, VIDEOS_BYTES = 4_000_000, 16_000_000  # the most that one video, and all of a page, may have
_EXPLANATIONS = {
    "curves": "Greedy evaluations during training: the mean of a group's runs, and a band from lowest to highest.",
    "profile": "Performance profile: for each return, the fraction of a group's runs whose score is higher.",
    "improvement": "Probability of improvement: that a run of the first group scores higher than one of the second.",
}
_SCORES = (
    "A run's score is the mean return of its best policy over fresh episodes. IQM: the mean of the middle half of a "
    "group's scores. Intervals and bands of scores: 95 %, by percentile bootstrap over runs; of fewer than ten runs "
    "they are too narrow. Time and steps/s: medians."
)
_THRESHOLD = (
    " Gap: by how much the scores fall short of {0:g} on average. Steps to {0:g}: the median over runs of the first "
    "evaluation that reached it."
)


def write_page(report: Report, file: Path, command: str) -> list[Path]:
    """Writes the page, and beside it its pictures as PNGs, such as `report-curves.png` for `report.html`.

    The page shows the command that makes it. Returns the paths of all files, the page first.

    Raises UserError if `file` doesn't end in .html or .htm, RunDirError if a file can't be written.
    """
    if file.is_dir() or file.suffix.lower() not in (".html", ".htm"):
        kind = "a directory" if file.is_dir() else "not an HTML page's name"
        raise UserError(f"{file} is {kind}: give a file such as report.html")
    pairs = improvements(report, _MOST_COMPARED)
    drawn = pictures(report, pairs)
    beside = {name: file.with_name(f"{file.stem}-{name}.png") for name in drawn}
    title = f"{report.task}: {counted(len(report.runs), 'run')} in {counted(len(report.groups), 'group')}"
    write_atomically(file, document(title, _parts(report, pairs, drawn, command)).encode())
    for name, path in beside.items():
        write_atomically(path, png(drawn[name]))
    return [file, *beside.values()]


def _parts(report: Report, pairs: Sequence[Improvement], drawn: dict[str, Picture], command: str) -> Iterator[str]:
    yield f"<p>{_SCORES}{'' if report.threshold is None else _THRESHOLD.format(report.threshold)}</p>"
    yield table(*group_table.group_table(report), "groups-table")
    legend = _legend(report.groups)
    for name, picture in drawn.items():
        yield f'<figure id="{name}">{svg(picture, name)}<figcaption>{_EXPLANATIONS[name]}</figcaption>'
        yield f"{'' if name == 'improvement' else legend}</figure>"
    if pairs:
        yield table(*group_table.improvement_table(pairs), "improvements-table")
        count = math.comb(len(report.groups), 2)
        if len(pairs) < count:
            yield f"<p>The table has the first {len(pairs)} of {count:,} pairs, the picture the first {MOST_PAIRS}.</p>"
        elif len(pairs) > MOST_PAIRS:
            yield f"<p>The picture shows the first {MOST_PAIRS} pairs.</p>"
        yield "<h2>Differences between the groups</h2>" + table(*group_table.key_table(report), "keys-table")
    yield "<h2>Runs</h2>" + table(*group_table.run_table(report), "runs-table")
    yield from _videos(report)
    yield from _commands(report, command)


def _legend(groups: Sequence[Group]) -> str:
    entries = [
        f'<li><span style="background:{colour}"></span>{escape(group.name)}</li>'
        for group, colour in zip(groups, cycle(COLOURS), strict=False)
    ]
    return f'<ul class="legend">{"".join(entries)}</ul>'


def _videos(report: Report) -> Iterator[str]:
    """The newest video of each run, except those that are too large."""
    videos = [(run, run.videos[0]) for run in report.runs if run.videos]
    if videos:
        yield "<h2>Videos</h2>"
    room = VIDEOS_BYTES
    for run, video in videos:
        size = video.stat().st_size
        caption = f"<figcaption>{escape(str(run.path))}, seed {run.seed}</figcaption>"
        if size > min(VIDEO_BYTES, room):
            limits = f"{VIDEO_BYTES / 1e6:.0f} MB for a video and {VIDEOS_BYTES / 1e6:.0f} MB for a page"
            yield f"<p>{escape(str(video))} is left out: its {size / 1e6:.1f} MB exceed the limits of {limits}.</p>"
            continue
        room -= size
        yield f'<figure class="video">{_video(video)}{caption}</figure>'


def _video(video: Path) -> str:
    data = b64encode(video.read_bytes()).decode()
    if video.suffix == ".gif":
        return f'<img alt="An episode" src="data:image/gif;base64,{data}">'
    return f'<video controls loop muted playsinline src="data:video/mp4;base64,{data}"></video>'


def _commands(report: Report, command: str) -> Iterator[str]:
    yield f"<h2>Commands</h2>\n<p>This page:</p>\n<pre>{escape(command)}</pre>\n<p>To repeat its runs:</p>"
    commands = [
        own_command(["train", str(run.path / "config.toml"), "--run-dir", f"{run.path}-again"]) for run in report.runs
    ]
    yield f"<pre>{escape(chr(10).join(commands))}</pre>"
    for group in report.groups:
        seeds = ", ".join(str(run.seed) for run in group.runs)
        summary = f"Configuration of {group.name} (seeds {seeds})"
        text = toml.content(RunDir(group.runs[0].path).config_file).decode()
        yield f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>"
