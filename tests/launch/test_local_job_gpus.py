"""A host's GPUs go to those processes that compute gradients, none to two of them where there are enough."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.tiny_runs import tiny
from tfdqn.cluster.environment import machines_of_environment
from tfdqn.cluster.placement import read_pools
from tfdqn.cluster.program import Program
from tfdqn.config import Config
from tfdqn.errors import ConfigError
from tfdqn.launch import local_job
from tfdqn.launch.local_job import deal_gpus
from tfdqn.storage.run_directory import RunDir

WORKERS = ("learner.strategy=parameter_server", "learner.workers=3", "acting.actors=2")
LOCKSTEP = ("learner.strategy=multi_worker", "learner.workers=2")


class Taken(Exception):
    """Stands in for the run of a program."""


def dealt(config: Config, there: tuple[str, ...], folder: Path) -> tuple[dict[str, dict[str, str | None]], list[str]]:
    """What each process that may see GPUs is told of them, and the lines that are said."""
    said: list[str] = []
    program = local_job.program_for(config, RunDir(folder), has_evaluator=True)
    made = deal_gpus(config, program, there, said.append)
    assert [each.arguments for each in made.processes] == [each.arguments for each in program.processes]
    return told(made), said


def told(program: Program) -> dict[str, dict[str, str | None]]:
    found = {each.id.file_stem: dict(each.environment) for each in program.processes}
    assert all(environment.pop("TF_CONFIG") is None for environment in found.values())
    return {name: each for name, each in found.items() if each != {"CUDA_VISIBLE_DEVICES": ""}}


def on(names: str) -> dict[str, str | None]:
    return {"CUDA_VISIBLE_DEVICES": names}


def test_each_process_that_computes_has_gpus_of_its_own(tmp_path: Path) -> None:
    found, said = dealt(tiny(*WORKERS), ("a", "b", "c", "d", "e", "f"), tmp_path)
    assert found == {"worker-0": on("a,b"), "worker-1": on("c,d"), "worker-2": on("e,f")}
    assert said == []
    found, said = dealt(tiny(*LOCKSTEP), ("a", "b", "c"), tmp_path)
    assert found == {"learner-0": on("a"), "worker-0": on("b")}  # in lockstep all have as many
    assert said == ["2 processes compute gradients on this host's 3 GPUs: 1 each, 1 left over"]


def test_where_there_are_too_few_they_share_and_take_no_more_memory_than_they_need(tmp_path: Path) -> None:
    found, said = dealt(tiny(*WORKERS), ("a", "b"), tmp_path)
    growing = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    assert found == {"worker-0": on("a") | growing, "worker-1": on("b") | growing, "worker-2": on("a") | growing}
    assert said == ["3 processes compute gradients on this host's 2 GPUs: they share them"]


def test_nccl_is_refused_where_processes_would_share_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NCCL allows one process on each"):
        dealt(tiny(*LOCKSTEP, "learner.all_reduce=nccl"), ("a",), tmp_path)


@pytest.mark.parametrize(("overrides", "there"), [(("learner.strategy=mirrored",), ("a", "b")), (WORKERS, ())])
def test_who_computes_alone_sees_all_of_them_and_where_there_are_none_nothing_is_said(
    overrides: tuple[str, ...], there: tuple[str, ...], tmp_path: Path
) -> None:
    found, said = dealt(tiny(*overrides), there, tmp_path)
    assert all(each == {} for each in found.values())
    assert said == []


@pytest.mark.parametrize("verb", ["launch", "host"])
def test_a_supervisor_deals_out_those_of_its_own_host(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Program] = []

    def supervisor(program: Program, *_: object) -> None:
        taken.append(program)
        raise Taken

    monkeypatch.setattr(local_job, "Supervisor", supervisor)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    config, run = tiny(*WORKERS), RunDir(tmp_path)
    view = SimpleNamespace(say=lambda line: None)
    with pytest.raises(Taken):
        if verb == "launch":
            local_job.launch(config, run, view)
        else:
            monkeypatch.setenv(
                "TF_CONFIG",
                json.dumps(
                    {
                        "cluster": {"chief": ["a:1"], "ps": ["b:1"], "worker": ["c:1"]},
                        "task": {"type": "worker", "index": 0},
                    }
                ),
            )
            pools = read_pools(["chief=learner,evaluator", "ps=replay_server,parameter_server", "worker=worker,actor"])
            local_job.launch_share(config, run, view, pools, machines_of_environment())
    assert told(taken[0]) == {"worker-0": on("4"), "worker-1": on("5"), "worker-2": on("6")}
