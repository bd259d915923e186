"""The options in the commands that manifests give."""

import re

import typer

from tests.support.rendered_manifests import CONFIG, ROOT
from tfdqn.cli import main

LAUNCHERS = ROOT / "launchers" / CONFIG.stem


def test_no_manifest_gives_an_option_that_is_only_kept_for_older_ones() -> None:
    verbs = typer.main.get_command(main.app).commands.values()  # type: ignore[attr-defined]
    hidden = {name for verb in verbs for each in verb.params if getattr(each, "hidden", False) for name in each.opts}
    texts = [file.read_text() for file in LAUNCHERS.rglob("*") if file.is_file()]
    given = {option for text in texts for option in re.findall(r"(?<![\w-])--[a-z-]+", text)}
    assert hidden >= {"--task", "--places"} and given >= {"--index", "--leases", "--cluster", "--pool"}
    assert not hidden & given
