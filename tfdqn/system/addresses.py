"""Addresses, "host:port": taken apart in one place, and asked whether another host can reach them."""

import ipaddress
import re
import socket
from collections.abc import Mapping

from tfdqn.errors import ConfigError

LOOPBACK = "127.0.0.1"  # by number, as not every container knows the name `localhost`
# Those of Debian's and Red Hat's /etc/hosts; RFC 6761 adds every name that ends in ".localhost".
_LOOPBACK_NAMES = (
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
)
_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_address(value: object) -> bool:
    """Whether it is "host:port"; an IPv6 address stands in brackets, else its end could be the port."""
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    is_host = bool(host) and (":" not in host or (host[0], host[-1]) == ("[", "]"))
    return is_host and re.fullmatch(r"[0-9]{1,5}", port) is not None and 0 < int(port) < 65536


def host_and_port(address: str) -> tuple[str, int]:
    """("host", port) of "host:port", the host as the system's calls take it: without brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def with_host(port: int, host: str) -> str:
    """ "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether it is the name or the number of loopback, by which every host reaches itself alone."""
    number = _number(host)
    if number is not None:
        return number.is_loopback
    name = host.rstrip(".").lower()
    return name in _LOOPBACK_NAMES or name.endswith(".localhost")


def is_reached_from_its_host_alone(address: str) -> bool:
    """Whether "host:port" leads every host to itself: loopback, or the address that means any (0.0.0.0, ::)."""
    host, _ = host_and_port(address)
    number = _number(host)
    return is_loopback(host) or (number is not None and number.is_unspecified)


def is_of_this_host(host: str) -> bool | None:
    """Whether a name or number leads to an interface of this host; None where nobody knows the name."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return None
    return any(_can_bind(family, place) for family, _, _, _, place in found)


def _can_bind(family: int, place: tuple) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(place)
    except OSError:
        return False
    return True


def check_reachable(named: Mapping[str, str], origin: str) -> None:
    """Raises ConfigError where some processes of a cluster are on other hosts, and can't reach the rest.

    Args:
      named: a process, in words → its "host:port".
      origin: where that is said.
    """
    alone = [name for name, address in named.items() if is_reached_from_its_host_alone(address)]
    others = [name for name in named if name not in alone]
    if alone and others:
        raise ConfigError(
            f"{origin}: {alone[0]} is at {named[alone[0]]}, which no other host can reach, and {others[0]} is at "
            f"{named[others[0]]}: each must have the name or address by which the others reach its host"
        )


def _number(host: str) -> _IpAddress | None:
    """An IP address in any form that the system takes for one ("127.1"); None: it is a name."""
    try:
        (_, _, _, _, place), *_ = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
        number = ipaddress.ip_address(place[0])
    except (OSError, UnicodeError, ValueError):
        return None
    return getattr(number, "ipv4_mapped", None) or number
