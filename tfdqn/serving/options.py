"""`Options`: the options of `tfdqn serve`, and functions that read those that are more than a number."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tfdqn.errors import UserError
from tfdqn.exporting.versions import complete_versions
from tfdqn.serving.access import Access

MOST_ROWS_OF_CALL = 1024  # of the model
VERSION = r"[0-9]{1,18}"  # TensorFlow Serving's have 64 bits


class VersionPolicy(NamedTuple):
    """Which versions are served, in TensorFlow Serving's terms: the latest N, all, or specific ones."""

    most: int | None = 1  # at most so many, the newest; None: no limit
    only: frozenset[int] | None = None  # only these; None: any

    def chosen(self, versions: Iterable[int]) -> list[int]:
        """The versions among these that may be served, newest first."""
        return sorted((each for each in versions if self.only is None or each in self.only), reverse=True)


LATEST = VersionPolicy()


class Options(NamedTuple):
    """Options from the command line."""

    access: Access = Access()
    versions: VersionPolicy = LATEST
    labels: Mapping[str, int] = {}  # versions by label, which can be used in paths
    drain_seconds: float = 0.0  # for which, after SIGTERM, it takes requests and reports that it isn't ready
    most_rows: int = MOST_ROWS_OF_CALL  # the largest number of rows in one call of the model


def read_policy(text: str) -> VersionPolicy:
    """Reads `latest:N`, `all` or `specific:1,3`. Raises UserError."""
    if text == "all":
        return VersionPolicy(most=None)
    if re.fullmatch(r"latest:0*[1-9][0-9]{0,8}", text):
        return VersionPolicy(most=int(text.removeprefix("latest:")))
    if re.fullmatch(rf"specific:{VERSION}(,{VERSION})*", text):
        return VersionPolicy(None, frozenset(map(int, text.removeprefix("specific:").split(","))))
    raise UserError(f'--versions "{text}": latest:N, all, or specific:1,3 is needed')


def require_chosen(policy: VersionPolicy, exports: Path, say: Callable[[str], None]) -> None:
    """Warns, by `say`, of versions that `policy` names and the folder `exports` lacks; UserError if it lacks all."""
    found = complete_versions(exports)
    absent = sorted((policy.only or frozenset()).difference(found))
    if not absent:
        return
    missing, there = (", ".join(map(str, each)) for each in (absent, found))
    line = f"--versions: {missing} not found in {exports}, which has {there}"
    if not policy.chosen(found):
        raise UserError(line)
    say(f"warning: {line}; versions that appear later are served then")


def require_labelled(options: Options, exports: Path) -> None:
    """Raises UserError for a label of a version in the folder `exports` that `options.versions` doesn't choose."""
    first = options.versions.chosen(found := complete_versions(exports))[: options.versions.most]
    for label, version in options.labels.items():
        if version not in first:
            there, served = (", ".join(map(str, each)) for each in (found, first))
            raise UserError(
                f"--label {label}={version}: --versions doesn't choose version {version}, but {served}; "
                f"{exports} has {there}"
            )


def read_labels(texts: Iterable[str]) -> dict[str, int]:
    """Reads labels, each `NAME=VERSION`. Raises UserError."""
    labels: dict[str, int] = {}
    for text in texts:
        found = re.fullmatch(rf"((?!\.\.?=)[A-Za-z0-9._-]+)=({VERSION})", text)
        if found is None:
            raise UserError(f'--label "{text}": NAME=VERSION is needed, such as stable=3')
        if found[1] in labels:
            raise UserError(f'--label "{text}": {found[1]} is given twice')
        labels[found[1]] = int(found[2])
    return labels
