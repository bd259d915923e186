"""Addresses: taken apart, free or not, and never one handed to another host that leads that host to itself."""

import os
import signal
import socket
import subprocess
import sys
from collections import deque
from contextlib import ExitStack

import pytest

from tests.support.commands import PROJECT
from tfdqn.errors import ClusterError, ConfigError, UserError
from tfdqn.system import addresses
from tfdqn.system.addresses import (
    check_addresses,
    free_addresses,
    host_and_port,
    is_address,
    is_free,
    is_loopback,
    is_of_this_host,
    is_reached_from_its_host_alone,
    listen,
    require_free,
    require_free_port,
    still_free,
    with_host,
)

LOOPBACK = [
    *("localhost", "LocalHost", "localhost.", "a.localhost", "localhost.localdomain", "ip6-localhost"),
    *("127.0.0.1", "127.0.1.1", "127.1", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"),
]
UNSPECIFIED = ["0.0.0.0", "::", "0"]
OF_OTHERS = ["host-a", "localhost-2", "10.0.0.1", "192.168.127.1", "fd00::1", "fe80::1%eth0", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_known_in_every_form(host: str) -> None:
    assert is_loopback(host) and is_reached_from_its_host_alone(with_host(80, host))


@pytest.mark.parametrize("host", UNSPECIFIED)
def test_the_address_that_means_any_leads_every_host_to_itself(host: str) -> None:
    assert is_reached_from_its_host_alone(with_host(80, host)) and not is_loopback(host)


@pytest.mark.parametrize("host", OF_OTHERS)
def test_a_name_or_address_of_a_host_is_neither(host: str) -> None:
    assert not is_loopback(host) and not is_reached_from_its_host_alone(with_host(80, host))


def test_this_host_s_own_addresses_are_told_from_others() -> None:
    assert is_of_this_host("localhost") and is_of_this_host("127.0.0.1")
    assert is_of_this_host("192.0.2.1") is False  # kept for documentation, nobody's
    assert is_of_this_host("no-such-host.invalid") is None


def test_an_address_is_taken_apart_and_put_together() -> None:
    for host in (*LOOPBACK, *UNSPECIFIED, *OF_OTHERS):
        address = with_host(2222, host)
        assert is_address(address)
        assert host_and_port(address) == (host, 2222)
    assert [is_address(each) for each in ("::1", "::1:80", "a", "a:", ":1", "a:0", "a:65536", 1)] == [False] * 8


@pytest.mark.parametrize("host", ["", "a..b", ".a", "a" * 64, "a\0b"])
def test_what_can_be_no_host_s_name_is_refused_before_the_system_is_asked(host: str) -> None:
    assert not is_address(f"{host}:80")
    with pytest.raises(UserError, match=r"^can't serve at .*: it is neither the name of a host nor an IP address$"):
        listen(host, 0)


@pytest.mark.parametrize("host", [*LOOPBACK, *UNSPECIFIED])
def test_a_process_that_only_its_own_host_reaches_is_refused_among_other_hosts(host: str) -> None:
    named = {"chief 0": "host-a:1", "worker 0": with_host(2, host)}
    with pytest.raises(ConfigError) as caught:
        check_addresses(named, "TF_CONFIG")
    assert str(caught.value) == (
        f"TF_CONFIG: worker 0 is at {with_host(2, host)}, which no other host can reach, and chief 0 is at host-a:1: "
        "each must have the name or address by which the others reach its host"
    )


def test_all_on_one_host_or_all_on_hosts_of_their_own_may_be() -> None:
    check_addresses({"a": "127.0.0.1:1", "b": "localhost:2", "c": "0.0.0.0:3"}, "TF_CONFIG")
    check_addresses({"a": "host-a:1", "b": "10.0.0.1:2", "c": "[fd00::1]:3"}, "TF_CONFIG")
    check_addresses({}, "TF_CONFIG")


def test_free_addresses_differ_and_avoid_those_that_are_held() -> None:
    held = free_addresses(50)
    assert len(set(held)) == 50
    assert not set(free_addresses(200, avoid=held)) & set(held)


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> int:
    """Of three ports, which are all that there are; nobody else gives these out."""
    first = 33_000 + os.getpid() % 20_000
    monkeypatch.setattr(addresses, "PORTS", range(first, first + 3))
    monkeypatch.setattr(addresses, "_new", deque())
    monkeypatch.setattr(addresses, "_given", deque())
    return first


def test_every_free_port_may_be_had_and_no_more(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "is_free", lambda address: address != f"127.0.0.1:{first + 1}")
    monkeypatch.setattr(addresses, "_blocks", {})
    assert sorted(free_addresses(2)) == [f"127.0.0.1:{first}", f"127.0.0.1:{first + 2}"]
    with pytest.raises(ClusterError, match=f"of ports {first} to {first + 2} only 2 are free, not 3"):
        free_addresses(3)


@pytest.mark.parametrize("block_ports", [60, 2, 1])
def test_what_was_given_out_is_given_again_only_after_all_others(
    first: int, block_ports: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_BLOCK_PORTS", block_ports)
    monkeypatch.setattr(addresses, "is_free", lambda address: True)
    monkeypatch.setattr(addresses, "_blocks", {})
    given = [free_addresses(1)[0] for _ in range(6)]
    assert sorted(given[:3]) == [f"127.0.0.1:{first + i}" for i in range(3)]
    assert given[3:] == given[:3]


def test_a_process_leaves_most_ports_to_others(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_BLOCK_PORTS", 1)
    monkeypatch.setattr(addresses, "_MOST_BLOCKS", 2)
    monkeypatch.setattr(addresses, "is_free", lambda address: True)
    monkeypatch.setattr(addresses, "_blocks", {})
    given = [free_addresses(1)[0] for _ in range(4)]
    assert given[:2] == given[2:] and given[0] != given[1]
    assert len(set(free_addresses(3))) == 3  # these are given where no others are left


def test_an_address_that_is_kept_is_given_again_last_of_all(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Together with its neighbours, its block is this process's."""
    monkeypatch.setattr(addresses, "is_free", lambda address: True)
    monkeypatch.setattr(addresses, "_blocks", {})
    every = [f"127.0.0.1:{first + i}" for i in range(3)]
    assert still_free(every[1:2]) == {every[1]}
    assert [free_addresses(1)[0] for _ in range(4)] == [every[0], every[2], every[1], every[0]]
    assert still_free(["127.0.0.1:80", f"host-a:{first}"]) == set()  # never given by `free_addresses`


def test_an_address_is_kept_only_if_it_is_free_and_its_block_no_other_process_has(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_blocks", {})
    given = f"127.0.0.1:{first}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(f"\0tfdqn's ports from {first}")
        assert still_free([given]) == set()
    with socket.socket() as server:
        server.bind(host_and_port(given))
        server.listen()
        assert still_free([given]) == set()
    assert still_free([given]) == {given}


GIVES = f"""
import random, sys
sys.path.insert(0, {str(PROJECT)!r})
from tfdqn.system.addresses import free_addresses
random.seed(7)
print(*free_addresses(100), flush=True)
sys.stdin.read()
"""


def test_two_processes_that_ask_at_the_same_moment_get_addresses_of_their_own() -> None:
    with ExitStack() as stack:

        def given() -> set[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", GIVES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            return set(process.stdout.readline().split())

        both = given(), given()
        child = os.fork()
        if child == 0:
            os._exit(bool(set(free_addresses(100)) & set.union(*both)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [len(each) for each in both] == [100, 100]
    assert not both[0] & both[1]


def test_a_child_that_was_forked_while_a_thread_asks_may_ask_too() -> None:
    with addresses._giving_out:
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(len(free_addresses(1)) != 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_where_others_have_every_block_their_ports_are_shared(first: int) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(f"\0tfdqn's ports from {first}")
        assert len(free_addresses(1)) == 1
        assert not addresses._new and not addresses._given


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_in_use_is_refused_by_its_owner_and_on_every_interface(host: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as other:
        other.bind((host, host_and_port(free_addresses(1)[0])[1]))  # which nobody else is given
        address = with_host(other.getsockname()[1], host)
        assert is_free(address) is False
        other.listen()
        assert not is_free(address)
        for name in (address, f"host-a:{other.getsockname()[1]}"):
            with pytest.raises(ClusterError, match="can't be served: is it in use, or another host's"):
                require_free(name)
            with pytest.raises(ClusterError, match="can't be served: Address already in use"):
                require_free_port(name)
        with pytest.raises(UserError, match=r"^can't serve at [^ ]*, port [0-9]*: Address already in use$"):
            listen(*host_and_port(address))
    for name in (address, address.replace(with_host(0, host)[:-2], "host-a")):
        require_free(name)
        require_free_port(name)
    assert is_free(address)
