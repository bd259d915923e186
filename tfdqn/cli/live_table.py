"""`JobView`: shows a job of many processes: a live table on a terminal, elsewhere a line for each change."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from rich.console import Console, RenderableType

from tfdqn.cli.live_view import LiveView, with_totals
from tfdqn.cli.tables import WholeTable
from tfdqn.cli.terminal import progress_figures
from tfdqn.cluster.roles import LEARNER, Role, counted
from tfdqn.coordination.messages import Inspection
from tfdqn.errors import in_ranges
from tfdqn.launch.supervisor import STOPPING, JobStatus, Row
from tfdqn.records import Progress

_PRESENT_SECONDS = 10.0
_MAX_READ_BYTES = 200_000
_TRANSIENT = re.compile(r"silent for|starting|creating its environments")
_NUMBERS = re.compile(r"\d[\d,.]*")
# How glog, absl, TensorFlow and Reverb begin a line of their logs.
_LIBRARY_LOG = re.compile(
    r"[IWEF]\d{4} [\d:.]+|\d{4}-\d\d-\d\d [\d:.]+: [IWEF] |\[reverb/|WARNING: All log messages before absl"
)


def totals(inspection: Inspection, total_env_steps: int, phase: str) -> Progress:
    """The progress of a job: rates summed, and returns averaged, over the processes with a recent heartbeat."""
    present = [each.heartbeat for each in inspection.processes if each.seconds_since_heartbeat < _PRESENT_SECONDS]
    returns = [heartbeat.episode_return for heartbeat in present if heartbeat.episode_return is not None]
    return Progress(
        env_steps=inspection.env_steps,
        total_env_steps=total_env_steps,
        train_steps=inspection.train_steps,
        seconds=inspection.seconds,
        env_steps_per_second=sum(each.steps_per_second for each in present),
        updates_per_second=inspection.updates_per_second,
        episode_return=sum(returns) / len(returns) if returns else None,
        loss=None,
        best_return=inspection.best_return,
        phase=phase,
    )


class JobView(LiveView):
    """Shows a job while it runs: `with JobView(stop.env_steps) as view: Supervisor(…, view).run()`.

    New lines in the folder `logs` of the processes' logs are shown, too, if it is given. `console`: None for stdout.
    """

    def __init__(self, total_env_steps: int, logs: Path | None = None, console: Console | None = None):
        super().__init__(console)
        self._total_env_steps = total_env_steps
        self._tail = None if logs is None else _LogTail(logs)
        self._said: dict[tuple, set[str]] = defaultdict(set)  # states, by process and number of restarts

    def show(self, status: JobStatus) -> None:
        """Shows the job's current state."""
        if self._tail is not None:
            for line in self._tail.new_lines(status.rows):
                self.say(line)
        figures = self._totals(status)
        self.draw(partial(self._rendered, status, figures), partial(self._say_what_changed, status, figures))

    def _rendered(self, status: JobStatus, figures: Progress | None) -> RenderableType:
        table = self.fitting(partial(process_table, status.rows), len(Role))
        if figures is None:
            return table
        line = f"{figures.phase}: {progress_figures(figures)}"
        return with_totals(table, line, figures.env_steps, figures.total_env_steps)

    def _totals(self, status: JobStatus) -> Progress | None:
        if status.inspection is None:
            return None
        states = (row.state for row in status.rows if row.process_id == LEARNER)
        phase = next(states, status.inspection.state)  # no row where the learner runs on another host
        found = totals(status.inspection, self._total_env_steps, phase)
        is_stopping = any(row.state == STOPPING for row in status.rows)
        return found._replace(env_steps_per_second=0.0, updates_per_second=0.0) if is_stopping else found

    def _say_what_changed(self, status: JobStatus, figures: Progress | None) -> None:
        new: dict[tuple[Role, str], list[int]] = defaultdict(list)
        for row in status.rows:
            said = self._said[row.process_id, row.restarts]
            kind = _NUMBERS.sub("", row.state)  # states that differ only in a number count as one
            if kind and kind not in said and not _TRANSIENT.match(kind):
                said.add(kind)
                new[row.process_id.role, row.state].append(row.process_id.index)
        for (role, state), indices in new.items():
            name = f"{role.replace('_', ' ')}{'s' if len(indices) > 1 else ''}"
            self.say(f"{name} {', '.join(in_ranges(sorted(indices), '–'))}: {state}")
        if figures is not None:
            self.say_totals(f"{figures.phase}: {progress_figures(figures)}")


def process_table(rows: Sequence[Row], room: int) -> WholeTable:
    """A table with one row per process. If there are more than `room`, the processes of a role share a row."""
    table = WholeTable("process", "state", right=("pid", "speed", "heartbeat", "restarts"))
    by_role: dict[Role, list[Row]] = defaultdict(list)
    for row in rows:
        by_role[row.process_id.role].append(row)
    lines = {role: len(each) for role, each in by_role.items()}
    while sum(lines.values()) > room and max(lines.values()) > 1:
        lines[max(lines, key=lambda role: lines[role])] = 1
    for role, each in by_role.items():
        for cells in [_cells_of_many(each)] if lines[role] < len(each) else map(_cells, each):
            table.add_row(*cells)
    return table


def _cells(row: Row) -> list[str]:
    return [
        str(row.process_id),
        row.state,
        "" if row.pid is None else str(row.pid),
        speed(row.process_id.role, row.steps_per_second),
        "" if row.seconds_since_heartbeat is None else f"{row.seconds_since_heartbeat:.0f} s",
        str(row.restarts) if row.restarts else "",
    ]


def speed(role: Role, steps_per_second: float) -> str:
    """The speed of a process: updates/s for the learner, environment steps/s for others; "" if it is 0."""
    unit = "updates" if role is Role.LEARNER else "steps"
    return f"{steps_per_second:,.0f} {unit}/s" if steps_per_second else ""


def _cells_of_many(rows: list[Row]) -> list[str]:
    """One row for all processes of a role: counts by state, summed rates and restarts, the oldest heartbeat."""
    states = Counter(row.state for row in rows).most_common()
    ages = [row.seconds_since_heartbeat for row in rows if row.seconds_since_heartbeat is not None]
    whole = Row(
        process_id=rows[0].process_id,
        state=", ".join(f"{count} {state}" for state, count in states),
        pid=None,
        steps_per_second=sum(row.steps_per_second for row in rows),
        seconds_since_heartbeat=max(ages, default=None),
        restarts=sum(row.restarts for row in rows),
        log=rows[0].log,
    )
    return [counted(len(rows), rows[0].process_id.role), *_cells(whole)[1:]]


class _LogTail:
    """The lines that processes print from now on, without the log lines of C++ libraries."""

    def __init__(self, logs: Path):
        self._read_bytes = {log: log.stat().st_size for log in logs.glob("*.log")}

    def new_lines(self, rows: Sequence[Row]) -> Iterable[str]:
        for row in rows:
            with suppress(OSError), row.log.open("rb") as file:
                file.seek(self._read_bytes.setdefault(row.log, 0))
                content = file.read(_MAX_READ_BYTES)
                whole = content[: content.rfind(b"\n") + 1]
                is_too_long = not whole and len(content) == _MAX_READ_BYTES  # a line, which is skipped
                self._read_bytes[row.log] += len(content) if is_too_long else len(whole)
                for line in whole.decode(errors="replace").splitlines():
                    if line.strip() and not _LIBRARY_LOG.match(line):
                        yield f"{row.process_id} | {line.removeprefix(f'{row.process_id}: ')}"
