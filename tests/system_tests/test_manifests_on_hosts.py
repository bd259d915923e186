"""The manifests for real: what they say, and nothing else, makes a job on hosts with addresses of their own learn.

Only root can make such hosts; elsewhere these tests are skipped.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import PROJECT
from tests.support.containers import Service, composed, hosts_of
from tests.support.jobset import pods_of
from tests.support.kustomize import objects_in
from tests.support.network_namespaces import Network, network
from tests.support.rendered_manifests import below_init, tf_config
from tests.support.tiny_runs import latest, tiny
from tfdqn.launch.manifests.job_spec import JobSpec
from tfdqn.launch.manifests.platforms import Platform
from tfdqn.launch.manifests.render import render

# Plays each task of a component on that task's node, which is a host with a name of its own.
SRUN = """#!/bin/bash
group=${1#--het-group=} tasks=${2#--ntasks=}
shift 2
while [[ $1 == --cpus-per-task=* || $1 == --kill-on-bad-exit=1 ]]; do shift; done
if [[ $1 == --label ]]; then
  shift
  for ((i = tasks - 1; i >= 0; i--)); do "$STAND_INS/on-node" "node-$group-$i" "$@" | sed "s/^/$i: /"; done
  exit
fi
pids=()
for ((i = 0; i < tasks; i++)); do SLURM_PROCID=$i "$STAND_INS/on-node" "node-$group-$i" "$@" & pids+=($!); done
worst=0
for pid in "${pids[@]}"; do wait "$pid" || worst=$?; done
exit $worst
"""
ON_NODE = """#!/bin/bash
exec ip netns exec "$(awk -v name="$1" '$1 == name { print $2 }' "$STAND_INS/namespaces")" unshare --uts --mount \
  bash -c 'mount --bind "$STAND_INS/hosts" /etc/hosts && hostname "$0" && exec "$@"' "$@"
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
PATIENCE_SECONDS = 900.0
CHANGES = (
    *("learner.strategy=parameter_server", "learner.workers=1", "acting.actors=2", "stop.env_steps=4000"),
    *("evaluation.interval_env_steps=500", "health.patience_seconds=300"),
)
CONFIG = tiny(*CHANGES)


def as_service(name: str, pod: dict[str, Any], configs: Iterable[str], **more: Any) -> dict[str, Any]:
    """A pod as a service of a Compose file.

    Args:
      configs: the files of the job's ConfigMap.
      more: of the service: variables besides the pod's own, and how it comes back.
    """
    (container,) = pod["containers"]
    program = below_init(container["command"])
    variables = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    is_claimed = any("persistentVolumeClaim" in each for each in pod["volumes"])
    return more | {
        "entrypoint": program[:1],
        "command": program[1:],
        "environment": variables | more.get("environment", {}),
        "configs": [{"source": each, "target": f"/etc/tfdqn/{each}"} for each in configs],
        "volumes": [f"{'run' if is_claimed else name}:/var/lib/tfdqn"],
        "networks": ["job"],
        "user": "{runAsUser}:{runAsGroup}".format(**pod["securityContext"]),
        "read_only": container["securityContext"]["readOnlyRootFilesystem"],
        "cap_drop": container["securityContext"]["capabilities"]["drop"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": ["/tmp:mode=1777"],
    }


def as_document(services: dict[str, Any], configs: Iterable[str]) -> dict[str, Any]:
    return {
        "services": services,
        "configs": {each: {"file": each} for each in configs},
        "volumes": {"run": {}} | {name: {} for name in services},
    }


def pods_of_tfjob(files: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Told by the operator where the others are: as a Compose file and what stands beside it."""
    every = {each["kind"]: each for each in objects_in(files)}
    configs = every["ConfigMap"]["data"]
    services = {}
    for kind, replica in every["TFJob"]["spec"]["tfReplicaSpecs"].items():
        for index in range(replica["replicas"]):
            name = f"tiny-{kind.lower()}-{index}.team.svc"
            told = {"TF_CONFIG": tf_config(every, kind, index, "tiny")}
            pod = replica["template"]["spec"]
            services[name] = as_service(name, pod, configs, environment=told, restart=replica["restartPolicy"])
    return as_document(services, configs), configs


def pods_of_kubernetes(files: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Those that the Jobs and StatefulSets make, likewise.

    A StatefulSet's pod comes back after status 0, too, to wait for another learner: that is left out.
    """
    every = objects_in(files)
    (configs,) = [each["data"] for each in every if each["kind"] == "ConfigMap"]
    services = {}
    for each in every:
        if each["kind"] not in ("Job", "StatefulSet"):
            continue
        spec, role = each["spec"], each["metadata"]["name"]
        rules = spec.get("podFailurePolicy", {"rules": []})["rules"]
        ignored = [
            status
            for rule in rules
            if rule["action"] == "Ignore"
            for status in rule.get("onExitCodes", {"values": []})["values"]
        ]
        restart = "on-failure" if each["kind"] == "StatefulSet" else ignored
        for index in range(spec.get("replicas", spec.get("completions"))):
            name = f"{role}-{index}.{role}"
            service = as_service(name, spec["template"]["spec"], configs, restart=restart)
            service["command"] = [word.replace("$(INDEX)", str(index)) for word in service["command"]]
            services[name] = service
    return as_document(services, configs), configs


def pods_of_jobset(files: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Those that the JobSet's Jobs make, likewise."""
    every = {each["kind"]: each for each in objects_in(files)}
    configs = every["ConfigMap"]["data"]
    services = {}
    for host, index, pod in pods_of(every["JobSet"]):
        ignored = [75, 143]  # as `tests/launch/manifests/test_jobset.py` has each Job do
        services[host] = as_service(host, pod, configs, restart=ignored)
        services[host]["command"] = [word.replace("$(INDEX)", str(index)) for word in services[host]["command"]]
    return as_document(services, configs), configs


def nodes_of(script: str) -> list[str]:
    """A node for each task of each component, as the script asks for them."""
    tasks = re.findall(r"^tasks\[(\d+)\]='--ntasks=(\d+) ", script, flags=re.MULTILINE)
    return [f"node-{group}-{i}" for group, count in tasks for i in range(int(count))]


def write_stand_ins(folder: Path, nodes: list[str], hosts: Network) -> None:
    """Slurm's commands, and `tfdqn` as every node has it on its path."""
    programs = {
        "srun": SRUN,
        "on-node": ON_NODE,
        "scancel": "#!/bin/sh\nexit 1\n",  # nobody is to be stopped
        "tfdqn": f"""#!/bin/sh
echo "$*" >>"$STAND_INS/commands"
PYTHONPATH={PROJECT} exec {sys.executable} -m tfdqn "$@"
""",
    }
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "namespaces").write_text("".join(f"{node} {hosts.command(node)[3]}\n" for node in nodes))
    addresses = "".join(f"{hosts.address(node)} {node}\n" for node in nodes)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{addresses}")


def assert_learned(run: Path) -> None:
    """A run that has come to its end: steps, updates, evaluations, and the best policy's export."""
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"
    counters = latest(run).counters
    assert counters.env_steps >= CONFIG.stop.env_steps
    assert counters.train_steps > 0
    assert (run / "evaluations.jsonl").read_text().count("\n") >= 1  # on a busy machine it learns meanwhile
    assert list((run / "exports").glob("[0-9]*/saved_model.pb"))


def test_the_compose_file_s_services_learn_each_on_a_host_of_its_own(tmp_path: Path) -> None:
    files = render(Platform.COMPOSE, JobSpec(name="tiny", config=CONFIG, image="tfdqn:test"))
    document = yaml.safe_load(files["compose.yaml"])
    with network(hosts_of(document)) as hosts, composed(tmp_path, document, files, hosts) as job:
        job.until_over(PATIENCE_SECONDS)
        assert {name: each.statuses for name, each in job.services.items()} == {name: [0] for name in job.services}
        assert len(job.services) == 8
        said = [re.findall(r"^this is (.*)$", job.services[f"actor-{i}"].log.read_text(), re.M) for i in (1, 2)]
        assert sorted(said) == [["actor 0"], ["actor 1"]]
        run = job.volumes["run"] / "run"
        assert_learned(run)
        assert {(each.stat().st_uid, each.stat().st_gid) for each in run.rglob("*")} == {(10001, 10001)}


def test_the_tfjob_s_pods_learn_each_on_a_host_of_its_own_and_one_that_is_evicted_comes_back(tmp_path: Path) -> None:
    document, files = pods_of_tfjob(render(Platform.TFJOB, JobSpec(name="tiny", config=CONFIG, image="tfdqn:test")))
    statuses = evicted_once(tmp_path, document, files, "tiny-worker-0.team.svc", r"^actors? .*: acting$")
    assert statuses.pop("tiny-worker-0.team.svc") == [143, 0]
    assert list(statuses.values()) == [[0]] * 3


def test_the_pods_learn_each_on_a_host_of_its_own_and_a_learner_that_is_evicted_comes_back(tmp_path: Path) -> None:
    config = tiny(*CHANGES, "logging.tensorboard=false", "stop.env_steps=20000")
    document, files = pods_of_kubernetes(
        render(Platform.KUBERNETES, JobSpec(name="tiny", config=config, image="tfdqn:test"))
    )
    statuses = evicted_once(tmp_path, document, files, "tiny-learner-0.tiny-learner", r"^learning: ")
    assert len(statuses) == 7
    assert statuses["tiny-learner-0.tiny-learner"] == [143, 0]
    assert all(each[-1] == 0 and set(each) <= {0, 75} for name, each in statuses.items() if "learner" not in name)
    assert "resumed at" in (tmp_path / "tiny-learner-0.tiny-learner.log").read_text()


def test_the_jobset_s_pods_learn_each_on_a_host_of_its_own_and_an_evicted_replay_server_keeps_what_it_held(
    tmp_path: Path,
) -> None:
    config = tiny(*CHANGES, "logging.tensorboard=false", "stop.env_steps=20000")
    document, files = pods_of_jobset(render(Platform.JOBSET, JobSpec(name="tiny", config=config, image="tfdqn:test")))
    evicted = "tiny-replay-server-0-0.tiny"
    statuses = evicted_once(tmp_path, document, files, evicted, r"^learning: ", watched="tiny-learner-0-0.tiny")
    assert len(statuses) == 7
    assert statuses[evicted] == [143, 0]
    assert all(each[-1] == 0 and set(each) <= {0, 75} for name, each in statuses.items() if name != evicted)
    log = (tmp_path / f"{evicted}.log").read_text()
    (saved,) = re.findall(r"replay server 0: saved ([\d,]+) transitions", log)
    assert f"replay server 0: restored {saved} transitions" in log


def evicted_once(
    folder: Path, document: dict[str, Any], files: Mapping[str, str], name: str, at_work: str, watched: str = ""
) -> dict[str, list[int]]:
    """Runs pods until the job has been learned; one is told to go when its log, or that of the pod that is watched,
    has said that it is at work.

    Returns the statuses with which each has ended.
    """
    with network(list(document["services"])) as hosts, composed(folder, document, files, hosts) as job:
        for volume in job.volumes.values():
            os.chown(volume, 10001, 10001)  # as Kubernetes does by fsGroup
        pod, at_it, evicted = job.services[name], job.services[watched or name], list[Service]()

        def evict() -> None:
            if not evicted and re.search(at_work, at_it.log.read_text(), re.M):
                evicted.append(pod)
                pod.stop()

        job.until_over(PATIENCE_SECONDS, evict)
        assert_learned(job.volumes["run"] / "run")
        return {name: each.statuses for name, each in job.services.items()}


def test_the_batch_script_s_tasks_learn_each_on_a_node_of_its_own(tmp_path: Path) -> None:
    script = render(Platform.SLURM, JobSpec(name="tiny", config=CONFIG, image=""))["job.sbatch"]
    (tmp_path / "job.sbatch").write_text(script)
    nodes = nodes_of(script)
    assert len(nodes) == 7
    with network(nodes) as hosts:
        stand_ins = tmp_path / "stand-ins"
        stand_ins.mkdir()
        write_stand_ins(stand_ins, nodes, hosts)
        environment = {
            "PATH": f"{stand_ins}:/usr/sbin:{os.environ['PATH']}",
            "STAND_INS": str(stand_ins),
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_SUBMIT_DIR": str(tmp_path),
        }
        with (tmp_path / "log").open("wb") as log:
            job = subprocess.Popen(
                ["bash", str(tmp_path / "job.sbatch")],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            status = job.wait(PATIENCE_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)
        assert status == 0, (tmp_path / "log").read_text()[-4000:]
    assert_learned(tmp_path / "runs" / "tiny")
    commands = [line.split() for line in (stand_ins / "commands").read_text().splitlines()]
    started = [(words[1], words[words.index("--index") + 1]) for words in commands]
    assert sorted(started) == [
        *(("actor", "0"), ("actor", "1"), ("evaluator", "0"), ("learner", "0")),
        *(("parameter_server", "0"), ("replay_server", "0"), ("worker", "0")),
    ]
    cluster = json.loads((tmp_path / "runs" / f"tiny-job-{os.getpid()}" / "cluster.json").read_text())
    named = [address for each in cluster.values() if isinstance(each, list) for address in each]
    assert {address.partition(":")[0] for address in named} < set(nodes)
    assert len(named) == 5
