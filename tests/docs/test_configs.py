"""Every configuration that comes with the project is valid: its keys are known, and go together."""

from pathlib import Path

import pytest

from tfdqn import load_config

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(CONFIGS.rglob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CONFIGS)))
def test_a_configuration_is_valid(file: Path) -> None:
    assert load_config(str(file)).stop.env_steps > 0
