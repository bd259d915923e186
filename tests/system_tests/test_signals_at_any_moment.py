"""A signal ends every command that learns, at whatever moment of its life it comes."""

import json
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import ENDLESS, OFTEN, PROJECT, REVERB, Tfdqn, tfdqn, write_config
from tests.support.threaded_jobs import free_address

OURS = f'"{PROJECT}/tfdqn/'  # the project's folder may be named so, too, and hold Python's libraries
LIMIT_SECONDS = 60.0  # 30 of a quiet machine's
MOST_SECONDS = 12.0  # until the signal: by then it has learned, or waits for the others
MOMENTS = 50
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def environment(kind: str) -> dict[str, str | None]:
    """As the first of two that learn in lockstep, or as the one that follows it; the other one never comes."""
    if kind not in ("chief", "follower"):
        return {}
    cluster = {"worker": [free_address(), free_address()]}
    task = {"type": "worker", "index": int(kind == "follower")}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


@contextmanager
def started(folder: Path, kind: str) -> Iterator[Tfdqn]:
    folder.mkdir()
    overrides = ["learner.strategy=multi_worker"] if kind in ("chief", "follower") else [*REVERB]
    config = write_config(folder, *overrides, ENDLESS, OFTEN)
    verb = "launch" if kind == "launch" else "train"
    with tfdqn(folder, verb, config, "--run-dir", "run", environment=environment(kind), is_forked=False) as process:
        yield process


def ends(folder: Path, kind: str, after_seconds: float, number: signal.Signals) -> None:
    with started(folder, kind) as process:
        begun = time.monotonic()
        process.until(lambda: time.monotonic() - begun >= after_seconds, "moment")
        process.send(number)
        assert process.ended_within(LIMIT_SECONDS), (kind, after_seconds, number, process.out, process.err)
        # Until Python comes to our first line, it is Python that speaks.
        assert "Traceback" not in process.err or OURS not in process.err, (kind, after_seconds, number)


@pytest.mark.parametrize("after_seconds", [0.0, 0.15])
def test_before_there_is_anything_to_save(tmp_path: Path, after_seconds: float) -> None:
    for number in SIGNALS:
        ends(tmp_path / number.name, "follower", after_seconds, number)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["train", "chief", "follower", "launch"])
def test_fifty_random_moments(tmp_path: Path, kind: str) -> None:
    moments = random.Random(kind)
    for i in range(MOMENTS):
        # Most of what can go wrong does while it starts.
        after_seconds = moments.uniform(0, 1) ** 2 * MOST_SECONDS
        ends(tmp_path / str(i), kind, after_seconds, moments.choice(SIGNALS))
