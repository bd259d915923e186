"""`call_last`: calls a function at the interpreter's exit, after the handlers of what is imported after this module.

In a fork of a fork server, the server's imports come before the command; so the server imports this module first.
"""

import atexit

TYPE_CHECKING = False  # what is imported here delays the moment at which a command handles signals
if TYPE_CHECKING:
    from collections.abc import Callable

_functions: "list[Callable[[], None]]" = []


def call_last(function: "Callable[[], None]") -> None:
    """Has the function called at exit; of several, the last one first."""
    _functions.append(function)


@atexit.register
def _call() -> None:
    for function in reversed(_functions):
        function()
