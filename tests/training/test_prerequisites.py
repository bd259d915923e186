"""What a run in one process can't have is refused before it begins."""

import subprocess
import sys

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.errors import ConfigError, TaskError
from tfdqn.training.prerequisites import require_trainable


@pytest.mark.parametrize(
    ("override", "error", "said"),
    [
        ("acting.inference=central", ConfigError, "`tfdqn launch` starts them$"),
        ("task.id=Nowhere-v0", TaskError, "Nowhere-v0"),
        ("tracking.mlflow=true", ConfigError, "^tracking.mlflow = true needs mlflow, which is not installed: "),
    ],
)
def test_what_a_run_needs_is_said_in_one_line(
    override: str, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.tracking.systems.find_spec", lambda name: None)
    require_trainable(tiny())
    with pytest.raises(error, match=said):
        require_trainable(tiny(override))


def test_it_is_light() -> None:
    program = "import sys, tfdqn.training.prerequisites; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
