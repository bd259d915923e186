"""What tests of manifests for Kubernetes share: reading a kustomization, and what holds for every pod."""

import os
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
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # which is ten times as fast
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


def objects_in(files: Mapping[str, str], overlay: str = "") -> list[Object]:
    """Everything that the kustomization of a folder names, below it, patched as it says.

    Args:
      files: names, with folders, and contents.
      overlay: the folder.
    """
    written = yaml.safe_load(files[str(Path(overlay, "kustomization.yaml"))])
    every = []
    for name in written["resources"]:
        path = os.path.normpath(Path(overlay, name))
        every += list(yaml.load_all(files[path], LOADER)) if path in files else objects_in(files, path)
    for each in written.get("patches", []):
        (target,) = [one for one in every if named(one) == (each["target"]["kind"], each["target"]["name"])]
        patch(target, yaml.safe_load(each["patch"]))
    return every


def named(each: Object) -> tuple[str, str]:
    return each["kind"], each["metadata"]["name"]


def patch(document: Any, operations: list[Object]) -> None:
    """Does, in place, what a JSON patch says (RFC 6902). What is removed or replaced must be there, and what is
    added must not.
    """
    for each in operations:
        *path, last = [part.replace("~1", "/").replace("~0", "~") for part in each["path"].split("/")[1:]]
        inner = document
        for part in path:
            inner = inner[int(part) if isinstance(inner, list) else part]
        if isinstance(inner, list) and (each["op"], last) == ("add", "-"):
            inner.append(each["value"])
            continue
        key: Any = int(last) if isinstance(inner, list) else last
        is_there = 0 <= key < len(inner) if isinstance(inner, list) else key in inner
        assert is_there is (each["op"] != "add"), each
        if each["op"] == "remove":
            del inner[key]
        else:
            assert each["op"] in ("add", "replace") and isinstance(inner, dict | list)
            inner[key] = each["value"]


def assert_kubectl_builds(files: Mapping[str, str], folder: Path, overlay: str = "") -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    command = ["kubectl", "kustomize", str(folder / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    built = {named(each): each for each in yaml.load_all(done.stdout, LOADER)}
    assert built == {named(each): each for each in objects_in(files, overlay)}


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
