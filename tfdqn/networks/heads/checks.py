"""Checks of the user's own heads: of what is registered, and of what its builder returns."""

from collections.abc import Callable
from typing import Any

from tfdqn.config.own_code import is_own, require_function, require_instance, source_of
from tfdqn.networks.heads.head import BranchesKind, Head, HeadKind
from tfdqn.networks.own_parts import require_made


def check_head_kind(kind: Any, where: str) -> None:
    """Raises OwnCodeError unless this is a `HeadKind` of functions that can be called as it says."""
    require_instance(kind, HeadKind, where)
    require_function(kind.build, f"{where}.build", "config", "width", "num_actions", "make")
    if kind.in_numpy is not None:
        require_function(kind.in_numpy, f"{where}.in_numpy", "config")
    if kind.branches is not None:
        require_instance(kind.branches, BranchesKind, f"{where}.branches")
        require_function(kind.branches.build, f"{where}.branches.build", "config", "width", "num_actions", "make")
        require_function(kind.branches.in_numpy, f"{where}.branches.in_numpy", "config", "num_actions")


def checked_head(head: Any, build: Callable[..., Any]) -> Head:
    """Checks what a head's builder returns. Raises OwnCodeError."""
    if is_own(build):
        source = source_of(build)
        require_made(head, Head, source)
        require_function(head.outputs, f"outputs of {source}", "features", "noise")
        require_function(head.q_values, f"q_values of {source}", "outputs")
    return head
