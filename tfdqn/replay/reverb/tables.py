"""The Reverb table of transitions: sampled uniformly, the oldest items removed first."""

from __future__ import annotations

import reverb
import tensorflow as tf

from tfdqn.errors import ConfigError

TABLE = "transitions"
_NEVER_HOLDS_SAMPLERS = -1e15


def transitions_table(signature: dict[str, tf.TensorSpec], max_items: int, min_items: int) -> reverb.Table:
    """A table of `max_items` items that can be sampled from once it holds `min_items`.

    Inside one process the replay ratio is kept outside Reverb; between processes the table keeps it:
    `paced_table`.
    """
    return _table(signature, max_items, reverb.rate_limiters.MinSize(min_items))


def paced_table(
    signature: dict[str, tf.TensorSpec], max_items: int, samples_per_insert: float, most_ahead: float
) -> reverb.Table:
    """The same, but that who inserts is held back while inserts · `samples_per_insert` - samples > `most_ahead`.

    Who samples is never held back but by an empty table: the learner knows by itself how many updates are due, and a
    table that came back with fewer items than before can't stop both sides.
    """
    return _table(
        signature,
        max_items,
        reverb.rate_limiters.SampleToInsertRatio(samples_per_insert, 1, (_NEVER_HOLDS_SAMPLERS, most_ahead)),
    )


def check_same_table(stored: reverb.TableInfo, wanted: reverb.TableInfo, origin: object) -> None:
    """A restored checkpoint overrides the table's configuration: raises ConfigError where it differs."""
    before, now = stored.rate_limiter_info, wanted.rate_limiter_info
    differences = [
        f"{name} {before}, now {now}"
        for name, before, now in (
            ("capacity", stored.max_size, wanted.max_size),
            ("minimum size", int(before.min_size_to_sample), int(now.min_size_to_sample)),
            ("samples per insert", before.samples_per_insert, now.samples_per_insert),
            ("samples that inserting may be ahead", before.max_diff, now.max_diff),
            ("layout", _layout(stored), _layout(wanted)),
        )
        if before != now
    ]
    if differences:
        raise ConfigError(f"{origin} was made with another replay, in items: {'; '.join(differences)}")


def _table(
    signature: dict[str, tf.TensorSpec], max_items: int, limiter: reverb.rate_limiters.RateLimiter
) -> reverb.Table:
    return reverb.Table(
        name=TABLE,
        sampler=reverb.selectors.Uniform(),
        remover=reverb.selectors.Fifo(),
        max_size=max_items,
        rate_limiter=limiter,
        signature=signature,
    )


def _layout(info: reverb.TableInfo) -> str:
    columns = (info.signature or {}).items()
    return ", ".join(f"{name} {spec.dtype.name}{list(spec.shape)}" for name, spec in sorted(columns))
