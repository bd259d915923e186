"""Writes evaluations as tidy rows, to CSV or Parquet, for plotting with other tools.

A row is one evaluation of one run. The columns are those of `COLUMNS`, and one for each key of the configuration in
which the groups differ, by the key's path (`agent.n_step`).
"""

import csv
import json
from collections.abc import Iterator, Mapping
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from tfdqn.errors import UserError
from tfdqn.reports.finished_runs import FinishedRun
from tfdqn.reports.groups import Report
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.system.shell_commands import install_extra

# The columns and what they mean. A value is empty, or null, if it is unknown, as in runs of an older version.
COLUMNS = {
    "task": "the task's id",
    "group": "the label of the group, which says in what its configuration differs",
    "run": "the run directory",
    "seed": "the run's seed",
    "kind": "`training`: an evaluation during training; `final`: that of the best policy on fresh episodes, the score",
    "env_steps": "environment steps taken when it began; for a final one, by the whole run",
    "train_steps": "updates of the weights evaluated; for a final one, by the whole run",
    "seconds": "seconds of training until then",
    "episodes": "episodes played",
    "mean_return": "mean of their returns",
    "std_return": "standard deviation of their returns",
    "mean_length": "mean of their lengths, in environment steps",
}


def write_csv(report: Report, file: Path) -> None:
    """Writes a report's evaluations as CSV. Raises RunDirError if the file can't be written."""
    text = StringIO()
    writer = csv.DictWriter(text, fieldnames=[*COLUMNS, *report.differing_keys], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(report))
    write_atomically(file, text.getvalue().encode())


def require_parquet() -> None:
    """Raises UserError if the package that writes Parquet is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UserError(f"a Parquet file needs a package: {install_extra('parquet')}") from None


def write_parquet(report: Report, file: Path) -> None:
    """Writes a report's evaluations as Parquet, after `require_parquet`. Raises as `write_csv`."""
    import pyarrow
    import pyarrow.parquet

    rows = list(_rows(report))
    names = [*COLUMNS, *report.differing_keys]
    table = pyarrow.table({name: _of_one_type([row[name] for row in rows]) for name in names})
    content = BytesIO()
    pyarrow.parquet.write_table(table, content)
    write_atomically(file, content.getvalue())


def _rows(report: Report) -> Iterator[Mapping[str, Any]]:
    for group in report.groups:
        differing = {key: _flat(group.configuration.get(key)) for key in report.differing_keys}
        for run in group.runs:
            of_run = {"task": report.task, "group": group.label, "run": str(run.path), "seed": run.seed}
            yield from ({**of_run, **row, **differing} for row in _evaluations(run))


def _evaluations(run: FinishedRun) -> Iterator[Mapping[str, Any]]:
    for line in run.lines:
        yield {"kind": "training", **{name: getattr(line, name) for name in _OF_LINES}}
    final, summary = run.final, run.summary
    yield {
        "kind": "final",
        **{name: getattr(summary, name) for name in ("env_steps", "train_steps", "seconds")},
        **{name: getattr(final, name) for name in ("episodes", "mean_return", "std_return", "mean_length")},
    }


def _flat(value: Any) -> Any:
    """A table or a list as JSON; any other value as it is."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list, tuple)) else value


def _of_one_type(values: list[Any]) -> list[Any]:
    """The values as they are if all are numbers, all strings or all booleans, else as strings."""
    kinds = {float if type(each) is int else type(each) for each in values if each is not None}
    if len(kinds) <= 1 and kinds <= {float, str, bool}:
        return values
    return [None if each is None else str(each) for each in values]


_OF_LINES = list(COLUMNS)[list(COLUMNS).index("env_steps") :]
