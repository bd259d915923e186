"""Hosts for tests: network namespaces on a bridge in one more, so that the machine's own network is left alone."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_IP = shutil.which("ip", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or ""
_BRIDGE = "bridge0"


class Network:
    """Made by `network`.

    Args:
      names: of the hosts; each has an address of its own.
    """

    def __init__(self, names: Sequence[str]):
        self._names = list(names)
        self._bridge = self._namespace("bridge")

    def address(self, host: str) -> str:
        """Which only the other hosts can reach."""
        return f"10.77.0.{self._number(host)}"

    def address_v6(self, host: str) -> str:
        """The same in IPv6, without brackets."""
        return f"fd77::{self._number(host):x}"

    def command(self, host: str) -> tuple[str, ...]:
        """What stands before a command that is to run on a host; the process is the command's own."""
        return (_IP, "netns", "exec", self._namespace(host))

    def command_with_names(self, host: str, file: Path) -> tuple[str, ...]:
        """The same where every host is known by its name; `file` is written for it.

        `ip netns exec` gives each command a view of the disks of its own, in which alone this is /etc/hosts.
        """
        lines = [f"{self.address(name)} {name}\n" for name in self._names]
        file.write_text("".join(["127.0.0.1 localhost\n", *lines]))
        return (*self.command(host), "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(file))

    def cut(self, host: str) -> None:
        """Whatever is sent to it or by it is lost, and nobody is told."""
        self._in_bridge("link", "set", self._port(host), "down")

    def mend(self, host: str) -> None:
        self._in_bridge("link", "set", self._port(host), "up")

    def lose(self, host: str) -> None:
        """Its power goes: connections are forgotten there, and nobody is told. Its processes have been killed."""
        self._in_bridge("link", "delete", self._port(host))
        _ip("netns", "delete", self._namespace(host))

    def begin(self, host: str) -> None:
        """Joins a host to the network, for the first time or after its loss."""
        namespace, number = self._namespace(host), self._number(host)
        _ip("netns", "add", namespace)
        mac = f"02:00:00:00:00:{number:02x}"  # the same after a loss, as a machine's is
        peer = ("peer", "name", "eth0", "address", mac, "netns", namespace)
        self._in_bridge("link", "add", self._port(host), "type", "veth", *peer)
        self._in_bridge("link", "set", self._port(host), "master", _BRIDGE, "up")
        _ip("-n", namespace, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        _ip("-n", namespace, "address", "add", f"{self.address_v6(host)}/64", "dev", "eth0", "nodad")
        for device in ("lo", "eth0"):
            _ip("-n", namespace, "link", "set", device, "up")

    def make(self) -> None:
        _ip("netns", "add", self._bridge)
        self._in_bridge("link", "add", _BRIDGE, "type", "bridge")
        self._in_bridge("link", "set", _BRIDGE, "up")
        for name in self._names:
            self.begin(name)

    def remove(self) -> None:
        """All that there is of it."""
        for namespace in [*map(self._namespace, self._names), self._bridge]:
            subprocess.run([_IP, "netns", "delete", namespace], capture_output=True, check=False)

    def _namespace(self, host: str) -> str:
        return f"tfdqn-{os.getpid()}-{host}"

    def _number(self, host: str) -> int:
        return self._names.index(host) + 1

    def _port(self, host: str) -> str:
        return f"port{self._number(host)}"

    def _in_bridge(self, *arguments: str) -> None:
        _ip("-n", self._bridge, *arguments)


@contextmanager
def network(names: Sequence[str]) -> Iterator[Network]:
    """Hosts that are there while the block runs; skips the test where they can't be made."""
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    if not _IP:
        pytest.skip("there is no `ip` (Debian's iproute2) to make network namespaces with")
    made = Network(names)
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces can't be made here: {error.stderr.decode().strip()}")
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    subprocess.run([_IP, *arguments], capture_output=True, check=True, timeout=30)
