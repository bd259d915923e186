"""`failures_are_warnings`: what fails to be drawn is a warning, where nothing else depends on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfdqn.errors import one_line


@contextmanager
def failures_are_warnings(what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Makes of any error of the block one warning, such as "warning: the page is not written: why"."""
    try:
        yield
    except Exception as error:
        say(f"warning: {what}: {one_line(error)}")
