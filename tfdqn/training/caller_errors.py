"""`CallerErrors`: lets an error of the caller's own functions end training as an interruption does, then raises it."""

from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from tfdqn.errors import type_and_message

Given = ParamSpec("Given")
Result = TypeVar("Result")


class CallerErrors:
    """Takes the errors of functions that the caller gave to training, such as one for progress, from any thread.

    Training is to end when there is one; after the block, that one is raised. If another error has ended the block,
    that stays, with a note. SystemExit is taken, too: a caller that calls `sys.exit` means to stop. KeyboardInterrupt
    is not: it may be that of a second Ctrl-C, which doesn't wait until the run is saved.

    Attributes:
      first: the first of them; None: there was none.
    """

    def __init__(self) -> None:
        self.first: Exception | SystemExit | None = None

    def __enter__(self) -> Self:
        return self

    # No generator with `contextmanager`, which could not raise a StopIteration.
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.first is None:
            return
        if error is None:
            raise self.first
        error.add_note(f"Earlier, a function that was given to train raised {type_and_message(self.first)}")

    def taken_from(self, function: Callable[Given, Result], instead: Result) -> Callable[Given, Result]:
        """The same function, whose errors are taken. Once there is one, of whichever function, it returns `instead`."""

        @wraps(function)
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            if self.first is None:
                try:
                    return function(*args, **kwargs)
                except (Exception, SystemExit) as error:
                    self.first = self.first or error
            return instead

        return call
