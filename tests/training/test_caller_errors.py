"""An error of the caller's own function is told from any other."""

import pytest

from tfdqn.training.caller_errors import CallerErrors


def test_errors_of_the_callers_functions_are_known_and_their_results_are_theirs() -> None:
    errors = CallerErrors()
    assert errors.kept_of(divmod)(7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError) as caught:
        errors.kept_of(divmod)(7, 0)
    assert errors.have(caught.value) and not errors.have(ZeroDivisionError())
