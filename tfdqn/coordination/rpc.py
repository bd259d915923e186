"""Calls between a job's processes by gRPC. Messages are typed structs, encoded by MessagePack.

A malformed message is answered by an error, and does no harm: nothing is ever unpickled.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import grpc
import msgspec
from msgspec import Struct

from tfdqn.errors import ClusterError, message_in_one_line
from tfdqn.system.addresses import CANT_SERVE, host_and_port, is_loopback

_SERVICE = "tfdqn"
_MAX_REQUEST_BYTES = 64 * 2**20
_STOP_SECONDS = 1.0
_OPTIONS = [("grpc.enable_http_proxy", 0)]
UNKNOWN_HOST = "this machine doesn't know its host"  # in an UnreachableError, while DNS has no such name
Reply = TypeVar("Reply")

# msgspec may crash where two threads make a decoder of one type at the same time.
_making_decoders = threading.Lock()
_decoders: dict[type, msgspec.msgpack.Decoder] = {}


class UnreachableError(Exception):
    """A peer did not answer in time, or at all."""


class RefusedError(Exception):
    """A peer refused a request; the message says why."""


class Method(NamedTuple):
    """One kind of call that a server answers. A `RefusedError` is passed on to the caller."""

    request: type[Struct]
    answer: Callable[[Any], Struct | bytes]  # bytes: a reply that is encoded already


class Server:
    """Answers calls at an address until it is closed. Raises ClusterError if the address can't be had.

    At a loopback address it listens on loopback only. It answers up to `threads` calls at a time.
    """

    def __init__(self, address: str, methods: Mapping[str, Method], threads: int = 16):
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="rpc")
        options = [
            *_OPTIONS,
            ("grpc.so_reuseport", 0),  # an address in use is an error
            ("grpc.http2.max_ping_strikes", 0),  # callers ask often whether the connection still stands
            ("grpc.max_receive_message_length", _MAX_REQUEST_BYTES),
            ("grpc.max_send_message_length", -1),
        ]
        answers = {name: grpc.unary_unary_rpc_method_handler(_answering(method)) for name, method in methods.items()}
        handler = grpc.method_handlers_generic_handler(_SERVICE, answers)
        self._server = grpc.server(self._pool, handlers=[handler], options=options)
        try:
            if not self._server.add_insecure_port(_bound(address)):
                raise RuntimeError
        except RuntimeError:
            raise ClusterError(CANT_SERVE.format(address)) from None
        self._server.start()

    def close(self) -> None:
        """Stops answering calls."""
        self._server.stop(_STOP_SECONDS).wait(2 * _STOP_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)


class Caller:
    """Calls a server at "host:port", which may come and go."""

    def __init__(self, address: str):
        self.address = address
        options = [
            *_OPTIONS,
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", _MAX_REQUEST_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 1000),
            # A host that has gone, or has another's address now, breaks no connection.
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
        ]
        self._channel = grpc.insecure_channel(address, options=options)

    def __call__(self, method: str, request: Struct, reply: type[Reply], timeout_seconds: float) -> Reply:
        """Makes a call. Raises UnreachableError if no answer comes in time, RefusedError if the server refuses."""
        call = self._channel.unary_unary(f"/{_SERVICE}/{method}")
        try:
            return _decoder(reply).decode(call(msgspec.msgpack.encode(request), timeout=timeout_seconds))
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED):
                raise RefusedError(error.details()) from None
            raise UnreachableError(f"{self.address} {_no_answer(error, timeout_seconds)}") from None
        except ValueError as error:  # the channel was closed, or an answer of another version
            raise UnreachableError(f"{self.address}: {error}") from None

    def close(self) -> None:
        """Ends calls that are under way."""
        self._channel.close()


def _no_answer(error: grpc.RpcError, timeout_seconds: float) -> str:
    """Why no answer came, in words that follow the address."""
    code = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"has not answered within {timeout_seconds:g} s"
    if code is grpc.StatusCode.UNAVAILABLE:
        is_unknown = (error.details() or "").startswith("DNS resolution failed")
        return f"can't be reached{f': {UNKNOWN_HOST}' if is_unknown else ''}"
    return f"does not answer: {code.name.lower().replace('_', ' ')}"


def _bound(address: str) -> str:
    """The address to bind: loopback, or every interface, because a host need not be able to bind its name."""
    host, port = host_and_port(address)
    return address if is_loopback(host) else f"[::]:{port}"


def _answering(method: Method) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    decoder = _decoder(method.request)

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            reply = method.answer(decoder.decode(request))
        except (msgspec.MsgspecError, RefusedError, UnicodeDecodeError, RecursionError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, message_in_one_line(error))
        return reply if isinstance(reply, bytes) else msgspec.msgpack.encode(reply)

    return answer


def _decoder(message: type[Reply]) -> "msgspec.msgpack.Decoder[Reply]":
    with _making_decoders:
        return _decoders.setdefault(message, _decoders.get(message) or msgspec.msgpack.Decoder(message))
