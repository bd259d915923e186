"""Addresses: taken apart, and never one handed to another host that leads that host to itself."""

import pytest

from tfdqn.errors import ConfigError
from tfdqn.system.addresses import (
    check_reachable,
    host_and_port,
    is_address,
    is_loopback,
    is_of_this_host,
    is_reached_from_its_host_alone,
    with_host,
)

LOOPBACK = [
    *("localhost", "LocalHost", "localhost.", "a.localhost", "localhost.localdomain", "ip6-localhost"),
    *("127.0.0.1", "127.0.1.1", "127.1", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"),
]
UNSPECIFIED = ["0.0.0.0", "::", "0"]
OF_OTHERS = [
    "host-a",
    "localhost-2",
    "10.0.0.1",
    "192.168.127.1",
    "fd00::1",
    "fe80::1%eth0",
    "::ffff:10.0.0.1",
]


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
    assert [is_address(each) for each in ("::1", "::1:80", "a", "a:", ":1", "a:0", "a:65536", 1)] == [
        False
    ] * 8


@pytest.mark.parametrize("host", [*LOOPBACK, *UNSPECIFIED])
def test_a_process_that_only_its_own_host_reaches_is_refused_among_other_hosts(host: str) -> None:
    named = {"chief 0": "host-a:1", "worker 0": with_host(2, host)}
    with pytest.raises(ConfigError) as caught:
        check_reachable(named, "TF_CONFIG")
    assert str(caught.value) == (
        f"TF_CONFIG: worker 0 is at {with_host(2, host)}, which no other host can reach, and chief 0 is at host-a:1: "
        "each must have the name or address by which the others reach its host"
    )


def test_all_on_one_host_or_all_on_hosts_of_their_own_may_be() -> None:
    check_reachable({"a": "127.0.0.1:1", "b": "localhost:2", "c": "0.0.0.0:3"}, "TF_CONFIG")
    check_reachable({"a": "host-a:1", "b": "10.0.0.1:2", "c": "[fd00::1]:3"}, "TF_CONFIG")
    check_reachable({}, "TF_CONFIG")
