"""`read_seeds`: reads a list of seeds as a user writes it: "1-5,8"."""

import re
from collections import Counter

from tfdqn.errors import ConfigError

_MOST = 1_000
_PART = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?", re.ASCII)


def read_seeds(text: str) -> list[int]:
    """The seeds of a list such as "1-5,8", in its order. Raises ConfigError if it is malformed or too long."""
    seeds: list[int] = []
    for part in text.split(","):
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise _error(text, f"{part.strip()!r} is neither a seed nor a range; give them like 1-5 or 1,2,8")
        first = int(found[1])
        last = first if found[2] is None else int(found[2])
        if last < first:
            raise _error(text, f"the first seed of a range must not be larger than the last, as in {last}-{first}")
        if len(seeds) + last - first >= _MOST:
            raise _error(text, f"more than {_MOST:,} seeds")
        seeds += range(first, last + 1)
    if twice := [seed for seed, count in Counter(seeds).items() if count > 1]:
        raise _error(text, f"{twice[0]} is given twice")
    return seeds


def _error(text: str, why: str) -> ConfigError:
    shown = text if len(text) <= 50 else f"{text[:47]}..."
    return ConfigError(f"--seeds {shown}: {why}")
