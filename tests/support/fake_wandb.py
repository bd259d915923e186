"""W&B's package as tests have it where it is not installed: `fake_packages/wandb`."""

import json
from pathlib import Path
from typing import Any

import pytest

_PACKAGES = Path(__file__).parent / "fake_packages"


class FakeWandB:
    """What trackers' processes that are started from now on import as `wandb`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self._log, self._monkeypatch = folder / "fake_wandb.jsonl", monkeypatch
        for name in ("WANDB_API_KEY", "WANDB_MODE", "FAKE_WANDB"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PYTHONPATH", str(_PACKAGES))
        monkeypatch.setenv("FAKE_WANDB_LOG", str(self._log))
        monkeypatch.syspath_prepend(_PACKAGES)  # where this process looks whether it is installed

    def will(self, fail: str) -> None:
        """It fails so from now on."""
        self._monkeypatch.setenv("FAKE_WANDB", fail)

    def said(self, call: str) -> list[Any]:
        """What each of these calls was told, in their order."""
        lines = self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []
        return [said for name, said in map(json.loads, lines) if name == call]
