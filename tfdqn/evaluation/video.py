"""A film of one greedy episode, as an MP4 or a GIF."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import imageio
import numpy as np

from tfdqn.acting.policy import Policy
from tfdqn.config import Task
from tfdqn.errors import RunDirError, TaskError
from tfdqn.evaluation.evaluator import play_episodes
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.registry import make_task
from tfdqn.types import Weights

Format = Literal["mp4", "gif"]

_FRAMES_PER_SECOND = 50
_GIF_EVERY = 4  # frames
_LEAST_SIDE, _GIF_SIDE = 160, 320  # pixels: smaller pictures are enlarged; larger ones are halved in a GIF


def film_episode(folder: Path, task_config: Task, policy: Policy, weights: Weights, seed: int, suffix: Format) -> Path:
    """Plays one episode and films it.

    Args:
      folder: exists; the film takes the next free number in it ("7.mp4").
      task_config: of the task.
      policy: greedy.
      weights: of its network.
      seed: of the environment.
      suffix: an MP4 of every frame, or a small GIF of every fourth. Pictures of a few pixels are enlarged.

    Raises TaskError for a task that can't be filmed, RunDirError where the film can't be written, and whatever the
    film's writer does.
    """
    number = 1 + max((int(p.stem) for p in folder.iterdir() if p.stem.isdecimal()), default=0)
    path = folder / f"{number}.{suffix}"
    unfinished = folder / f"{number}.part.{suffix}"
    task = make_task(task_config, render_mode="rgb_array")
    try:
        with written_film(unfinished) as film:
            play_episodes(task, policy, weights, 1, seed, on_frame=_Camera(task, film, suffix).take)
        unfinished.rename(path)
    except OSError as error:
        raise RunDirError(f"{path} couldn't be written: is the disk full?") from error
    finally:
        unfinished.unlink(missing_ok=True)
        task.close()
    return path


class _Camera:
    """Hands what a task draws, step by step, to a film's writer."""

    def __init__(self, task: BatchedTask, film: Any, suffix: Format):
        self._task, self._film, self._suffix = task, film, suffix
        self._frames = 0
        self._size = ""  # of those before

    def take(self) -> None:
        number, self._frames = self._frames, self._frames + 1
        if self._suffix == "gif" and number % _GIF_EVERY:
            return
        picture, name = self._task.render(), self._task.spec.id
        if picture is None:
            raise TaskError(f"{name} can't be filmed: it has no render mode 'rgb_array'")
        size = f"{picture.shape[1]} × {picture.shape[0]} pixels"
        self._size = self._size or size
        if size != self._size:
            raise TaskError(f"{name} can't be filmed: frame {number} is {size}, and those before are {self._size}")
        frame = enlarged(picture)
        self._film.append_data(with_even_sides(frame) if self._suffix == "mp4" else _halved(frame))


def enlarged(picture: np.ndarray) -> np.ndarray:
    """uint8[H, W, 3], each pixel repeated as often as the shorter side needs to be seen: boards have few cells."""
    times = -(-_LEAST_SIDE // min(picture.shape[:2]))
    return picture if times == 1 else picture.repeat(times, axis=0).repeat(times, axis=1)


def _halved(frame: np.ndarray) -> np.ndarray:
    return frame[::2, ::2] if max(frame.shape[:2]) > _GIF_SIDE else frame


def with_even_sides(picture: np.ndarray) -> np.ndarray:
    """uint8[H, W, 3] with the last row and column once more where their number is odd: H.264 has no odd sizes."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


@contextmanager
def written_film(path: Path) -> Iterator[Any]:
    """A writer of frames; raises OSError where the film is not whole when the block ends."""
    if path.suffix == ".gif":
        content = BytesIO()  # a file that fails is written once more, and complains, at its writer's deletion
        duration = 1000 * _GIF_EVERY / _FRAMES_PER_SECOND
        with imageio.get_writer(content, format="gif", duration=duration, loop=0) as film:
            yield film
        path.write_bytes(content.getvalue())
        return
    writer = imageio.get_writer(path, fps=_FRAMES_PER_SECOND, macro_block_size=2, ffmpeg_log_level="quiet")
    with closing(writer) as film:  # whose own `with` leaves ffmpeg at work where the block fails
        yield film
    imageio.get_reader(path).close()  # nobody asks ffmpeg how it ended
