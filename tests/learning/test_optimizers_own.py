"""A module of the user's own can't add an optimizer, which is then not taken for another one."""

import pytest

from tfdqn.config.optimizer import ScheduledRate
from tfdqn.errors import ConfigError
from tfdqn.learning.optimizers import make_optimizer


class Lion(ScheduledRate, frozen=True, kw_only=True, tag_field="kind", tag="lion"):
    """An optimizer that the package doesn't have."""

    learning_rate: float = 1e-4


def test_an_optimizer_that_the_package_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'optimizer\.kind = "lion": a module can\'t add'):
        make_optimizer(Lion())  # type: ignore[arg-type]
