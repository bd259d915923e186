"""`tfdqn host`, one machine's share of a job, as a platform meets it: its variables, its signals, its exit statuses."""

import json
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.commands import PROJECT, tfdqn, write_config
from tests.support.job_output import until_at_work
from tests.support.run_files import finished_run
from tests.support.tiny_runs import latest, tiny
from tfdqn.cli import main
from tfdqn.cluster.topology import read_topology
from tfdqn.errors import ConfigError
from tfdqn.launch import local_job
from tfdqn.system.addresses import free_addresses, host_and_port

STAND_IN = str(PROJECT / "tests" / "support" / "fake_role.py")
WITH_STAND_INS = f"""
import functools, sys
from tfdqn.launch import local_job
local_job.Supervisor = functools.partial(local_job.Supervisor, command=(sys.executable, {STAND_IN!r}))
from tfdqn.cli.main import main
sys.exit(main())
"""
MACHINES = {"chief": ["127.0.0.1:20100"], "ps": ["127.0.0.1:20110"], "worker": ["127.0.0.1:20120"]}
POOLS = (
    *("--pool", "chief=learner", "--pool", "ps=parameter_server,replay_server"),
    *("--pool", "worker=worker,actor", "--pool", "evaluator=evaluator"),
)
JOB = ("learner.strategy=parameter_server", "learner.workers=1", "acting.actors=2")


def tf_config(pool: str, machines: dict[str, list[str]] = MACHINES, index: int = 0) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": machines, "task": {"type": pool, "index": index}})}


def a_host(folder: Path, pool: str, *arguments: str, pools: tuple[str, ...] = POOLS):  # type: ignore[no-untyped-def]
    return tfdqn(
        folder,
        *("host", write_config(folder, *JOB), *pools, "--run-dir", "run", *arguments),
        environment={"STAND_INS": str(folder), **tf_config(pool)},
        program=WITH_STAND_INS,
    )


def test_the_learner_s_machine_runs_its_share_and_ends_with_it(tmp_path: Path) -> None:
    with a_host(tmp_path, "chief") as process:
        until_at_work(process, "learner 0")
        (tmp_path / "over").touch()
        assert process.ended() == 0
    assert process.err == ""
    assert [file.stem for file in tmp_path.glob("*.lives")] == ["learner-0"]
    first = process.out.splitlines()[0]
    assert first == (
        "chief-0, one of the job's machines, starts learner 0; "
        "the addresses of all processes are in run/processes/chief-0/cluster.json"
    )
    assert "learner 0 | == learner 0 starts" in process.out
    # `tfdqn inspect` and the like find the learner there.
    assert read_topology(tmp_path / "run" / "cluster.json").chief == "127.0.0.1:20101"


def test_a_misspelt_pool_is_warned_of_before_anything_starts(tmp_path: Path) -> None:
    with a_host(tmp_path, "chief", "--pool", "evalutor=evaluator", pools=POOLS[:-2]) as process:
        until_at_work(process, "learner 0")
        (tmp_path / "over").touch()
        assert process.ended() == 0
    assert process.out.splitlines()[1].startswith("warning: --pool evalutor=evaluator: environment variable TF_CONFIG")


def test_told_to_stop_before_the_job_is_over_all_have_ended_and_its_status_says_start_it_again(tmp_path: Path) -> None:
    with a_host(tmp_path, "worker", "task.num_envs=2") as process:
        until_at_work(process, "worker 0", "actor 0", "actor 1")
        with a_host(tmp_path, "worker") as second:
            assert second.ended() == 2
        assert second.err == (
            f"tfdqn: run/processes/worker-0 is in use by process {process.pid}: wait for it, or end it first\n"
        )
        process.send(signal.SIGTERM)
        assert process.ended() == 128 + signal.SIGTERM
    assert process.err == ""
    assert process.relatives() == []
    assert sorted((tmp_path / "order").read_text().split()) == ["actor-0", "actor-1", "worker-0"]
    assert process.out.splitlines()[-1] == "stopped before the job was over; the same command resumes it"
    folder = tmp_path / "run" / "processes" / "worker-0"
    assert "num_envs = 2" in (folder / "config.toml").read_text()
    assert not (tmp_path / "run" / "cluster.json").exists()


