"""Stands in for a container engine: a Compose file's services as processes on hosts made of network namespaces.

Of the file it takes what the job depends on: commands, environments, mounts, users, the read-only root, health, the
order of the start, and restarts; but no image: the process is this project's own `tfdqn`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.commands import PROJECT
from tests.support.network_namespaces import Network

_LOOK_SECONDS = 0.5
# Inside the namespaces of a process: its mounts, then its user. What it must still see is bound before /tmp is covered.
_BEGINNING = """
set -e
mount --bind "$PROJECT" /mnt
case $PYTHON in "$OWN"/*) # which others may not enter
  mount --bind "$PYTHON" /srv && mount -t tmpfs -o mode=755 tmpfs "$OWN"
  mkdir -p "$PYTHON" && mount --bind /srv "$PYTHON" ;;
esac
mount -t tmpfs tmpfs /media && mkdir /media/etc /media/work && cp -r "$ETC/." /media/etc
mount -t overlay overlay -o lowerdir=/etc,upperdir=/media/etc,workdir=/media/work /etc
mount -t tmpfs tmpfs /var/lib
for each in $MOUNTS; do mkdir -p "${each#*:}" && mount --bind "${each%%:*}" "${each#*:}"; done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,bind,ro /
unset PROJECT ETC MOUNTS PYTHON OWN
exec setpriv $PRIVILEGES "$@"
"""


class Service:
    """One service of the file.

    Args:
      name: which is its host's, too.
      given: what the file says of it.
      engine: what all services have in common.
    """

    def __init__(self, name: str, given: dict[str, Any], engine: "Composed"):
        self.name, self.given = name, given
        self.statuses: list[int] = []  # by which its lives have ended
        self.log = engine.folder / f"{name}.log"
        self._engine, self._process = engine, None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def has_succeeded(self) -> bool:
        return not self.is_running and self.statuses[-1:] == [0]

    def start(self) -> None:
        assert self.given["read_only"] is True and self.given["tmpfs"] == ["/tmp:mode=1777"]
        with self.log.open("ab") as log:
            self._process: subprocess.Popen | None = subprocess.Popen(
                [*self._engine.host(self), "sh", "-c", _BEGINNING, "sh", *self._command()],
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def look(self) -> None:
        """Sees whether it has ended, and starts it again as its policy says."""
        if self._process is None or (status := self._process.poll()) is None:
            return
        self._process = None
        self.statuses.append(status)
        assert len(self.statuses) < 10, f"{self.name} ends over and over: {self.log.read_text()}"
        if status != 0:
            assert self._comes_back_after(status), f"{self.name}: {self.log.read_text()}"
            self.start()

    def is_healthy(self) -> bool:
        """By its own check, run where it runs."""
        if self._process is None:
            return False
        kind, *command = self.given["healthcheck"]["test"]
        assert kind == "CMD"
        inside = ("nsenter", "--target", str(self._process.pid), "--mount", "--net")
        return subprocess.run([*inside, *command], env=self._environment(), capture_output=True).returncode == 0

    def stop(self) -> None:
        """As an engine does that takes it away."""
        assert self._process is not None
        self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)

    def _comes_back_after(self, status: int) -> bool:
        restart = self.given["restart"]
        if isinstance(restart, list):  # of the statuses that a Kubernetes Job ignores
            return status in restart
        # As Compose names it; and as Kubeflow's operator does.
        return {"on-failure": True, "ExitCode": status > 127}.get(restart, False)

    def _command(self) -> list[str]:
        return [*self.given["entrypoint"], *self.given["command"]]

    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "PYTHONPATH": "/mnt", **self.given.get("environment", {})}

    def _variables(self) -> dict[str, str]:
        user, _, group = self.given["user"].partition(":")
        kept = ",".join(["-all", *(f"+{each.lower()}" for each in self.given.get("cap_add", []))])
        assert (self.given["cap_drop"], self.given["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        privileges = f"--reuid {user} --regid {group} --clear-groups --no-new-privs --bounding-set {kept}"
        etc = self._engine.folder / f"{self.name}.etc"
        etc.mkdir(exist_ok=True)
        (etc / "hosts").write_text(self._engine.hosts_file)
        for each in self.given.get("configs", []):
            target = etc / Path(each["target"]).relative_to("/etc")
            target.parent.mkdir(exist_ok=True)
            target.write_text(self._engine.files[each["source"]])
        volumes = [each.split(":") for each in self.given.get("volumes", [])]
        mounts = " ".join(f"{self._engine.volumes[name]}:{target}" for name, target in volumes)
        own = {
            "PROJECT": str(PROJECT),
            "PYTHON": sys.base_prefix,
            "OWN": str(Path.home()),
            "ETC": str(etc),
            "MOUNTS": mounts,
            "PRIVILEGES": privileges,
        }
        return {**self._environment(), **own}


class Composed:
    """Made by `composed`.

    Args:
      folder: for logs and volumes.
      document: the Compose file.
      files: what stands beside it, by name.
      network: with a host for each service that is on the job's network.
    """

    def __init__(self, folder: Path, document: Mapping[str, Any], files: Mapping[str, str], network: Network):
        self.folder, self._network = folder, network
        self.files = {name: files[Path(each["file"]).name] for name, each in document["configs"].items()}
        self.volumes = {name: folder / f"{name}.volume" for name in document["volumes"]}
        for path in self.volumes.values():
            path.mkdir()
        self.services = {name: Service(name, each, self) for name, each in replicas(document).items()}
        self.hosts_file = "127.0.0.1 localhost\n" + "".join(
            f"{network.address(name)} {name}\n" for name in hosts_of(document)
        )

    def host(self, service: Service) -> tuple[str, ...]:
        """What stands before a command that is to have the service's network, and mounts of its own."""
        if service.given.get("network_mode") == "none":
            return ("unshare", "--net", "--mount")
        return self._network.command(service.name)

    def until_over(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """`up`: starts all in order and looks after them until everybody has ended well.

        Args:
          meanwhile: called again and again.
        """
        deadline = time.monotonic() + seconds
        waiting = dict(self.services)
        while waiting or any(each.is_running for each in self.services.values()):
            assert time.monotonic() < deadline, self._how_it_stands(waiting)
            for name, service in list(waiting.items()):
                needed = service.given.get("depends_on", {}).items()
                if all(self._holds(other, each["condition"]) for other, each in needed):
                    waiting.pop(name).start()
            for service in self.services.values():
                service.look()
            meanwhile()
            time.sleep(_LOOK_SECONDS)

    def kill(self) -> None:
        for service in self.services.values():
            service.kill()

    def _holds(self, name: str, condition: str) -> bool:
        service = self.services[name]
        return service.has_succeeded if "completed" in condition else service.is_healthy()

    def _how_it_stands(self, waiting: Mapping[str, Service]) -> str:
        logs = "\n".join(
            f"== {each.name}: {each.log.read_text()[-800:]}" for each in self.services.values() if each.log.exists()
        )
        return f"not over; not started yet: {', '.join(waiting) or 'nobody'}\n{logs}"


def replicas(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each container is made from, by its name: of a service with a scale there are several."""
    found = {}
    for name, each in document["services"].items():
        if "profiles" not in each:
            count = each.get("scale")
            found |= {name: each} if count is None else {f"{name}-{i + 1}": each for i in range(count)}
    return found


def hosts_of(document: Mapping[str, Any]) -> list[str]:
    """The containers that have a host on the job's network."""
    return [name for name, each in replicas(document).items() if "job" in each.get("networks", [])]


@contextmanager
def composed(
    folder: Path, document: Mapping[str, Any], files: Mapping[str, str], network: Network
) -> Iterator[Composed]:
    """Services none of which is left when the block has ended."""
    made = Composed(folder, document, files, network)
    try:
        yield made
    finally:
        made.kill()
