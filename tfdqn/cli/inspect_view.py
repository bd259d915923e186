"""The output of `tfdqn inspect`: the state of a job, its processes and its replay servers."""

import re
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TypeVar

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tfdqn.cli.live_table import speed
from tfdqn.cli.tables import WholeTable, pairs_table, print_whole
from tfdqn.cli.terminal import ago, is_hung_up, make_console, require_reader
from tfdqn.cluster.roles import LEARNER, ProcessId
from tfdqn.coordination.messages import Inspection, ProcessStatus
from tfdqn.launch.inspector import Report
from tfdqn.launch.run_report import RunReport
from tfdqn.records import Status
from tfdqn.system.interval import duration

_INTERVAL_SECONDS = 1.0
_AGE = re.compile(r" *(?:[\d:]+ ago\b|\b\d+ s$)", re.MULTILINE)
_AGE_IN_JSON = re.compile(rb'"seconds_(?:ago|since_\w+)":[^,}]*')
T = TypeVar("T")


def show(
    report: Callable[[], T],
    rendered: Callable[[T], RenderableType],
    is_over: Callable[[], bool],
    is_watched: bool = False,
    as_json: bool = False,
) -> None:
    """Prints a report once, or, if `is_watched`, every second until interrupted or nothing will change any more.

    Unless each replaces the last on a terminal, a report that differs from the last only in ages is left out.

    `is_over` says whether the next report will be the last that says anything new; `as_json` prints each report as one
    line of JSON.

    Raises typer.Exit if nobody reads the output any more (`| head`).
    """
    console, last = make_console(), b""
    with ExitStack() as shown:
        live = None
        if is_watched and console.is_terminal and not as_json:
            live = shown.enter_context(Live(console=console, auto_refresh=False, transient=False))
        while True:
            is_last = not is_watched or is_over()
            found = report()
            if live is not None:
                live.update(rendered(found), refresh=True)
            elif as_json:
                line = msgspec.json.encode(found)
                if (text := _AGE_IN_JSON.sub(b"", line)) != last:
                    typer.echo(line)  # JSON is UTF-8, whatever the terminal
                last = text
            else:
                drawn = rendered(found)
                if (text := _without_ages(console, drawn)) != last:
                    print_whole(console, drawn)
                last = text
            require_reader(console)
            if is_last:
                return
            if is_hung_up(console):  # nothing may be written for long, which would show it
                raise typer.Exit(1)
            time.sleep(_INTERVAL_SECONDS)


def _without_ages(console: Console, drawn: RenderableType) -> bytes:
    """What would be printed, without what changes with time alone."""
    with console.capture() as captured:
        print_whole(console, drawn)
    return _AGE.sub("", captured.get()).encode()  # no limit: it waits for nothing


def rendered(report: Report) -> RenderableType:
    """Lays out a report: the job and the run, then a table of processes and one of replay servers."""
    parts: list[RenderableType] = [pairs_table([*_of_job(report), *_of_run(report)])]
    if report.inspection is not None:
        parts += [Text(), _processes(report, report.inspection)]
        if report.inspection.replay:
            parts += [Text(), _replay(report.inspection)]
    elif report.run is not None and report.run.heartbeats:
        parts += [Text(), _heartbeats(report.run)]
    return Group(*parts)


def _of_job(report: Report) -> Iterable[tuple[str, str]]:
    inspection, run = report.inspection, report.run
    if inspection is None:
        yield "status", report.problem
        return
    total = f" of {run.total_env_steps:,}" if run is not None else ""
    yield inspection.phase, f"{inspection.state}; trained for {duration(inspection.seconds)}"
    yield "environment steps", f"{inspection.env_steps:,}{total}, {inspection.episodes:,} episodes"
    yield "updates", f"{inspection.train_steps:,}, {inspection.updates_per_second:,.0f} a second"
    yield "weights", f"version {inspection.weights_version:,}"
    if inspection.best_return is not None:
        yield "best evaluation", f"{inspection.best_return:,.2f}"


