"""The image, built and run: `make test-container`, with Docker or with the program that IMAGE_TOOL names."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import tfdqn

PROJECT = Path(__file__).parent.parent.parent
TOOL = os.environ.get("IMAGE_TOOL") or str(Path(__file__).parent / "docker_tool.sh")
TAG = "localhost/tfdqn:test"
REVISION = "0123456789abcdef"
BUILD_SECONDS, RUN_SECONDS = 3600.0, 300.0
LISTING = """
import json
from importlib.metadata import distributions
def named(name): return name.lower().replace("_", "-").replace(".", "-")
with open("/opt/tfdqn/sbom.cdx.json") as file: sbom = json.load(file)
assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
listed = {named(each["name"]): each["version"] for each in sbom["components"]}
print(json.dumps([listed, {named(each.name): each.version for each in distributions()}]))
"""
# A source of which Python would not take the bytecode: its header holds flags, the source's date and its size.
BYTECODE = """
import struct
from importlib.util import cache_from_source
from pathlib import Path
def is_stale(source):
    file, status = Path(cache_from_source(source)), source.stat()
    return not file.exists() or struct.unpack("<III", file.read_bytes()[4:16]) != (0, 315532800, status.st_size) \\
        or int(status.st_mtime) != 315532800
site = Path("/opt/tfdqn/lib/python3.11/site-packages")
print({str(each) for name in ("tfdqn", "tensorflow", "tf_agents") for each in (site / name).rglob("*.py")
       if is_stale(each)})
"""
SHORT = "stop.env_steps=24_000 evaluation.episodes=10 evaluation.final_episodes=10"

pytestmark = [pytest.mark.container, pytest.mark.timeout(BUILD_SECONDS)]


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    arguments = (f"VERSION={tfdqn.__version__}", f"REVISION={REVISION}")
    built = subprocess.run([TOOL, str(PROJECT), TAG, *arguments], capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert built.returncode == 0, built.stdout + built.stderr


@contextmanager
def container(*command: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [TOOL, "--run-read-only", TAG, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        for each in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            each.kill()
        process.kill()
        process.communicate()


def output_of(script: str) -> str:
    with container("sh", "-euc", script) as process:
        output, _ = process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 0, output
    return output


def test_nobody_in_particular_learns_on_a_root_that_is_read_only() -> None:
    output = output_of(f"""
        test "$(id -u):$(id -g)" = 10001:10001
        if touch /opt/tfdqn/file /workspace/file 2>/dev/null; then exit 3; fi
        cd /workspace
        tfdqn train configs/cartpole.toml {SHORT} --run-dir /tmp/run
        tfdqn evaluate /tmp/run --episodes 10 --video
        test -s /tmp/run/learning_curve.png
        cat /tmp/run/exports/1/model_card.json
    """)
    assert "best policy" in output
    card = json.loads(output[output.index("\n{") :])
    assert card["git_revision"] == REVISION


def test_a_whole_job_lives_in_one_container_and_is_healthy() -> None:
    output = output_of(f"""
        cd /workspace
        tfdqn launch configs/cartpole.toml --actors 2 {SHORT} --run-dir /tmp/run &
        until tfdqn health learner --run-dir /tmp/run >/dev/null 2>&1; do sleep 0.5; done
        tfdqn health actor --index 1 --run-dir /tmp/run
        wait $!
        tfdqn inspect /tmp/run
    """)
    assert "actor 1: " in output
    assert "best policy" in output


def test_sigterm_saves_and_ends_with_0() -> None:
    script = "cd /workspace; exec tini -- tfdqn train configs/cartpole.toml --run-dir /tmp/run"
    with container("sh", "-euc", script) as process:
        assert process.stdout is not None
        seen = ""
        while "learning: " not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
        tell_to_end(process.pid)
        rest, _ = process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 0, seen + rest
    assert "To resume:\ntfdqn train configs/cartpole.toml --run-dir /tmp/run" in rest


def test_the_list_of_packages_has_each_that_is_installed_and_no_other() -> None:
    output = output_of(f"python - <<'END'\n{LISTING}\nEND")
    listed, installed = json.loads(output[output.index("[") :])
    assert listed == installed
    assert {"tfdqn", "tensorflow", "dm-reverb"} <= set(installed)
    assert not any(name.startswith("cyclonedx") for name in installed)


def test_bytecode_is_all_there_and_valid_where_none_can_be_written() -> None:
    assert output_of(f"python - <<'END'\n{BYTECODE}\nEND").strip() == "set()"


def tell_to_end(tool: int) -> None:
    """What an engine does: the container's process is told. Docker's client hands it on to there."""
    below = psutil.Process(tool).children(recursive=True)
    for each in [each for each in below if each.name() == "tfdqn"] or [psutil.Process(tool)]:
        each.send_signal(signal.SIGTERM)
