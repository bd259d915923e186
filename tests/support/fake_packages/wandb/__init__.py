"""Stands for W&B's package in a tracker's process: writes what it is told to a file, and fails as it is asked to.

FAKE_WANDB_LOG names the file, FAKE_WANDB says what goes wrong: `raise in init`, `print and exit in log`, `hang in init`
(`log`, `finish`), `hang in init with a process` of its own, `not logged in` or `raise when imported`.
"""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

_FAILURE = os.environ.get("FAKE_WANDB", "")
_HANG_SECONDS = 3_600.0

if _FAILURE == "raise when imported":
    raise ImportError("no platformdirs")

api = SimpleNamespace(api_key=None if _FAILURE == "not logged in" else "a key")


class CommError(Exception):
    pass


def setup() -> SimpleNamespace:
    mode = os.environ.get("WANDB_MODE", "online")
    return SimpleNamespace(settings=SimpleNamespace(mode=mode, identity_token_file=None))


def Settings(**settings: Any) -> dict[str, Any]:
    return settings


def init(**arguments: Any) -> "Run":
    print("wandb: prints what it likes")
    if _FAILURE == "raise in init":
        raise CommError("Run initialization has timed out\nafter 90.0 sec")
    _may_hang("init")
    _write("init", {key: value for key, value in arguments.items() if key != "settings"})
    return Run(arguments["id"])


def _may_hang(call: str) -> None:
    if _FAILURE in (f"hang in {call}", f"hang in {call} with a process"):
        if _FAILURE.endswith("with a process"):
            _write("starts", subprocess.Popen(["sleep", "600"]).pid)
        _write("hangs", call)
        time.sleep(_HANG_SECONDS)


def _write(call: str, said: Any) -> None:
    with open(os.environ["FAKE_WANDB_LOG"], "a", encoding="utf-8") as log:
        log.write(json.dumps([call, said]) + "\n")


class Video:
    def __init__(self, path: str, format: str):
        self.path = path


class Artifact:
    folder = ""

    def __init__(self, name: str, type: str, metadata: dict[str, Any]):
        self.name = name

    def add_dir(self, folder: str, skip_cache: bool) -> None:
        self.folder = folder


class Run:
    def __init__(self, id: str):
        self.id, self.url, self.dir = id, f"https://wandb.example/{id}", "."
        self.config = SimpleNamespace(update=lambda values, **_: _write("config", values))
        self.summary = SimpleNamespace(update=lambda values: _write("summary", values))

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        _write("define_metric", [name, step_metric])

    def log(self, values: dict[str, Any], step: int) -> None:
        _may_hang("log")
        if _FAILURE == "print and exit in log":
            print("a last word")
            sys.exit(3)
        videos = {name: value for name, value in values.items() if isinstance(value, Video)}
        for video in videos.values():
            _write("video", video.path)
        _write("log", {name: value for name, value in values.items() if name not in videos})

    def log_artifact(self, artifact: "Artifact", aliases: list[str]) -> None:
        _write("artifact", artifact.folder)

    def finish(self) -> None:
        _may_hang("finish")
        _write("finish", None)
