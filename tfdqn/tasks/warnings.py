"""`warn_once`: logs a warning about a task once in a process, however often the task is made."""

import logging

log = logging.getLogger(__name__)

_given: set[tuple[str, ...]] = set()


def warn_once(line: str, *about: str) -> None:
    """Logs a line, unless this process has logged it before or, if `about` names something, another line about that."""
    key = about or (line,)
    if key not in _given:
        _given.add(key)
        log.warning("%s", line)
