"""Checks across keys for prioritised sampling. Each is like those of `checks.py`."""

from collections.abc import Callable, Iterator

from tfdqn.config.agent import Munchausen, TDAgent
from tfdqn.config.schema import Config


def items_have_a_priority_each(config: Config) -> Iterator[str]:
    replay = config.replay
    is_block = replay.backend == "reverb" and replay.item == "block"
    if config.priorities.are_used and is_block and replay.block_size > 1:
        yield (
            f"<priorities.exponent> needs replay.block_size = 1, not {replay.block_size}: transitions of one block "
            "would share a priority"
        )


def actors_know_how_wrong_they_are(config: Config) -> Iterator[str]:
    if config.priorities.new_items != "actor":
        return
    if config.replay.item not in ("block", "frames"):
        yield (
            f'<priorities.new_items> needs replay.item = "block" or "frames", not "{config.replay.item}": an actor '
            "knows the errors of single transitions"
        )
    agent = config.agent
    if not isinstance(agent, TDAgent) or isinstance(agent, Munchausen) or agent.value_rescaling:
        yield (
            "<priorities.new_items> with <agent.kind>: an actor knows the errors of Q-values that are neither "
            "distributions nor rescaled, and of targets without Munchausen's bonus and soft value"
        )
    ensemble = config.ensemble
    if ensemble.size > 1 and (ensemble.aggregation, ensemble.acting) == ("majority", "aggregate"):
        yield "<priorities.new_items> with <ensemble.size> and <ensemble.aggregation>: votes are no values"


def importance_grows(config: Config) -> Iterator[str]:
    if config.priorities.importance_end < config.priorities.importance_start:
        yield "<priorities.importance_end> is less than <priorities.importance_start>: what is made up for only grows"


PRIORITY_CHECKS: tuple[Callable[[Config], Iterator[str]], ...] = (
    items_have_a_priority_each,
    actors_know_how_wrong_they_are,
    importance_grows,
)
