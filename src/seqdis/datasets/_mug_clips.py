"""Clips of the MUG database: where they lie, which of their frames are used, and the face in each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from seqdis.datasets._images import IMAGES, Pixels, decoded, frame_files, opencv, resized
from seqdis.errors import DataError

EXPRESSIONS = ("anger", "disgust", "happiness", "fear", "sadness", "surprise")  # in the order of published labels
_SESSION = re.compile(r"session\d*", re.IGNORECASE)
"""Some subjects came twice: their expressions lie one folder deeper, as in 002/session1/anger/take000."""
Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


class Clip(NamedTuple):
    """One take of one expression: its folder's path inside the data folder, and its frames in order."""

    name: str
    subject: str
    expression: int
    frames: tuple[Path, ...]


def find_clips(folder: Path) -> list[Clip]:
    """All clips ``.../subject/[session/]expression/take/*.jpg`` of the six expressions, by subject and expression.

    Raises
    ------
    DataError
        No such folder, or no clip in it.
    """
    files = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGES] if folder.is_dir() else []
    clips = []
    for take in sorted({path.parent for path in files}):
        parts = take.relative_to(folder).parts
        people = [part for part in parts[:-2] if not _SESSION.fullmatch(part)]
        if people and parts[-2].lower() in EXPRESSIONS:
            expression = EXPRESSIONS.index(parts[-2].lower())
            clips.append(Clip("/".join(parts), people[-1], expression, tuple(frame_files(take))))
    if not clips:
        raise DataError(
            f"MUG: {folder} holds no images in folders subject/expression/take, such as 001/anger/take000/img_0000.jpg "
            f"(expressions: {', '.join(EXPRESSIONS)}). Ask the MUG group for the database, then set SEQDIS_DATA (or "
            "root=) to the folder that contains mug/."
        )
    return sorted(clips, key=lambda clip: (clip.subject, clip.expression, clip.name))


def window_starts(
    clip: Clip, length: int, stride: int, draw: np.random.Generator | None, windows: int = 1
) -> tuple[list[int], int]:
    """First frames of a clip's windows, and the step between their frames.

    Parameters
    ----------
    clip : Clip
    length, stride : int
        Frames of a window and the step between them; a clip too short for that step gives consecutive frames.
    draw : Generator or None
        None: one window in the middle. Else ``windows`` different starts at random, or as many as there are.
    windows : int

    Raises
    ------
    DataError
        Fewer frames than a window has.
    """
    n = len(clip.frames)
    if n < length:
        raise DataError(
            f"MUG: clip {clip.name} has {n} frames; expected {length} or more. Lower length=, or remove the clip."
        )
    step = stride if n >= (length - 1) * stride + 1 else 1
    room = n - ((length - 1) * step + 1) + 1
    if draw is None:
        return [(room - 1) // 2], step
    return sorted(draw.choice(room, size=min(windows, room), replace=False).tolist()), step


def read_window(clip: Clip, chosen: Sequence[Path], size: int, crop: Literal["haar", "none"]) -> Pixels:
    """(frames, 3, size, size): the chosen frames, cut to the face.

    Raises
    ------
    DataError
        An image that cannot be read, or no face in any of the frames.
    """
    images = [decoded(path) for path in chosen]
    if crop == "haar":
        images = [image[y : y + h, x : x + w] for image, (x, y, w, h) in zip(images, _boxes(clip, images), strict=True)]
    return np.stack([resized(image, size) for image in images])


def _boxes(clip: Clip, images: Sequence[Pixels]) -> list[Box]:
    """The face in each image; where none is found the last one found, before the first found that one."""
    found = list(_faces(images))
    last = next((box for box in found if box is not None), None)
    if last is None:
        raise DataError(
            f"MUG: no face was found in clip {clip.name} ({len(images)} frames). Remove the clip, or give crop='none' "
            "if the frames are cut to the face already."
        )
    boxes = []
    for box in found:
        last = box or last
        boxes.append(last)
    return boxes


def _faces(images: Sequence[Pixels]) -> Iterator[Box | None]:
    """The largest face in each image."""
    cv2 = opencv()
    detector: Any = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        least = max(24, min(grey.shape) // 8)  # smaller ones are mistakes: the subject fills these frames
        boxes: npt.NDArray[Any] = np.asarray(detector.detectMultiScale(grey, 1.1, 5, minSize=(least, least)))
        if len(boxes) == 0:
            yield None
        else:
            x, y, w, h = boxes[boxes[:, 2].argmax()].tolist()
            yield x, y, w, h
