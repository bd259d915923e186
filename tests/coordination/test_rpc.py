"""Calls between processes: typed, answered or refused; whatever comes to the port, others are answered on."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import grpc
import msgspec
import pytest
from msgspec import Struct

from tests.support.threaded_jobs import free_address
from tests.support.waiting import until
from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.coordination.messages import Counts, Heartbeat, WeightsReply
from tfdqn.coordination.rpc import Caller, Method, RefusedError, Server, UnreachableError
from tfdqn.errors import ClusterError
from tfdqn.system.addresses import host_and_port
from tfdqn.system.peer_connections import is_reachable

LIMIT_SECONDS = 60.0  # of a call that is answered: a slow machine's


class Question(Struct, frozen=True):
    number: int


class Reply(Struct, frozen=True):
    number: int


def doubled(question: Question) -> Reply:
    if question.number < 0:
        raise RefusedError("no number below\nzero")
    if question.number == 13:
        raise KeyError("a mistake of ours")
    return Reply(2 * question.number)


def test_no_answer_says_whether_nobody_is_there_or_nobody_answers() -> None:
    address, another = free_address(), free_address()  # gRPC remembers of an address that nobody was there
    with closing(Caller(address)) as call, pytest.raises(UnreachableError, match=f"^{address} can't be reached$"):
        call("double", Question(1), Reply, 30.0)
    released = threading.Event()
    holds = {"double": Method(Question, lambda question: Reply(released.wait(LIMIT_SECONDS)))}
    with closing(Server(another, holds)), closing(Caller(another)) as call:
        try:
            with pytest.raises(UnreachableError, match=rf"^{another} has not answered within 0\.1 s$"):
                call("double", Question(1), Reply, 0.1)
        finally:
            released.set()


def test_a_host_whose_name_is_unknown_is_said() -> None:
    said = "^nowhere.invalid:1234 can't be reached: this machine doesn't know its host$"
    with closing(Caller("nowhere.invalid:1234")) as call, pytest.raises(UnreachableError, match=said):
        call("double", Question(1), Reply, 30.0)


METHODS = {
    "double": Method(Question, doubled),
    "beat": Method(Heartbeat, lambda heartbeat: Reply(heartbeat.counts.env_steps)),
}


@pytest.fixture
def address() -> Iterator[str]:
    where = free_address()
    with closing(Server(where, METHODS)):
        yield where


@pytest.fixture
def caller(address: str) -> Iterator[Caller]:
    with closing(Caller(address)) as made:
        yield made


def raw(address: str, method: str, content: bytes) -> bytes:
    with grpc.insecure_channel(address) as channel:
        return channel.unary_unary(f"/tfdqn/{method}")(content, timeout=LIMIT_SECONDS)


def is_answering(caller: Caller) -> bool:
    return caller("double", Question(21), Reply, LIMIT_SECONDS).number == 42


def test_a_call_is_answered(caller: Caller) -> None:
    assert is_answering(caller)


def test_a_refusal_says_why_in_one_line(caller: Caller) -> None:
    with pytest.raises(RefusedError, match="no number below zero"):
        caller("double", Question(-1), Reply, LIMIT_SECONDS)


def test_a_method_that_there_is_not_is_refused(caller: Caller) -> None:
    with pytest.raises(RefusedError):
        caller("triple", Question(1), Reply, LIMIT_SECONDS)


def test_a_mistake_in_an_answer_ends_that_call_alone(caller: Caller) -> None:
    with pytest.raises(UnreachableError):
        caller("double", Question(13), Reply, LIMIT_SECONDS)
    assert is_answering(caller)


def test_nobody_there_is_unreachable_at_once_and_found_when_it_comes() -> None:
    where = free_address()
    with closing(Caller(where)) as caller:
        with pytest.raises(UnreachableError, match=where):
            caller("double", Question(1), Reply, LIMIT_SECONDS)
        with closing(Server(where, METHODS)):

            def is_found() -> bool:
                try:
                    return is_answering(caller)
                except UnreachableError:
                    return False

            until(is_found, "answer")


def test_a_server_that_does_not_answer_is_unreachable_in_time(address: str) -> None:
    with socket.socket() as silent:  # accepts connections in its queue, and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with closing(Caller(f"127.0.0.1:{silent.getsockname()[1]}")) as caller, pytest.raises(UnreachableError):
            caller("double", Question(1), Reply, 0.5)


def test_an_address_in_use_is_an_error_in_one_line(address: str) -> None:
    with pytest.raises(ClusterError, match=address):
        Server(address, METHODS)


@pytest.mark.parametrize(("host", "hears_all"), [("127.0.0.1", False), ("host-a", True), ("0.0.0.0", True)])
def test_on_loopback_it_is_heard_on_loopback_alone(host: str, hears_all: bool) -> None:
    _, port = host_and_port(free_address())
    with closing(Server(f"{host}:{port}", METHODS)):
        assert is_reachable(f"127.0.0.1:{port}")
        assert is_reachable(f"127.0.0.2:{port}") == hears_all  # where only a server of every interface listens


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\xc1",
        b"\x93",
        msgspec.msgpack.encode([1, 2, 3]),
        msgspec.msgpack.encode({"number": "one"}),
        msgspec.msgpack.encode({"number": 1.5}),
        msgspec.msgpack.encode({"another": 1}),
        b"\x81\xa6number\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
        b"\x82\xa6number\x01\xa1x" + b"\x91" * 100_000 + b"\xc0",  # nested deeper than any stack
        b"\xdd\xff\xff\xff\xff",  # says that it holds four thousand million things
        b"\x81\xa2\xff\xfe\x01",  # a key that is not UTF-8
        b"\x08\x96\x01\x12\x07testing",  # a protocol buffer
    ],
)
def test_what_is_no_message_is_refused_and_harms_nobody(address: str, caller: Caller, content: bytes) -> None:
    with pytest.raises(grpc.RpcError) as error:
        raw(address, "double", content)
    assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE)
    assert is_answering(caller)


def test_counts_that_no_process_can_have_are_refused(address: str, caller: Caller) -> None:
    """Their sum could not be sent to anybody."""
    heartbeat = Heartbeat(process_id=ProcessId(Role.ACTOR), life="a", pid=1, host="h", joined="", state="acting")
    for steps in (-1, 2**64 - 1):
        wrong = {**msgspec.to_builtins(heartbeat), "counts": {"env_steps": steps, "episodes": 0}}
        with pytest.raises(grpc.RpcError) as error:
            raw(address, "beat", msgspec.msgpack.encode(wrong))
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caller("beat", heartbeat, Reply, LIMIT_SECONDS).number == 0


def test_random_bytes_as_messages_harm_nobody(address: str, caller: Caller) -> None:
    draw = random.Random(1)
    whole = msgspec.msgpack.encode(
        Heartbeat(
            process_id=ProcessId(Role.ACTOR, 3),
            life="a",
            pid=1,
            host="h",
            joined="b",
            state="acting",
            counts=Counts(env_steps=7),
        )
    )
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/tfdqn/beat")
        for i in range(300):
            mangled = bytearray(whole if i % 2 else draw.randbytes(draw.randrange(200)))
            for _ in range(draw.randrange(1, 4)):
                if mangled:
                    mangled[draw.randrange(len(mangled))] = draw.randrange(256)
            try:
                call(bytes(mangled), timeout=LIMIT_SECONDS)
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT,), error
    assert is_answering(caller)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        lambda draw: draw.randbytes(4096),
        lambda draw: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        lambda draw: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(500),  # TLS
        lambda draw: PREFACE + draw.randbytes(4096),
        lambda draw: PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + draw.randbytes(2000),
        lambda draw: PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",  # a frame of 16 MB that never comes
        lambda draw: PREFACE[:9],
    ],
)
def test_random_bytes_on_the_socket_harm_nobody(address: str, caller: Caller, sent) -> None:  # type: ignore[no-untyped-def]
    draw = random.Random(2)
    opened = []
    try:
        for _ in range(20):
            one = socket.create_connection(host_and_port(address), timeout=LIMIT_SECONDS)
            opened.append(one)
            with suppress(OSError):  # it has hung up already
                one.sendall(sent(draw))
        assert is_answering(caller)  # while they are still connected, too
    finally:
        for one in opened:
            one.close()
    assert is_answering(caller)
    with closing(Caller(address)) as another:
        assert is_answering(another)


def test_a_message_beyond_the_largest_is_refused(address: str, caller: Caller) -> None:
    with pytest.raises(grpc.RpcError) as error:
        raw(address, "double", bytes(65 * 2**20))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert is_answering(caller)


def test_many_callers_at_once_are_all_answered(address: str) -> None:
    answers: list[int] = []

    def ask(number: int) -> None:
        with closing(Caller(address)) as caller:
            answers.append(caller("double", Question(number), Reply, LIMIT_SECONDS).number)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(100, 164)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [2 * i for i in range(100, 164)]


def test_an_answer_of_another_version_is_an_error_of_that_call(address: str, caller: Caller) -> None:
    with pytest.raises(UnreachableError):
        caller("double", Question(1), WeightsReply, LIMIT_SECONDS)
    assert is_answering(caller)


def test_a_closed_server_answers_no_more(address: str) -> None:
    where = free_address()
    server = Server(where, METHODS)
    with closing(Caller(where)) as caller:
        assert is_answering(caller)
        server.close()
        with pytest.raises(UnreachableError):
            is_answering(caller)
        with closing(Server(where, METHODS)):  # the address is free again
            pass
