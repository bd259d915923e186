"""A cluster and a configuration that don't fit: refused before TensorFlow's import, and before any directory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import PROJECT, write_config
from tests.support.tiny_runs import tiny
from tfdqn.cluster.checks import cluster_for, cluster_keys, cluster_overrides, doubt, given_keys
from tfdqn.cluster.tf_config import Cluster
from tfdqn.errors import ConfigError
from tfdqn.training.call import train

MEMBERS = ("ensemble.size=3", "ensemble.execution=processes")


def cluster(job: str = "worker", index: int = 0, **counts: int) -> Cluster:
    """cluster(worker=2): worker 0 of two."""
    ports = iter(range(1, 100))
    jobs = {each: tuple(f"a:{next(ports)}" for _ in range(count)) for each, count in counts.items()}
    return Cluster(jobs=jobs, job=job, index=index)


@pytest.mark.parametrize(
    ("overrides", "counts", "why"),
    [
        (
            (),
            {"worker": 2},
            'learner.strategy = "local" trains in one process, and TF_CONFIG names 2 worker: choose multi_worker, '
            "parameter_server or averaging, or unset TF_CONFIG",
        ),
        (("learner.strategy=mirrored",), {"ps": 1}, 'learner.strategy = "mirrored" trains in one process'),
        (
            ("learner.strategy=parameter_server",),
            {"worker": 2},
            'learner.strategy = "parameter_server" needs a chief, a worker and a ps; TF_CONFIG names 2 worker: '
            "chief and ps is missing",
        ),
        (
            ("learner.strategy=multi_worker",),
            {"worker": 1, "ps": 1},
            'learner.strategy = "multi_worker" has no use for a ps; TF_CONFIG names 1 worker, 1 ps',
        ),
        (
            MEMBERS,
            {"worker": 2},
            'ensemble.execution = "processes" needs a worker for each of ensemble.size = 3, and no other; '
            "TF_CONFIG names 2 worker",
        ),
    ],
)
def test_a_cluster_that_the_strategy_cannot_use_is_refused(
    overrides: tuple[str, ...], counts: dict[str, int], why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        cluster_for(tiny(*overrides), cluster(**counts))
    assert str(caught.value).startswith(why)


def test_a_process_that_is_alone_is_no_cluster() -> None:
    assert cluster_for(tiny(), None) is None
    assert cluster_for(tiny(), cluster(worker=1)) is None
    assert cluster_keys(None) == cluster_keys(cluster(worker=1)) == {}


def test_a_cluster_says_how_many_processes_learn() -> None:
    assert cluster_keys(cluster(worker=3)) == {"learner.workers": 3}
    assert cluster_keys(cluster(chief=1, worker=3)) == {"learner.workers": 4}
    assert cluster_keys(cluster(chief=1, worker=3, ps=2)) == {"learner.workers": 3, "learner.parameter_servers": 2}
    assert cluster_overrides(cluster(worker=3, chief=1, ps=2)) == ["learner.workers=3", "learner.parameter_servers=2"]


def test_what_a_cluster_decides_is_no_mistake_of_the_users() -> None:
    keys = {"learner.workers": "a", "agent.huber_delta": "b"}
    assert given_keys(keys, None) == keys
    assert given_keys(keys, cluster(worker=3)) == {"agent.huber_delta": "b"}


@pytest.fixture
def of_three_workers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The variable is set for worker 1 of three; tells who took part, and with how many."""
    monkeypatch.setenv("TF_CONFIG", cluster(index=1, worker=3).tf_config())
    taken: list[str] = []
    monkeypatch.setattr(
        "tfdqn.roles.entry.serve_chief",
        lambda config, cluster, say: taken.append(f"{cluster.name} of {config.learner.workers}"),
    )
    return taken


