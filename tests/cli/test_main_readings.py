"""How often a command reads and checks a configuration: once for each file that it really needs."""

from pathlib import Path

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.cli import main
from tfdqn.config import Config, reader, toml
from tfdqn.config.toml import dump
from tfdqn.storage.run_directory import RunDir


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The origin of every configuration that is read from now on."""
    origins: list[str] = []

    def read(values: object, origin: str, *others: object) -> Config:
        origins.append(origin)
        return reader.read(values, origin, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(toml, "read", read)
    return origins


def test_a_run_that_resumes_reads_its_configuration_once(tmp_path: Path, readings: list[str]) -> None:
    file, run = tmp_path / "tiny.toml", tmp_path / "run"
    file.write_text(dump(tiny("replay.backend=in_graph", "learner.schedule=alternate", "stop.env_steps=400")))
    readings.clear()
    command = ["train", str(file), "--run-dir", str(run)]
    assert main.main(command) == 0
    assert main.main(command) == 0
    assert readings == [str(file)] * 2
    readings.clear()
    # Its own configuration is another one now, which has to be understood to say what has changed.
    assert main.main([*command, "stop.env_steps=600"]) == 0
    assert readings == [str(file), str(run / "config.toml")]


class Done:
    """Stands in for a job's supervisor: all of its processes have ended well."""

    has_saved = True

    def __init__(self, *_: object):
        pass

    def run(self, interrupted: object) -> bool:
        return True


def test_a_job_that_resumes_reads_its_configuration_once_in_each_process(
    tmp_path: Path, readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.launch.local_job.Supervisor", Done)
    file, run = tmp_path / "tiny.toml", RunDir(tmp_path / "run")
    file.write_text(dump(tiny()))
    readings.clear()
    for _ in range(2):
        assert main.main(["launch", str(file), "--run-dir", str(run.path)]) == 0
        run.metrics_file.write_text("{}\n")  # something was learned
    assert readings == [str(file)] * 2
    readings.clear()
    with run.claim(toml.load(run.config_file)):  # as its learner does
        assert readings == [str(run.config_file)]


def test_a_run_directory_reads_its_file_again_where_that_has_changed(tmp_path: Path, readings: list[str]) -> None:
    with RunDir(tmp_path).claim(Config()):
        pass
    run = RunDir(tmp_path)
    assert [run.config(), run.config()] == [Config(), Config()]
    assert len(readings) == 1
    run.config_file.write_text("seed = 2\n")
    assert run.config() == Config(seed=2)
