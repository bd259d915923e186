"""`Flow`: when a connection is read; `is_reset`: whether the other host has reset it."""

import asyncio
import select
from collections.abc import Sized

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """Reads no more of a connection while requests wait on it, whose bodies no budget counts yet."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized):
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


def is_reset(transport: asyncio.Transport) -> bool:
    """Whether the other host has reset the connection, also if nothing is read from it any more."""
    poll = select.poll()
    try:
        poll.register(transport.get_extra_info("socket"), 0)
    except ValueError:  # the loop has just closed it
        return True
    return bool(poll.poll(0))
