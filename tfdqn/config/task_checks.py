"""What must hold between the keys of a task.

Each check is like those of `checks.py`.
"""

from collections.abc import Callable, Iterator

from tfdqn.config.schema import Config


def masks_are_asked_for(config: Config) -> Iterator[str]:
    for key in ("action_mask_source", "action_mask_form"):
        if getattr(config.task, key) != "auto" and not config.task.action_masks:
            yield f"<task.{key}> needs task.action_masks = true, not false"


TASK_CHECKS: tuple[Callable[[Config], Iterator[str]], ...] = (masks_are_asked_for,)
