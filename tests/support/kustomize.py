"""What tests of manifests for Kubernetes share: reading a kustomization, and what holds for every pod."""

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

Object = dict[str, Any]
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


def objects_in(files: Mapping[str, str]) -> list[Object]:
    """Everything that the kustomization names, which is every file."""
    named = yaml.safe_load(files["kustomization.yaml"])["resources"]
    assert sorted([*named, "kustomization.yaml"]) == sorted(files)
    return [each for name in named for each in yaml.safe_load_all(files[name])]


def assert_kubectl_builds(files: Mapping[str, str], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).write_text(content)
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=True)
    built = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)}
    assert built == {(each["kind"], each["metadata"]["name"]): each for each in objects_in(files)}


def assert_schemas_accept(every: Iterable[Object]) -> None:
    """That Kubernetes' own schemas, in which nothing else is allowed, accept objects. Those of a kind go in one list,
    for each call reads megabytes.
    """
    lists: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for each in every:
        lists[each["apiVersion"], each["kind"]].append(each)
    for (version, kind), items in lists.items():
        listed = {"apiVersion": version, "kind": f"{kind}List", "items": items}
        kubernetes_validate.validate(listed, kubernetes_validate.latest_version(), strict=True)


def assert_restricted(pod: Object) -> None:
    """That a pod keeps the Pod Security Standard "restricted"."""
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim"}
    assert all(each.keys() - {"name"} <= allowed for each in pod["volumes"])
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))


def assert_admitted(policy: Object, taking_part: Iterable[Object], reader: dict[str, str]) -> None:
    """That the pods that take part reach every pod of the job, and one that only reads is reached by them alone."""

    def finds(selector: Object, labels: dict[str, str]) -> bool:
        is_found = selector["matchLabels"].items() <= labels.items()
        for each in selector.get("matchExpressions", ()):
            assert each["operator"] == "NotIn"
            is_found &= labels.get(each["key"]) not in each["values"]
        return is_found

    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    pods = [each["template"]["metadata"]["labels"] for each in taking_part]
    assert all(finds(policy["podSelector"], labels) for labels in [*pods, reader])
    assert all(finds(peer["podSelector"], labels) for labels in pods)
    assert not finds(peer["podSelector"], reader)
