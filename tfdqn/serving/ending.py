"""Ends connections: those of slow clients, and at the server's end all of them, so that no request is lost.

A listening socket that is closed resets connections that nobody has accepted yet, and a connection that is closed
resets what arrives after that. So no new ones may come before the socket is closed, those that are there are accepted,
and each connection stays for one more request.
"""

import asyncio
import ctypes
import select
import socket
import struct
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any

_CHECK_SECONDS = 1.0
_END_CHECK_SECONDS = 0.05
_HANDSHAKE_SECONDS = 0.1  # for TCP's, where it has begun
_ACCEPT_SECONDS = 1.0
_SO_ATTACH_FILTER = 26  # Linux's; Python has no name for it
# Of a segment, byte 13 has TCP's flags: where SYN (2) is set without ACK (16), it begins a connection, and is dropped.
_NO_NEW_CONNECTIONS = ((0x30, 0, 0, 13), (0x54, 0, 0, 18), (0x15, 0, 1, 2), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


async def end_slow(connections: Iterable[Any]) -> None:
    """Closes connections whose clients take too long, until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        for each in tuple(connections):
            each.end_if_slow(loop.time())


def end_waiting(connections: Iterable[Any]) -> None:
    """Closes connections that wait for their clients."""
    for each in tuple(connections):
        each.end_waiting()


async def end_idle(connections: Collection[Any], seconds: float) -> None:
    """Closes connections once they are idle, until there are none, for at most this long."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while connections and loop.time() < begun + seconds:
        for each in tuple(connections):
            each.end_if_idle(loop.time(), begun)
        await asyncio.sleep(_END_CHECK_SECONDS)


async def stop_listening(sockets: Iterable[socket.socket], servers: Iterable[asyncio.Server]) -> None:
    """Closes listening sockets when all connections that have reached them are accepted, which the servers do.

    A client that comes later is refused, which tells it that its request was not begun. Where the system knows no
    filters, a connection that comes at the very end may be reset.
    """
    sockets = tuple(sockets)
    for each in sockets:
        _drop_new(each)
    await asyncio.sleep(_HANDSHAKE_SECONDS)
    with suppress(TimeoutError):
        async with asyncio.timeout(_ACCEPT_SECONDS):
            while select.select(sockets, (), (), 0)[0]:
                await asyncio.sleep(_END_CHECK_SECONDS)
    for _ in range(2):  # after accepting, asyncio makes the transport in one step, and tells its protocol in the next
        await asyncio.sleep(0)
    for server in servers:
        server.close()


def _drop_new(listening: socket.socket) -> None:
    """Has the kernel drop segments that begin a connection; their clients send them again, a second later."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _NO_NEW_CONNECTIONS))
    program = struct.pack("HP", len(_NO_NEW_CONNECTIONS), ctypes.addressof(code))
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
