"""`tfdqn config`: one configuration in full, or the keys of every kind."""

from pathlib import Path

import pytest

from tfdqn.cli import main
from tfdqn.config.toml import dump, load


def test_config_prints_the_resolved_configuration(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["config", "small.toml", "optimizer.kind=sgd"]) == 0
    assert capsys.readouterr().out == dump(load(config_file, ["optimizer.kind=sgd"]))


def test_the_reference_of_keys_needs_no_configuration(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["config", "--reference"]) == 0
    assert "| `stop.env_steps` | `500000` |" in capsys.readouterr().out
    for arguments in ([], ["small.toml", "--reference"]):
        assert main.main(["config", *arguments]) == 2
        assert "needs either CONFIG, a TOML file, or --reference" in capsys.readouterr().err
