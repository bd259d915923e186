"""What `tfdqn inspect` says of a job, of stand-ins, that has failed, or whose supervisor was killed."""

import re
import signal
from pathlib import Path

import pytest

from tests.launch.test_local_job import a_launch, nobody_is_left
from tests.support.job_output import until_at_work
from tfdqn.cli import main
from tfdqn.launch.inspector import Inspector
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, RunEnd, read_end, write_end
from tfdqn.system.shell_commands import own_command


def command_to_begin_again(run: Path) -> str:
    return own_command(["launch", str(run / "config.toml"), "--run-dir", str(run)])


def test_what_has_ended_a_job_is_kept_until_it_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (tmp_path / "learner-0.do").write_text("refuse")
    with a_launch(tmp_path) as process:
        assert process.ended() == 2
    report = Inspector(str(run)).report()
    said = "failed: learner 0: task.id = 3: no such thing; correct that first; to begin again:"
    failed = f"{said}\n{command_to_begin_again(run)}"
    assert (report.status, report.problem) == ("failed", failed)
    (tmp_path / "learner-0.do").unlink()
    with a_launch(tmp_path) as process:
        until_at_work(process, "learner 0")
        assert Inspector(str(run)).report().status == "silent"  # the stand-in answers nobody
        (tmp_path / "over").touch()
        assert process.ended() == 0
    assert Inspector(str(run)).report().status == "stopped"  # it has written no summary


def test_the_processes_of_a_supervisor_that_was_killed_are_gone_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with a_launch(tmp_path) as process:
        until_at_work(process, "learner 0", "actor 0")
        process.kill()
    assert nobody_is_left(process)
    assert main.main(["inspect", str(run)]) == 0
    status, again, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"status +the job is not running here: no learner answers at \S+; to begin again:", status)
    assert again.strip() == command_to_begin_again(run)
    assert re.match(r"actor 0 +gone, after at work +\d+ +\d:\d\d ago", rows[-4])
    assert Inspector(str(run)).report().status == "stopped"
    assert main.main(["health", "learner", "--run-dir", str(run)]) == 1
    assert re.fullmatch(r"learner 0: gone, after at work \(process \d+\)\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("do", "status", "end"),
    [
        (
            "held-up saved",
            0,
            RunEnd(Outcome.STOPPED, True, "it was asked to end, and was held up (drawing): ended after saving"),
        ),
        ("held-up", 143, RunEnd(Outcome.STOPPED, False, "it was interrupted by Ctrl-C; the learner could not save")),
    ],
)
def test_a_learner_that_was_held_up_says_itself_that_it_has_saved(
    tmp_path: Path, do: str, status: int, end: RunEnd
) -> None:
    run = RunDir(tmp_path / "run")
    run.process_logs.mkdir(parents=True)
    write_end(run.end_file, RunEnd(Outcome.STOPPED, True, "it was interrupted"))  # the last time
    (tmp_path / "learner-0.do").write_text(do)
    with a_launch(tmp_path) as process:
        until_at_work(process, "learner 0")
        process.send(signal.SIGINT)
        assert process.ended() == status
    assert read_end(run.end_file) == end
