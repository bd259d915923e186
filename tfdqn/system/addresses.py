"""Addresses "host:port": their parts, whether other hosts can reach them, and whether they are free on this host."""

import errno
import ipaddress
import os
import random
import re
import socket
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Literal

from tfdqn.errors import ClusterError, ConfigError, UserError

LOOPBACK, LOOPBACK_V6 = "127.0.0.1", "::1"  # by number, as not every container knows the name `localhost`
# Below the range that systems use for outgoing connections, so that a restarted process finds its port free.
PORTS = range(20_000, 32_000)
# Two processes that ask at the same moment would find the same ports free: each gives out those of blocks of its own.
_BLOCK_PORTS = 60
_MOST_BLOCKS = 10  # of one process: the others are left to other processes
_giving_out = threading.Lock()
_blocks: dict[int, socket.socket] = {}  # what holds a block, by its first port
_new: deque[int] = deque()  # the ports of these blocks that were not given out yet
_given: deque[int] = deque()  # those that were, the first of them first
CANT_SERVE = "{} can't be served: is it in use, or another host's?"
# As in Debian's and Red Hat's /etc/hosts; RFC 6761 adds every name that ends in ".localhost".
_LOOPBACK_NAMES = ("localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback")
_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_address(value: object) -> bool:
    """Whether a value is "host:port". An IPv6 address must be in brackets: its end could be taken for the port."""
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    is_host = _can_be_looked_up(host) and (":" not in host or (host[0], host[-1]) == ("[", "]"))
    return is_host and re.fullmatch(r"[0-9]{1,5}", port) is not None and 0 < int(port) < 65536


def _can_be_looked_up(host: str) -> bool:
    """Whether a host has the form of a name or IP address: system calls raise UnicodeError or ValueError for others."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return bool(host) and host.isprintable()


def host_and_port(address: str) -> tuple[str, int]:
    """Splits "host:port"; the host is returned without brackets, as system calls take it."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def with_host(port: int, host: str) -> str:
    """Joins a host and a port to "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a name or IP address is loopback's, by which every host only reaches itself."""
    number = _number(host)
    if number is not None:
        return number.is_loopback
    name = host.rstrip(".").lower()
    return name in _LOOPBACK_NAMES or name.endswith(".localhost")


def is_reached_from_its_host_alone(address: str) -> bool:
    """Whether "host:port" leads every host to itself: loopback, or the wildcard address (0.0.0.0, ::)."""
    host, _ = host_and_port(address)
    return is_loopback(host) or bool(wildcard_family(host))


def wildcard_family(host: str) -> Literal["IPv4", "IPv6", ""]:
    """Of which kind are all the addresses that this one stands for (0.0.0.0, ::); empty: it stands for itself."""
    number = _number(host)
    if number is None or not number.is_unspecified:
        return ""
    return "IPv4" if number.version == 4 else "IPv6"


def is_of_this_host(host: str) -> bool | None:
    """Whether a name or IP address is that of an interface of this host; None if the name can't be resolved."""
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


def check_addresses(named: Mapping[str, str], origin: str) -> None:
    """Raises ConfigError if two processes of a cluster have the same address, or can't reach one another.

    Args:
      named: "host:port" by the process's name.
      origin: where the addresses come from; error messages begin with it.
    """
    refuse_shared(named, origin)
    alone = [name for name, address in named.items() if is_reached_from_its_host_alone(address)]
    others = [name for name in named if name not in alone]
    if alone and others:
        raise ConfigError(
            f"{origin}: {alone[0]} is at {named[alone[0]]}, which no other host can reach, and {others[0]} is at "
            f"{named[others[0]]}: each must have the name or address by which the others reach its host"
        )


def refuse_shared(named: Mapping[str, str], origin: str) -> None:
    """Raises ConfigError, which begins with `origin`, if two of these processes or machines have the same address."""
    first: dict[str, str] = {}
    for name, address in named.items():
        if (other := first.setdefault(address, name)) != name:
            raise ConfigError(f"{origin}: {other} and {name} have the same address: {address}")


def free_addresses(count: int, avoid: Collection[str] = ()) -> list[str]:
    """Free addresses on loopback, none of `avoid`, which no other process is given meanwhile, used or not.

    Raises ClusterError if there are too few.
    """
    with _giving_out:
        addresses = (with_host(port, LOOPBACK) for port in _own_ports())
        found = list(islice((each for each in addresses if each not in avoid and is_free(each)), count))
    if len(found) < count:
        raise ClusterError(f"of ports {PORTS.start} to {PORTS[-1]} only {len(found)} are free, not {count}")
    return found


