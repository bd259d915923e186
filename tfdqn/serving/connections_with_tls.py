"""`TlsConnection`: an encrypted connection, whose handshake counts as waiting for its client."""

import asyncio
import ssl
from typing import Any

from tfdqn.serving.access import FileContent
from tfdqn.serving.connections import Connection

_SHUTDOWN_SECONDS = 2.0  # for a client to confirm the end of TLS


class TlsConnection(Connection):
    """An encrypted connection, which makes the TLS handshake itself.

    asyncio's own TLS server reports a connection only after its handshake. Here connections count, and can be closed in
    favour of others, during the handshake too; and a new certificate is used as soon as it has been read.
    """

    def __init__(self, *, tls: FileContent[ssl.SSLContext], **of_connection: Any):
        super().__init__(**of_connection)
        self._tls = tls
        self._is_encrypted = False
        self._early = bytearray()
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.connections.add(self)
        self.admit()
        transport.pause_reading()  # until the handshake takes over: nothing unencrypted is ever read as a request
        self._handshake = self.loop.create_task(self._shake_hands(transport))

    def data_received(self, data: bytes) -> None:
        if self._is_encrypted:
            super().data_received(data)
        else:  # with the handshake's last packet
            self._early += data

    def eof_received(self) -> bool:  # type: ignore[override]
        return False  # asyncio ends TLS in both directions at once

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        try:
            encrypted = await self.loop.start_tls(
                transport, self, self._tls.value, server_side=True, ssl_shutdown_timeout=_SHUTDOWN_SECONDS
            )
        except OSError:  # the client doesn't speak TLS, is silent, or has gone
            encrypted = None
        if encrypted is None or transport.is_closing():
            self.connections.discard(self)
            transport.abort()
            return
        self.begin(encrypted)
        self._is_encrypted = True
        if self._early:
            super().data_received(bytes(self._early))
            self._early.clear()
