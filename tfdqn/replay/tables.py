"""The Reverb table of transitions: sampled uniformly, the oldest items removed first."""

from __future__ import annotations

import reverb
import tensorflow as tf

from tfdqn.errors import ConfigError

TABLE = "transitions"


def transitions_table(signature: dict[str, tf.TensorSpec], max_items: int, min_items: int) -> reverb.Table:
    """A table of `max_items` items that can be sampled from once it holds `min_items`.

    Inside one process the replay ratio is kept outside Reverb; between processes the table keeps it, with
    another rate limiter in this place.
    """
    return reverb.Table(
        name=TABLE,
        sampler=reverb.selectors.Uniform(),
        remover=reverb.selectors.Fifo(),
        max_size=max_items,
        rate_limiter=reverb.rate_limiters.MinSize(min_items),
        signature=signature,
    )


def check_same_table(stored: reverb.TableInfo, wanted: reverb.TableInfo, origin: object) -> None:
    """A restored checkpoint overrides the table's configuration: raises ConfigError where it differs."""
    differences = [
        f"{name} {before}, now {now}"
        for name, before, now in (
            ("capacity", stored.max_size, wanted.max_size),
            ("minimum size", _min_items(stored), _min_items(wanted)),
            ("layout", _layout(stored), _layout(wanted)),
        )
        if before != now
    ]
    if differences:
        raise ConfigError(f"{origin} was made with another replay, in items: {'; '.join(differences)}")


def _min_items(info: reverb.TableInfo) -> int:
    return int(info.rate_limiter_info.min_size_to_sample)


def _layout(info: reverb.TableInfo) -> str:
    columns = (info.signature or {}).items()
    return ", ".join(f"{name} {spec.dtype.name}{list(spec.shape)}" for name, spec in sorted(columns))
