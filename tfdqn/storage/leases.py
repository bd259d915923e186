"""`Lease`: what a lock's file says of the process that holds the lock, as text of a fixed length."""

import msgspec
from msgspec import Struct

from tfdqn.storage.owners import Owner

LEASE_BYTES = 512


class Lease(Struct, frozen=True):
    """A claim to a lock, which its holder renews."""

    owner: Owner
    token: str  # of this holding of the lock
    device: int  # the file system, as the holder's kernel numbers it
    renewals: int = msgspec.field(default=0, name="beats")


_leases = msgspec.json.Decoder(Lease)


def decoded(content: bytes) -> Lease | None:
    """The lease in a file's content; None if there is none, or it is of another version."""
    try:
        return _leases.decode(content)
    except msgspec.MsgspecError:
        return None


def encoded(lease: Lease) -> bytes:
    """The lease as `LEASE_BYTES` bytes, so that one write replaces all of the previous lease."""
    return msgspec.json.encode(lease).ljust(LEASE_BYTES - 1) + b"\n"