def still_free(given: Collection[str]) -> set[str]:
    """Those of addresses that `free_addresses` has given, perhaps another process, which it could give this one now.

    No other process is given them, or keeps them, meanwhile.
    """
    with _giving_out:
        return {each for each in given if _take(each) and is_free(each)}


def _take(address: str) -> bool:
    """Takes for this process the block of an address's port, which then counts as given out; False if it can't be."""
    host, port = host_and_port(address)
    if host != LOOPBACK or port not in PORTS:
        return False
    place = PORTS.index(port)
    block = PORTS[place - place % _BLOCK_PORTS :][:_BLOCK_PORTS]
    if block.start not in _blocks:
        if not _hold(block.start):
            return False
        _new.extend(block)
    if port in _new:
        _new.remove(port)
        _given.append(port)
    return True


def _own_ports() -> Iterator[int]:
    """Every port: this process's that were not given out yet, those that were, the first of them first, and the others.

    A port is given out again as late as possible, since a client that is still there may ask its address for another
    server, and gRPC makes the clients of an address in one process wait together before they try it again.
    """
    blocks = [PORTS[i : i + _BLOCK_PORTS] for i in range(0, len(PORTS), _BLOCK_PORTS)]
    random.shuffle(blocks)
    again = len(_given)
    while True:
        while _new:
            _given.append(_new.popleft())
            yield _given[-1]
        has_all = len(_blocks) >= _MOST_BLOCKS
        block = next((each for each in blocks if not has_all and each.start not in _blocks and _hold(each.start)), None)
        if block is None:
            break
        _new.extend(block)
    for _ in range(again):
        _given.rotate(-1)
        yield _given[-1]
    yield from (port for block in blocks if block.start not in _blocks for port in block)  # those of other processes


def _hold(first_port: int) -> bool:
    """Takes a block for this process until it ends; False if another process has it.

    By a name that belongs, as ports do, to the network namespace, and which the kernel frees when its process dies.
    """
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0tfdqn's ports from {first_port}")
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRINUSE:
            return False
    _blocks[first_port] = holder  # also where the system knows no such names
    return True


def _forget_ports() -> None:
    """In a forked child: its parent goes on giving them out, and a thread there may hold the lock at this moment."""
    global _giving_out
    _giving_out = threading.Lock()
    for holder in _blocks.values():
        holder.close()
    _blocks.clear()
    _new.clear()
    _given.clear()


os.register_at_fork(after_in_child=_forget_ports)


def is_free(address: str) -> bool:
    """Whether a server on this host could use "host:port" now."""
    return _bind_error(*host_and_port(address)) is None


def require_free(address: str) -> None:
    """Raises ClusterError if a server can't use the address now: on loopback, or else on every interface."""
    host, port = host_and_port(address)
    if _bind_error(host if is_loopback(host) else "", port) is not None:
        raise ClusterError(CANT_SERVE.format(address))


def require_free_port(address: str) -> None:
    """Raises ClusterError if another server has the port of "host:port", on any interface.

    Reverb would share the port with it, and each of the two would get some of the calls.
    """
    if (error := _bind_error("", host_and_port(address)[1])) is not None:
        raise ClusterError(f"{address} can't be served: {error.strerror}")


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises UserError if the address can't be used.

    Sets TCP_NODELAY, which asyncio does only for sockets that it made itself: otherwise the second half of an answer
    waits 40 ms for the client's delayed acknowledgement of the first.
    """
    if not _can_be_looked_up(host):
        raise UserError(f'can\'t serve at "{host}": it is neither the name of a host nor an IP address')
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(place[:2], family=family)
    except socket.gaierror as error:
        raise UserError(f"can't serve at {host}, port {port}: {error.strerror}") from error
    except OSError as error:  # whose own text repeats the address
        raise UserError(f"can't serve at {host}, port {port}: {os.strerror(error.errno or 0)}") from error
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by accepted connections
    return listening


def _bind_error(host: str, port: int) -> OSError | None:
    """Why no server can listen there now (with `host` empty, on every interface); None if one can."""
    is_v6 = ":" in host or (not host and socket.has_dualstack_ipv6())
    with socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET) as probe:
        # Connections that have just ended don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if is_v6 and not host:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def _number(host: str) -> _IpAddress | None:
    """Parses an IP address in any form that the system accepts, such as "127.1"; None if it is a name."""
    try:
        (_, _, _, _, place), *_ = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
        number = ipaddress.ip_address(place[0])
    except (OSError, UnicodeError, ValueError):
        return None
    return getattr(number, "ipv4_mapped", None) or number
