"""What a run in one process can't have is refused before it begins."""

import subprocess
import sys

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.errors import ConfigError, TaskError
from tfdqn.task_spec import ArraySpec, TaskSpec, discrete
from tfdqn.training.prerequisites import image_warning, require_trainable


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


@pytest.mark.parametrize(
    ("kind", "shape", "is_misread"),
    [
        ("small_cnn", (3, 50, 70), True),
        ("impala", (3, 50, 70), True),
        ("nature_cnn", (3, 50, 70), True),
        ("small_cnn", (50, 70, 3), False),
        ("mlp", (3, 50, 70), False),
    ],
)
def test_an_image_that_the_network_would_misread_is_warned_of(
    kind: str, shape: tuple[int, ...], is_misread: bool
) -> None:
    spec = TaskSpec(id="x", observation={"observation": ArraySpec(shape=shape, dtype="uint8")}, actions=discrete(2))
    warning = image_warning(tiny(f"network.kind={kind}"), spec)
    assert warning.startswith("channels seem to come first, ") if is_misread else warning == ""