def _of_run(report: Report) -> Iterable[tuple[str, str]]:
    run = report.run
    if run is None:
        return
    if run.reason and run.reason not in report.problem:
        yield "finished", run.reason
    if run.progress is not None and report.inspection is None:
        at = run.progress
        result = "" if at.episode_return is None else f", return {at.episode_return:,.2f}"
        counts = f"{at.env_steps:,} of {run.total_env_steps:,} environment steps, {at.train_steps:,} updates"
        has_ended = report.status in (Status.STOPPED, Status.FAILED)  # then it has no speed
        rate = "" if has_ended else f", {at.env_steps_per_second:,.0f} steps/s"
        yield "last report", f"{counts}{rate}{result}, {ago(at.seconds_ago)}"
    if run.evaluations is not None:
        found = run.evaluations
        last = "" if found.last_return is None else f": the last {found.last_return:,.2f}"
        when = "" if found.last_env_steps is None else f" at {found.last_env_steps:,} environment steps"
        yield "evaluations", f"{found.count:,}{last}{when}, the best {found.best_return:,.2f}"
    if run.checkpoint is None:
        yield "checkpoint", "none"
        return
    saved = run.checkpoint
    counts = f"{saved.env_steps:,} environment steps, {saved.train_steps:,} updates"
    age = "" if saved.seconds_ago is None else f", {ago(saved.seconds_ago)}"
    yield "checkpoint", f"{saved.path}: {counts}{age}"


def _processes(report: Report, inspection: Inspection) -> RenderableType:
    table = WholeTable("process", "state", "pid", "host", right=("speed", "staleness", "heartbeat"))
    known = {each.heartbeat.process_id: each for each in inspection.processes}
    expected = report.topology.process_ids() if report.topology is not None else sorted({LEARNER, *known})
    for process_id in expected:
        if process_id == LEARNER:
            table.add_row(*_cells_of_learner(inspection))
        else:
            table.add_row(*_cells(process_id, known.get(process_id), inspection.train_steps))
    return table


def _cells_of_learner(inspection: Inspection) -> list[str]:
    rate = speed(LEARNER.role, inspection.updates_per_second)
    return [str(LEARNER), inspection.state, str(inspection.pid or ""), inspection.host, rate, "", ""]


def _cells(process_id: ProcessId, status: ProcessStatus | None, train_steps: int) -> list[str]:
    if status is None:
        return [str(process_id), "not seen yet", "", "", "", "", ""]
    heartbeat = status.heartbeat
    behind = train_steps - heartbeat.weights_version
    return [
        str(process_id),
        heartbeat.state,
        str(heartbeat.pid),
        heartbeat.host,
        speed(process_id.role, heartbeat.steps_per_second),
        f"{max(behind, 0):,} updates" if heartbeat.weights_version >= 0 else "",
        f"{status.seconds_since_heartbeat:.0f} s",
    ]


def _replay(inspection: Inspection) -> RenderableType:
    figures = ("stored", "inserted", "sampled", "per insert", "last answer")
    table = WholeTable("replay server", "address", right=figures)
    for index, each in enumerate(inspection.replay):
        table.add_row(
            str(index),
            each.address,
            f"{each.stored:,} of {each.capacity:,}",
            f"{each.inserted:,}",
            f"{each.sampled:,}",
            f"{each.sampled / each.inserted:.3g}" if each.inserted else "",
            f"{each.seconds_since_answer:.0f} s",
        )
    return table


def _heartbeats(run: RunReport) -> RenderableType:
    table = WholeTable("process", "last state", "pid", "last heartbeat")
    for each in run.heartbeats:
        table.add_row(
            each.name,
            f"gone, after {each.state}" if each.is_gone else each.state,
            str(each.pid or ""),
            ago(each.age_seconds()),
        )
    return table