def test_a_process_that_can_t_go_on_ends_the_machine_with_status_2_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "replay_server-0.do").write_text("refuse")
    with a_host(tmp_path, "ps") as process:
        assert process.ended() == 2
    assert process.err == "tfdqn: replay server 0: task.id = 3: no such thing\n"
    assert process.relatives() == []


@pytest.mark.parametrize(
    ("environment", "arguments", "line"),
    [
        ({"TF_CONFIG": ""}, POOLS, "TF_CONFIG or CLUSTER_SPEC must be set: it lists the job's machines"),
        (tf_config("chief"), (), "--pool POOL=ROLE,... is needed for each pool, to say which roles its machines run; "),
        (tf_config("chief"), ("task.id=CartPoel-v1", *POOLS), 'unknown task "CartPoel-v1"; the nearest are CartPole'),
        (tf_config("chief"), POOLS[:2], "replay_server is in no pool"),
        (tf_config("chief"), ("--pool", "chief=cook"), "--pool chief=cook: 'cook' is not a role"),
        (
            tf_config("worker", MACHINES | {"worker": ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]}, index=2),
            POOLS,
            "environment variable TF_CONFIG: there are too many machines: no process is left to run on worker-2",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(
    environment: dict[str, str],
    arguments: tuple[str, ...],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLUSTER_SPEC", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main.main(["host", write_config(tmp_path, *JOB), *arguments, "--run-dir", "run"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"tfdqn: {line}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("override", "is_told"), [("seed=1", True), ("seed=2", False), ("stop.env_steps=9999", False)])
def test_a_finished_run_is_told_again_and_nothing_is_started(
    override: str, is_told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Supervisor:
        def __init__(self, program: object, *_: object):
            raise ConfigError("it is started")

    monkeypatch.setattr(local_job, "Supervisor", Supervisor)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLUSTER_SPEC", raising=False)
    monkeypatch.setenv("TF_CONFIG", tf_config("worker")["TF_CONFIG"])
    finished_run(tmp_path / "run", tiny(*JOB), [5.0], 5.0)
    status = main.main(["host", write_config(tmp_path, *JOB), override, *POOLS, "--run-dir", "run"])
    said = capsys.readouterr()
    if is_told:
        assert (status, said.err) == (0, "")
        assert said.out == "run has finished already: the budget of 1,200 environment steps was reached\n"
    else:  # the learner refuses the seed, and trains on to 9,999 steps
        assert (status, said.err) == (2, "tfdqn: it is started\n")
    assert (tmp_path / "run" / "processes").exists() != is_told


@pytest.mark.long
@pytest.mark.timeout(900)
def test_four_machines_that_know_one_address_each_learn_together_and_all_end_with_0(tmp_path: Path) -> None:
    """All machines are this one; each serves at ports of its own."""
    first = host_and_port(free_addresses(1)[0])[1]
    machines = {pool: [f"127.0.0.1:{first + 10 * i}"] for i, pool in enumerate(MACHINES)}
    config = write_config(tmp_path, *JOB, "health.patience_seconds=300", "learner.updates_per_call=10")
    with ExitStack() as stack:
        processes = {
            pool: stack.enter_context(
                tfdqn(tmp_path, *("host", config, *POOLS, "--run-dir", "run"), environment=tf_config(pool, machines))
            )
            for pool in ("worker", "evaluator", "ps", "chief")
        }
        for process in processes.values():
            assert process.ended_within(400), {pool: each.out for pool, each in processes.items()}
            assert process.ended() == 0, (process.out, process.err)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "finished"
    assert latest(tmp_path / "run").counters.train_steps > 0
    assert (tmp_path / "run" / "evaluations.jsonl").exists()
    assert all(process.err == "" and process.relatives() == [] for process in processes.values())
