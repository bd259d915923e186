"""`write_page`: writes a study as one HTML page with pictures: history, importance of keys, slices."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tfdqn.config import toml
from tfdqn.reports.html import document, table
from tfdqn.reports.pictures import svg
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.tuning.study import Study
from tfdqn.tuning.study_pictures import pictures
from tfdqn.tuning.trial_records import Trial, TrialState, best_of

_STYLE = """
.table { overflow-x: auto } .table td { white-space: nowrap }
.slices { display: flex; flex-wrap: wrap } .slices > svg { width: 20rem; max-width: 100% }
"""
_IMPORTANCE = (
    "How far the best tenth of the trials differs in a key from all of them, by PED-ANOVA (Watanabe et al. 2023, "
    "arXiv:2304.10255); with few trials it says little."
)
_NO_IMPORTANCE = "This needs two or more complete trials with different scores."
_PARALLEL = "A line for each complete trial, drawn from key to key: the worst light blue, the best pink."


class Section(NamedTuple):
    """A section of the page."""

    heading: str
    text: str
    content: str  # HTML


def write_page(study: Study) -> None:
    """Writes the page of the study so far. Raises RunDirError if that fails."""
    trials = study.trials()
    write_atomically(study.folder.page, page(study.folder.path.resolve().name, trials, study).encode())


def page(name: str, trials: Sequence[Trial], study: Study) -> str:
    """The whole page as self-contained HTML."""
    best, keys = best_of(trials), study.space.dimensions
    scores = {each.score for each in trials if each.score is not None}
    sections = [Section("Trials", _counts(trials), _table(trials, list(keys)))]
    if best is not None:
        importances = study.importances() if len(scores) > 1 else {}
        drawn = {name: svg(each, name) for name, each in pictures(trials, keys, importances).items()}
        slices = "".join(each for name, each in drawn.items() if name.startswith("slice-"))
        pictured = [
            Section("History", "Each trial's score, and the best so far.", _figure(drawn["history"])),
            Section("Importance", _IMPORTANCE, _figure(drawn["importance"]))
            if importances
            else Section("Importance", _NO_IMPORTANCE, ""),
            Section("Parallel coordinates", _PARALLEL, _figure(drawn["parallel"])),
            Section(
                "Slices",
                "The scores over each key, from early trials, light blue, to late ones, pink.",
                _figure(slices, "slices"),
            ),
        ]
        sections = [Section("The best", _of_best(best), _values_table(best.values)), *pictured, *sections]
    parts = (f"<h2>{each.heading}</h2>\n<p>{each.text}</p>\n{each.content}" for each in sections)
    return document(f"Search: {name}", parts, _STYLE)


def _counts(trials: Sequence[Trial]) -> str:
    counts = ((state, sum(each.state is state for each in trials)) for state in TrialState)
    return ", ".join(f"{count} {state}" for state, count in counts if count) + "."


def _of_best(best: Trial) -> str:
    return f"Trial {best.number}, whose final evaluation had a mean return of {best.score:,.2f}, with these values:"


def _figure(content: str, kind: str = "picture") -> str:
    return f'<figure class="{kind}">{content}</figure>'


def _values_table(values: Mapping[str, Any]) -> str:
    return table(["key", "value"], [[key, toml.written(value)] for key, value in values.items()], "best-table")


def _table(trials: Sequence[Trial], keys: Sequence[str]) -> str:
    rows = [
        [
            str(each.number),
            each.state,
            "" if each.score is None else f"{each.score:,.2f}",
            *(_short(each.values[key]) if key in each.values else "" for key in keys),
            each.why,
        ]
        for each in sorted(trials, key=lambda each: (each.score is None, -(each.score or 0.0), each.number))
    ]
    return f'<div class="table">{table(["trial", "state", "score", *keys, "reason"], rows, "trials-table")}</div>'


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else toml.written(value)
