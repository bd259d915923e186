"""Checks across the keys of a task. Each is like those of `checks.py`."""

from collections.abc import Callable, Iterator

from tfdqn.config.schema import Config


def a_sign_has_one_size(config: Config) -> Iterator[str]:
    task = config.task
    if task.reward_sign and task.reward_clip:
        yield "task.reward_sign = true with <task.reward_clip>: signs are -1, 0 and 1 already"
    if task.reward_sign and task.reward_normalization:
        yield "task.reward_sign = true with <task.reward_normalization>: the sign of a reward is the same at any scale"


def branches_are_of_td_errors(config: Config) -> Iterator[str]:
    if config.task.action_form == "branches" and not config.agent.takes_branches:
        yield (
            "<task.action_form> with <agent.kind>: Q-values of several action dimensions are learned by agent.kind = "
            '"dqn", "double_dqn" or "pqn"'
        )


TASK_CHECKS: tuple[Callable[[Config], Iterator[str]], ...] = (a_sign_has_one_size, branches_are_of_td_errors)
