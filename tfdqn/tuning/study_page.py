"""`write_page`: a study as one HTML page, with pictures of its history, keys' importance and slices inside."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from tfdqn.config import toml
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.tuning.study import Study
from tfdqn.tuning.study_pictures import draw_history, draw_importances, draw_parallel_coordinates, draw_slices, svg
from tfdqn.tuning.trial_records import Trial, TrialState, best_of

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; }
figure { margin: 1rem 0; padding: .5rem; background: #fff; border: 1px solid #8886; overflow-x: auto; }
figure svg { display: block; width: 100%; height: auto; min-width: 36rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid #8884; white-space: nowrap; }
"""
_IMPORTANCE = (
    "How far the best tenth of the trials differs in a key from all of them, by PED-ANOVA (Watanabe et al. 2023, "
    "arXiv:2304.10255); of few trials it says little."
)


class Section(NamedTuple):
    """A part of the page."""

    heading: str
    text: str
    content: str  # HTML


def write_page(study: Study) -> None:
    """Draws what the study has come to so far. Raises RunDirError where it can't be written."""
    trials = study.trials()
    write_atomically(study.folder.page, page(study.folder.path.resolve().name, trials, study).encode())


def page(name: str, trials: Sequence[Trial], study: Study) -> str:
    """The whole page, which needs no other file."""
    best, keys = best_of(trials), study.space.dimensions
    sections = [Section("Trials", _counts(trials), _table(trials, list(keys)))]
    if best is not None:
        pictures = [
            Section("History", "Each trial's score, and the best so far.", _figure(svg(draw_history(trials)))),
            Section("Importance", _IMPORTANCE, _figure(svg(draw_importances(study.importances())))),
            Section(
                "Parallel coordinates",
                "A line for each complete trial, drawn from key to key; the brighter the better.",
                _figure(svg(draw_parallel_coordinates(trials, keys))),
            ),
            Section(
                "Slices", "The scores over each key; the darker, the later.", _figure(svg(draw_slices(trials, keys)))
            ),
        ]
        sections = [Section("The best", _of_best(best), _values_table(best.values)), *pictures, *sections]
    title = f"Search: {escape(name)}"
    body = "".join(f"<h2>{each.heading}</h2>\n<p>{each.text}</p>\n{each.content}\n" for each in sections)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n{body}</body></html>\n"
    )


def _counts(trials: Sequence[Trial]) -> str:
    counts = ((state, sum(each.state is state for each in trials)) for state in TrialState)
    return ", ".join(f"{count} {state}" for state, count in counts if count) + "."


def _of_best(best: Trial) -> str:
    return f"Trial {best.number}, whose final evaluation had a mean return of {best.score:,.2f}, with"


def _figure(picture: str) -> str:
    return f"<figure>{picture}</figure>"


def _values_table(values: Mapping[str, Any]) -> str:
    return _rows([], [[key, toml.written(value)] for key, value in values.items()])


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
    return _rows(["trial", "state", "score", *keys, "reason"], rows)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else toml.written(value)


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "<tr>" + "".join(f"<th>{escape(each)}</th>" for each in heads) + "</tr>\n" if heads else ""
    body = "".join("<tr>" + "".join(f"<td>{escape(each)}</td>" for each in row) + "</tr>\n" for row in rows)
    return f'<div class="table"><table>\n{head}{body}</table></div>'
