"""`Options`: how a server was asked to serve."""

from typing import NamedTuple

from tfdqn.serving.access import Access


class Options(NamedTuple):
    """What the command line says.

    Attributes:
      access: who may ask.
      drain_seconds: for which it still takes requests when it has been told to end, and says that it is not ready.
    """

    access: Access = Access()
    drain_seconds: float = 0.0
