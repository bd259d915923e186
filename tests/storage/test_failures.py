"""What a failed run says and keeps."""

from pathlib import Path

import pytest

from tfdqn.errors import ClusterError, EnvironmentFailedError
from tfdqn.storage.failures import failures_say_what_is_saved, tracebacks_are_kept
from tfdqn.storage.run_directory import RunDir


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "nothing was saved yet"),
        ((".saving-000001",), "nothing was saved yet"),
        (("000001",), "the last checkpoint is intact"),
    ],
)
def test_a_failure_says_whether_there_is_a_checkpoint(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    run = RunDir(tmp_path / "run")
    for name in names:
        (run.checkpoints / name).mkdir(parents=True)
    with (
        pytest.raises(ClusterError, match=f"^worker 1 was killed by signal 9; {said}$"),
        failures_say_what_is_saved(run),
    ):
        raise ClusterError("worker 1 was killed by signal 9")


def test_the_traceback_of_the_users_code_is_in_the_runs_log(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    said = r"^the task raised ValueError; its traceback is in .*native\.log$"
    with pytest.raises(EnvironmentFailedError, match=said), tracebacks_are_kept(run):
        raise EnvironmentFailedError("the task raised ValueError", traceback="Traceback: line 7")
    assert run.native_log.read_text() == "Traceback: line 7"
