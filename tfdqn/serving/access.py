"""Access to the server: API keys, TLS, and what is required if other hosts can reach it."""

import hashlib
import hmac
import re
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from tfdqn.errors import UserError
from tfdqn.system.addresses import LOOPBACK, LOOPBACK_V6, is_loopback, wildcard_family, with_host

_KEY = re.compile(rb"[A-Za-z0-9._~+/-]+=*")  # RFC 6750's b64token: what fits an Authorization header
_T = TypeVar("_T")


class ApiKeys(NamedTuple):
    """API keys; only their digests are kept."""

    digests: frozenset[bytes]

    def allow(self, authorizations: list[bytes]) -> bool:
        """Whether a request has exactly one Authorization header, `Bearer KEY` (RFC 6750), with one of the keys."""
        scheme, _, key = authorizations[0].partition(b" ") if len(authorizations) == 1 else (b"", b"", b"")
        return scheme.lower() == b"bearer" and self._has(key.strip())

    def _has(self, key: bytes) -> bool:
        """Whether this is one of the keys. Takes the same time for every key."""
        digest = hashlib.sha256(key).digest()
        return sum(hmac.compare_digest(digest, each) for each in self.digests) > 0


def read_keys(file: Path) -> ApiKeys:
    """Reads a file with one key per line; blank lines and lines that begin with # are skipped. Raises UserError."""
    try:
        lines = [line.strip() for line in file.read_bytes().splitlines()]
    except OSError as error:
        raise UserError(f"--api-key-file {file}: {error.strerror}") from error
    keys = {number: line for number, line in enumerate(lines, 1) if line and not line.startswith(b"#")}
    for number, key in keys.items():
        if not _KEY.fullmatch(key):
            raise UserError(f"--api-key-file {file}, line {number}: a key has only letters, digits and -._~+/, then =")
    if not keys:
        raise UserError(f"--api-key-file {file}: no key in it; one a line is needed")
    return ApiKeys(frozenset(hashlib.sha256(key).digest() for key in keys.values()))


def read_tls(certificates: Path, key: Path) -> ssl.SSLContext:
    """Reads a certificate, its intermediate certificates and its key, as PEM. Raises UserError."""
    for option, file in (("--tls-cert", certificates), ("--tls-key", key)):
        try:
            file.read_bytes()
        except OSError as error:
            raise UserError(f"{option} {file}: {error.strerror}") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificates, key, password=_no_password)
    except (OSError, ValueError) as error:  # OSError includes SSLError, and a file that was removed since
        # OpenSSL says nothing, or only "PEM lib", of a file that is neither.
        is_said = str(error) and "PEM lib" not in str(error)
        why = str(error) if is_said else "no certificate and key in PEM form that belong together"
        raise UserError(f"--tls-cert {certificates}, --tls-key {key}: {why}") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; one without a password is needed")


class FileContent(Generic[_T]):
    """The content of files, which are read again when they change.

    Attributes:
      value: what was last read without an error.
    """

    def __init__(self, read: Callable[..., _T], *files: Path):
        """Reads the files by `read`. Raises UserError if they can't be read."""
        self._read = read
        self._files = files
        self._stamps = self._stamp()
        self.value = read(*files)

    def refresh(self, say: Callable[[str], None]) -> None:
        """Reads the files again if they have changed, and reports it by `say`; after an error the old value stays."""
        stamps = self._stamp()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self.value = self._read(*self._files)
        except UserError as error:
            say(f"{error}; what was read before stays.")
        else:
            say(f"Read again: {', '.join(map(str, self._files))}")

    def _stamp(self) -> list[object]:
        return [_stamp(file) for file in self._files]


def _stamp(file: Path) -> object:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Access(NamedTuple):
    """The server's API keys and certificate; None for what is not used."""

    keys: FileContent[ApiKeys] | None = None
    tls: FileContent[ssl.SSLContext] | None = None

    @property
    def missing(self) -> str:
        """The missing options without which other hosts should not reach the server, as a phrase; "" if all are given.

        For example "--api-key-file, --tls-cert and --tls-key".
        """
        names = ["--api-key-file"] * (self.keys is None) + ["--tls-cert", "--tls-key"] * (self.tls is None)
        return " and ".join(each for each in (", ".join(names[:-1]), *names[-1:]) if each)

    def require_beyond_loopback(self, host: str) -> None:
        """Raises UserError if other hosts can reach the address and a required option is missing."""
        if self.missing and not is_loopback(host):
            raise UserError(f"other hosts can reach {host}: give {self.missing}, or --insecure to serve without")

    def reached_at(self, host: str, port: int) -> str:
        """The address for a request from this host to a server that listens at these.

        With TLS, it has this host's name in place of a wildcard address, since a certificate names hosts.
        """
        if not (family := wildcard_family(host)):
            return with_host(port, host)
        loopback = LOOPBACK if family == "IPv4" else LOOPBACK_V6
        return with_host(port, loopback if self.tls is None else socket.gethostname())


def read_access(keys: Path | None, certificates: Path | None, key: Path | None, say: Callable[[str], None]) -> Access:
    """Reads the files of the options; warns of a file of keys that everyone can read. Raises UserError."""
    if (certificates is None) != (key is None):
        given, absent = ("--tls-cert", "--tls-key") if key is None else ("--tls-key", "--tls-cert")
        raise UserError(f"{given} needs {absent}: give both or neither")
    api_keys = None if keys is None else FileContent(read_keys, keys)
    if keys is not None and keys.stat().st_mode & stat.S_IROTH:
        say(f"--api-key-file {keys}: every user of this host can read it; `chmod o-r` mends that.")
    tls = None if certificates is None else FileContent(read_tls, certificates, key)  # type: ignore[arg-type]
    return Access(api_keys, tls)
