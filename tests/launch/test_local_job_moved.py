"""A job whose directory is moved away says so, and gives no command with the old path."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.errors import ClusterError, RunDirError
from tfdqn.launch import local_job
from tfdqn.storage.run_directory import RunDir


@pytest.mark.parametrize("led_to", [ClusterError("learner 0: has ended"), None])
def test_a_run_that_is_gone_is_said_instead_of_what_that_led_to(tmp_path: Path, led_to: Exception | None) -> None:
    run = RunDir(tmp_path / "run")

    def ends(supervisor: Any) -> bool:
        (tmp_path / "run").rename(tmp_path / "moved")
        if led_to is not None:
            raise led_to
        return False

    with pytest.raises(RunDirError, match="run is gone: it was moved or removed while"), run.supervise(tiny()):
        local_job._over(run, ends, SimpleNamespace())  # type: ignore[arg-type]
    assert not run.path.exists()


def test_other_errors_are_those_of_the_supervisor(tmp_path: Path) -> None:
    def ends(supervisor: Any) -> bool:
        raise ClusterError("learner 0: has ended")

    run = RunDir(tmp_path / "run")
    with pytest.raises(ClusterError, match="has ended"), run.supervise(tiny()):
        local_job._over(run, ends, SimpleNamespace())  # type: ignore[arg-type]
