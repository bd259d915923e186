"""TensorBoard's event files, as its viewer reads them."""

import re
from pathlib import Path

from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator


def made_earlier(directory: Path, seconds: int = 10) -> None:
    """Files are read in the order of their names, which begin with the second in which they were made."""
    for file in directory.glob("events.out.tfevents.*"):
        head, second, rest = re.fullmatch(r"(events\.out\.tfevents\.)(\d+)(\..*)", file.name).groups()  # type: ignore[union-attr]
        file.rename(directory / f"{head}{int(second) - seconds}{rest}")


def points(directory: Path, tag: str) -> list[int]:
    return [event.step for event in EventAccumulator(str(directory)).Reload().Tensors(tag)]


def tags(directory: Path) -> set[str]:
    return set(EventAccumulator(str(directory)).Reload().Tags()["tensors"])
