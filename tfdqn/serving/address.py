"""What is served and where: a folder of versions, a model's name and a listening socket, found without TensorFlow."""

import re
import socket
from pathlib import Path

from tfdqn.errors import UserError
from tfdqn.exporting import tf_serving_files
from tfdqn.exporting.versions import MODEL_FILE, has_model
from tfdqn.system.utf8 import require_libraries_can_take


def exports_folder(path: Path) -> Path:
    """The folder of versions at `path`, or in the run that lies there. Raises UserError where there is none."""
    require_libraries_can_take(path)
    if has_model(path):
        raise UserError(f"{path} is one version; give the folder of versions, {path.parent}")
    folder = path / "exports" if (path / "exports").is_dir() else path
    if not any(folder.glob(f"*/{MODEL_FILE}")):
        raise UserError(f"{folder}: no exported version here; `tfdqn export RUN` writes one")
    return folder


def model_name(exports: Path, name: str | None) -> str:
    """The name given, or the run's; raises UserError for one that has no place in a path."""
    if name is None:
        return tf_serving_files.model_name(exports)
    if not re.fullmatch(r"[\w.-]+", name, flags=re.ASCII):
        raise UserError(f'--name "{name}": only letters, digits, ".", "_" and "-"')
    return name


def listen(host: str, port: int) -> socket.socket:
    """Raises UserError where the address can't be had.

    Connections send at once what they have (asyncio asks for that only where it made the socket itself): else the
    second half of an answer waits 40 ms for the client's delayed acknowledgement of the first.
    """
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(place[:2], family=family)
    except OSError as error:
        raise UserError(f"can't serve at {host}, port {port}: {error.strerror or error}") from error
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # which those that it accepts inherit
    return listening
