"""Records a video of one greedy episode, as an MP4 or a GIF."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import imageio
import numpy as np

from tfdqn.acting.policy import Policy
from tfdqn.config import Task
from tfdqn.errors import RunDirError, TaskError
from tfdqn.evaluation.evaluator import play_episodes
from tfdqn.storage.unfinished import remove_abandoned, unfinished_path
from tfdqn.tasks.batched_task import BatchedTask
from tfdqn.tasks.registry import make_task
from tfdqn.types import Weights

Format = Literal["mp4", "gif"]

_UNFINISHED = ".part."
_FRAMES_PER_SECOND = 50
_GIF_EVERY = 4  # frames
_MIN_SIDE, _GIF_SIDE = 160, 320  # pixels: smaller pictures are enlarged; larger ones are halved in a GIF


def rendered_task(config: Task) -> BatchedTask:
    """Makes the task to be recorded, after one picture of it. Raises TaskError if it can't be rendered."""
    task = make_task(config, render_mode="rgb_array")
    try:
        task.reset(seed=0)
        _picture(task)
    except BaseException:
        task.close()
        raise
    return task


def record_episode(
    folder: Path, task: BatchedTask, policy: Policy, weights: Weights, seed: int, suffix: Format
) -> Path:
    """Plays one episode, records it, and returns the path of the video.

    Args:
      folder: an existing folder, in which the video gets the next free number ("7.mp4").
      task: of `rendered_task`.
      policy: a greedy one.
      seed: of the environment and the policy.
      suffix: "mp4": every frame; "gif": a small video of every fourth frame. Tiny pictures are enlarged.

    Raises TaskError if the task can't be rendered to the end, RunDirError if the video can't be written, and any error
    of the video's encoder.
    """
    try:
        for each in get_args(Format):
            remove_abandoned(folder, ".", f"{_UNFINISHED}{each}")
        unfinished = unfinished_path(folder, ".", f"{_UNFINISHED}{suffix}")
        try:
            with written_video(unfinished) as video:
                play_episodes(task, policy, weights, 1, seed, on_frame=_Camera(task, video, suffix).take)
            return _published(unfinished)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise RunDirError(f"{folder}: the video couldn't be written: is the disk full?") from error


def _published(unfinished: Path) -> Path:
    """Gives a video the next free number, which no other process can have; returns its path."""
    folder = unfinished.parent
    number = max((int(each.stem) for each in folder.iterdir() if each.stem.isdecimal()), default=0)
    while True:
        number += 1
        path = folder / f"{number}{unfinished.suffix}"
        try:
            os.link(unfinished, path)
        except FileExistsError:
            continue  # another process took the number first
        except OSError:  # a file system without hard links
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
            try:
                unfinished.replace(path)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        return path


def _picture(task: BatchedTask) -> np.ndarray:
    picture = task.render()
    if picture is None:
        raise TaskError(f"{task.spec.id} can't be recorded: it has no render mode 'rgb_array'")
    return picture


class _Camera:
    """Passes the pictures that a task renders, step by step, to a video's writer."""

    def __init__(self, task: BatchedTask, video: Any, suffix: Format):
        self._task, self._video, self._suffix = task, video, suffix
        self._frames = 0
        self._size = ""  # of the frames so far

    def take(self) -> None:
        number, self._frames = self._frames, self._frames + 1
        if self._suffix == "gif" and number % _GIF_EVERY:
            return
        picture, name = _picture(self._task), self._task.spec.id
        size = f"{picture.shape[1]} × {picture.shape[0]} pixels"
        self._size = self._size or size
        if size != self._size:
            raise TaskError(f"{name} can't be recorded: frame {number} is {size}, and those before are {self._size}")
        frame = enlarged(picture)
        self._video.append_data(with_even_sides(frame) if self._suffix == "mp4" else _halved(frame))


def enlarged(picture: np.ndarray) -> np.ndarray:
    """uint8[H, W, 3] with each pixel repeated until the shorter side is large enough; boards have only a few cells."""
    times = -(-_MIN_SIDE // min(picture.shape[:2]))
    return picture if times == 1 else picture.repeat(times, axis=0).repeat(times, axis=1)


def _halved(frame: np.ndarray) -> np.ndarray:
    return frame[::2, ::2] if max(frame.shape[:2]) > _GIF_SIDE else frame


def with_even_sides(picture: np.ndarray) -> np.ndarray:
    """uint8[H, W, 3] with the last row or column repeated if their number is odd: H.264 has no odd sizes."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


@contextmanager
def written_video(path: Path) -> Iterator[Any]:
    """Yields a writer of frames; raises OSError if the video is incomplete when the block ends."""
    if path.suffix == ".gif":
        content = BytesIO()  # not a file: if writing fails, imageio's writer tries again, and raises, when deleted
        duration = 1000 * _GIF_EVERY / _FRAMES_PER_SECOND
        with imageio.get_writer(content, format="gif", duration=duration, loop=0) as video:
            yield video
        path.write_bytes(content.getvalue())
        return
    writer = imageio.get_writer(path, fps=_FRAMES_PER_SECOND, macro_block_size=2, ffmpeg_log_level="quiet")
    with closing(writer) as video:  # its own `with` would leave ffmpeg running if the block fails
        yield video
    imageio.get_reader(path).close()  # raises if the file is incomplete: imageio ignores ffmpeg's exit status