def test_the_batch_is_divided_among_the_clusters_processes_and_not_the_files(
    tmp_path: Path, of_three_workers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from tfdqn.cli import main

    even, odd = ("learner.batch_size=60", "learner.updates_per_call=6"), "learner.batch_size=64"
    write_config(tmp_path, "learner.strategy=multi_worker", *even)
    assert main.main(["train", f"{tmp_path}/tiny.toml"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "learner.workers" in line]
    unused = "learner.workers = 2 in the configuration is not used"
    assert said == [f"warning: TF_CONFIG means learner.workers=3: {unused}"]
    assert main.main(["train", f"{tmp_path}/tiny.toml", "learner.workers=3", odd]) == 2
    assert "divided evenly among the 3 parts of" in capsys.readouterr().err
    # Two can't share it, and the file names two.
    assert main.main(["train", f"{tmp_path}/tiny.toml", "replay.block_size=1", "learner.batch_size=63"]) == 0
    assert of_three_workers == ["worker 1 of 3"] * 2


def test_a_count_on_the_command_line_that_contradicts_the_cluster_is_refused(
    tmp_path: Path, of_three_workers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from tfdqn.cli import main

    write_config(tmp_path, "learner.strategy=multi_worker", "learner.batch_size=60", "learner.updates_per_call=6")
    assert main.main(["train", f"{tmp_path}/tiny.toml", "learner.workers=4"]) == 2
    said = "TF_CONFIG means learner.workers=3, and learner.workers=4 is given, too: leave one of the two out"
    assert capsys.readouterr().err == f"tfdqn: {said}\n"
    assert of_three_workers == []


@pytest.mark.parametrize(
    ("variable", "overrides", "why"),
    [
        ("{", (), "environment variable TF_CONFIG: it is not JSON"),
        (cluster(worker=2).tf_config(), (), 'learner.strategy = "local" trains in one process'),
        (cluster(index=1, worker=2).tf_config(), (), 'learner.strategy = "local" trains in one process'),
        (
            cluster(worker=3).tf_config(),
            ("learner.strategy=multi_worker", "learner.updates_per_call=6"),
            "TF_CONFIG (learner.workers) and tiny.toml: learner.batch_size = 16 can't be divided evenly",
        ),
    ],
)
def test_the_command_refuses_before_tensorflow_and_any_directory(
    tmp_path: Path, variable: str, overrides: tuple[str, ...], why: str
) -> None:
    write_config(tmp_path, *overrides)
    probe = (
        "import sys; from tfdqn.cli.main import main; status = main(['train', 'tiny.toml']); "
        "print(status, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT), "TF_CONFIG": variable},
    )
    assert done.stdout == "2 False\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tfdqn: {why}")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


@pytest.mark.parametrize(
    ("variable", "overrides", "why"),
    [
        (json.dumps({"cluster": [1]}), (), "environment variable TF_CONFIG"),
        (cluster(worker=2).tf_config(), (), 'learner.strategy = "local" trains in one process'),
        (
            cluster(index=1, worker=2).tf_config(),
            ("learner.strategy=multi_worker",),
            "TF_CONFIG makes this process worker 1, which takes part by `tfdqn train`",
        ),
        ("", ("learner.strategy=mirrored", "learner.all_reduce=nccl"), 'learner.all_reduce = "nccl" needs GPUs'),
        (
            "",
            ("learner.model_parallel=2",),
            "learner.model_parallel = 2 needs so many devices, or a multiple of them; there are 1: CPU:0",
        ),
        (
            cluster(worker=3).tf_config(),
            ("learner.strategy=multi_worker", "learner.updates_per_call=6"),
            "TF_CONFIG (learner.workers) and configuration: learner.batch_size = 16 can't be divided evenly",
        ),
    ],
)
def test_the_call_refuses_before_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, overrides: tuple[str, ...], why: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", variable)
    with pytest.raises(ConfigError) as caught:
        train(tiny(*overrides), tmp_path / "run")
    assert str(caught.value).startswith(why)
    assert not list(tmp_path.iterdir())


def test_fewer_gpus_than_asked_for_are_refused_where_gradients_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfdqn.learning.devices import learning_devices
    from tfdqn.roles.parameter_server import serve_device

    monkeypatch.setattr("tfdqn.learning.devices.tf.config.list_physical_devices", lambda kind: ["a GPU"])
    assert learning_devices(tiny("learner.min_gpus=1")) == ["GPU:0"]
    with pytest.raises(ConfigError, match=r"learner.min_gpus = 2: TensorFlow finds 1 here"):
        learning_devices(tiny("learner.min_gpus=2"))
    asynchronous = tiny("learner.min_gpus=2", "learner.strategy=parameter_server")
    assert learning_devices(asynchronous) == ["GPU:0"]  # of the learner, which leaves it to the workers
    worker = Cluster(jobs={"chief": ("a:1",), "worker": ("b:1",), "ps": ("c:1",)}, job="worker", index=0)
    with pytest.raises(ConfigError, match=r"learner.min_gpus = 2"):
        serve_device(worker, asynchronous.learner)


def test_a_batch_that_the_gpus_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfdqn.learning.devices import learning_devices

    monkeypatch.setattr("tfdqn.learning.devices.tf.config.list_physical_devices", lambda kind: ["a GPU"] * 3)
    with pytest.raises(ConfigError) as caught:
        learning_devices(tiny("learner.strategy=mirrored"))
    assert str(caught.value) == (
        "learner.batch_size = 16 can't be divided evenly among 3 replicas, on GPU:0, GPU:1, GPU:2"
    )
    with pytest.raises(ConfigError, match=r"= 16 can't be .* learner.workers = 2 with 3 replicas each"):
        learning_devices(tiny("learner.strategy=multi_worker"))
    with pytest.raises(ConfigError, match=r"learner.model_parallel = 2 needs .* there are 3: GPU:0, GPU:1, GPU:2"):
        learning_devices(tiny("learner.strategy=mirrored", "learner.model_parallel=2"))
    monkeypatch.setattr("tfdqn.learning.devices.tf.config.list_physical_devices", lambda kind: [])
    with pytest.raises(ConfigError, match='"averaging" needs two replicas at least'):
        learning_devices(
            tiny("learner.strategy=averaging", "learner.workers=1", "learner.averaging_period_train_steps=5")
        )


@pytest.mark.parametrize(("own", "is_doubted"), [("127.0.0.1", False), ("192.0.2.1", True), ("a.invalid", False)])
def test_a_task_that_was_copied_from_another_host_is_doubted_in_one_line(own: str, is_doubted: bool) -> None:
    cluster = Cluster(jobs={"worker": ("192.0.2.7:1", f"{own}:2")}, job="worker", index=1)
    line = doubt(cluster)
    assert (line is not None) == is_doubted
    if line is not None:
        assert line.startswith("TF_CONFIG makes this process worker 1, at 192.0.2.1:2, but this host has no such")
