"""What `launch` and `host` say of a job's processes."""

import re

from tests.support.commands import Tfdqn


def until_at_work(process: Tfdqn, *names: str) -> None:
    process.until(lambda: set(names) <= at_work(process.out), "work")


def at_work(said: str) -> set[str]:
    """Who was said to be: "actors 0–1, 3: at work" is of three."""
    found = set()
    for role, indices in re.findall(r"^(\D+?)s? ([\d–, ]+): at work$", said, flags=re.MULTILINE):
        for part in indices.split(", "):
            first, _, last = part.partition("–")
            found |= {f"{role} {index}" for index in range(int(first), int(last or first) + 1)}
    return found
