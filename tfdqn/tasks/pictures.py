"""What environments draw, whatever they give it as, as pictures that can be filmed."""

from typing import Any

import numpy as np


def as_picture(drawn: Any) -> np.ndarray:
    """uint8[height, width, 3] of a frame, or of the last of a list of frames, as an environment's `render` gives it.

    A frame is grey ([H, W] or [H, W, 1]), RGB or RGBA; integers and floats are 0 to 255, floats that are all at most
    1 are 0 to 1. Raises ValueError for anything else.
    """
    if drawn is None:
        raise ValueError("its render() gave None")
    try:
        picture = np.asarray(drawn)
    except ValueError:
        raise ValueError(f"its render() gave a {type(drawn).__name__} that is no picture") from None
    if picture.ndim == 4 and len(picture):
        picture = picture[-1]  # render_mode "rgb_array_list"
    if picture.ndim == 2:
        picture = picture[..., np.newaxis]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or picture.size == 0:
        raise ValueError(f"its render() gave an array of shape {picture.shape}: [height, width, 3] is needed")
    if picture.dtype.kind not in "biuf":
        raise ValueError(f"its render() gave {picture.dtype}, not numbers from 0 to 255")
    picture = _bytes(picture[..., :3])
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def _bytes(picture: np.ndarray) -> np.ndarray:
    if picture.dtype == np.uint8:
        return picture
    if picture.dtype == np.bool_:
        return picture.astype(np.uint8) * 255
    if picture.dtype.kind == "f":
        if not np.isfinite(picture).all():
            raise ValueError("its render() gave numbers that are not finite")
        if picture.max() <= 1.0:
            picture = picture * 255
        picture = np.rint(picture)
    return np.clip(picture, 0, 255).astype(np.uint8)
