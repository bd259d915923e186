"""Connections to a peer that can't be reached any more are broken, all others are left alone."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.support.waiting import until
from tfdqn.replay.reverb.shards import Shard
from tfdqn.system import peer_connections
from tfdqn.system.addresses import host_and_port
from tfdqn.system.peer_connections import ConnectionGuard, break_connections, guard_connections, is_reachable, is_stuck


class Peer:
    """Listens on loopback, and holds one connection to it, as a library of this process would."""

    def __init__(self, parts: ExitStack, host: str = "127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = parts.enter_context(closing(socket.socket(family)))
        self.listener.bind((host, 0))
        self.listener.listen()
        port = self.listener.getsockname()[1]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.ours = parts.enter_context(closing(socket.create_connection((host, port))))
        self.theirs = parts.enter_context(closing(self.listener.accept()[0]))
        self.ours.setblocking(False)

    @property
    def is_broken(self) -> bool:
        try:
            return self.ours.recv(1) == b""
        except BlockingIOError:
            return False


@pytest.fixture
def parts() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def test_breaking_ends_every_connection_with_one_address_and_no_other(parts: ExitStack) -> None:
    peer, other = Peer(parts), Peer(parts)
    assert break_connections(peer.address) == 1
    assert peer.is_broken and not other.is_broken
    assert peer.theirs.recv(1) == b""


def test_breaking_finds_names_and_ipv6(parts: ExitStack) -> None:
    peer, named = Peer(parts, "::1"), Peer(parts)
    assert break_connections(peer.address) == 1 and peer.is_broken
    assert break_connections(f"localhost:{host_and_port(named.address)[1]}") == 1 and named.is_broken


def test_breaking_ends_an_attempt_to_connect(parts: ExitStack) -> None:
    listener = parts.enter_context(closing(socket.socket()))
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    where = listener.getsockname()
    attempts = []  # what does not fit in its queue is neither taken nor refused
    for _ in range(4):
        attempts.append(parts.enter_context(closing(socket.socket())))
        attempts[-1].setblocking(False)
        attempts[-1].connect_ex(where)
    with pytest.raises(OSError):
        attempts[-1].getpeername()
    assert break_connections(f"127.0.0.1:{where[1]}") == len(attempts)
    ended = select.poll()
    ended.register(attempts[-1], select.POLLHUP)
    assert ended.poll(10_000)


def test_breaking_does_nothing_for_a_name_that_is_not_known(parts: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object, **named: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    peer = Peer(parts)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert break_connections(peer.address) == 0
    assert not peer.is_broken


def test_who_listens_is_reachable_though_it_answers_nothing(parts: ExitStack) -> None:
    peer = Peer(parts)
    assert is_reachable(peer.address)
    peer.listener.close()
    assert not is_reachable(peer.address)


def test_a_guard_breaks_connections_when_the_peer_is_gone_and_not_before(parts: ExitStack) -> None:
    peer, gone = Peer(parts), Peer(parts)
    gone.listener.close()
    for each in (peer, gone):
        guard = ConnectionGuard(each.address)
        guard.check()
        guard.check()
    until(lambda: gone.is_broken, "broken connection")
    assert not peer.is_broken


def test_a_process_that_only_waits_has_its_connections_guarded(parts: ExitStack) -> None:
    peer, gone = Peer(parts), Peer(parts)
    gone.listener.close()
    guard_connections([peer.address, gone.address])
    until(lambda: gone.is_broken, "broken connection")
    assert not peer.is_broken


def test_a_tensorflow_server_is_asked_only_where_something_is_stuck(
    parts: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    healthy, stuck, replay = Peer(parts), Peer(parts), Peer(parts)
    monkeypatch.setattr(peer_connections, "is_stuck", lambda address: address == stuck.address)
    monkeypatch.setattr(peer_connections, "is_reachable", lambda address: not asked.append(address))
    guard_connections([replay.address], [healthy.address, stuck.address])
    until(lambda: len(asked) >= 2, "questions")
    assert set(asked) == {replay.address, stuck.address}


def test_what_does_not_arrive_is_sent_again_and_counted(parts: ExitStack) -> None:
    peer = Peer(parts)
    assert not is_stuck(peer.address)
    listener = parts.enter_context(closing(socket.socket()))
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    where = listener.getsockname()
    for _ in range(4):  # those that do not fit in the queue ask again and again
        attempt = parts.enter_context(closing(socket.socket()))
        attempt.setblocking(False)
        attempt.connect_ex(where)
    until(lambda: is_stuck(f"127.0.0.1:{where[1]}"), "third attempt")


def test_a_replay_server_that_does_not_answer_has_its_connections_checked(parts: ExitStack) -> None:
    gone = Peer(parts)
    gone.listener.close()
    shard = Shard(0, gone.address)
    assert not shard.ask()
    until(lambda: gone.is_broken, "broken connection")
