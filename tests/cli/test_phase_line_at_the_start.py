"""A signal while a command prepares its work: it ends in order, and says how to go on."""

import re
import shlex
import signal
from pathlib import Path

import pytest

from tests.support.commands import tfdqn, write_config

STARTS_FOR_LONG = """
import sys, time
from pathlib import Path
from tfdqn.tasks import registry
from tfdqn.training import prerequisites

def wait(*_):
    Path("begun").touch()
    time.sleep(60)

registry.require_learnable = prerequisites.require_trainable_runs = wait
from tfdqn.cli.main import main
sys.exit(main())
"""
SPACE = "[agent]\ndiscount = { low = 0.9, high = 0.99 }\n"


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (signal.SIGINT, ("tune", "tiny.toml", "space.toml", "--trials", "3")),
        (signal.SIGTERM, ("tune", "tiny.toml", "space.toml", "--study-dir", "a study")),
        (signal.SIGHUP, ("train", "tiny.toml", "--seeds", "1-3")),
        (signal.SIGINT, ("launch", "tiny.toml", "--actors", "2", "--no-evaluator")),
    ],
)
def test_a_signal_ends_a_start_with_status_0_and_the_command_to_go_on(
    tmp_path: Path, number: signal.Signals, arguments: tuple[str, ...]
) -> None:
    write_config(tmp_path)
    (tmp_path / "space.toml").write_text(SPACE)
    with tfdqn(tmp_path, *arguments, program=STARTS_FOR_LONG) as process:
        process.until((tmp_path / "begun").exists, "start")
        process.send(number)
        assert process.ended() == 0, process.err
    assert process.err == ""
    (again,) = re.findall(r"^Stopped while starting: nothing was lost\. To go on:\n(.*)\n$", process.out)
    program, verb, *rest = shlex.split(again)
    assert (program, verb) == ("tfdqn", arguments[0])
    given = [each for each in arguments[1:] if not each.startswith("--actors") and each != "2"]  # as acting.actors=2
    assert [each for each in given if each not in rest] == []
