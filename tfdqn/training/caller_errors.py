"""`CallerErrors`: tells errors that the caller's own functions have raised from those of training."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


class CallerErrors:
    """The errors of functions that the caller gave to training, such as one for progress; for any thread."""

    def __init__(self) -> None:
        self._raised: list[BaseException] = []

    def kept_of(self, function: Callable[Given, Result]) -> Callable[Given, Result]:
        """The same function, whose errors are known from now on."""

        @wraps(function)
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                self._raised.append(error)
                raise

        return call

    def have(self, error: BaseException) -> bool:
        """Whether one of the functions has raised this error."""
        return any(error is each for each in self._raised)
