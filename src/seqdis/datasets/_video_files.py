"""Videos of a user: which are in a folder, and their frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from seqdis.datasets._images import Pixels, decoded, frame_files, number_of, opencv, resized, rgb
from seqdis.disk import check_readable, unreadable
from seqdis.errors import DataError
from seqdis.labels import of_table, read_csv
from seqdis.sequences import Array

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".gif")
INDEXED = (".mp4", ".avi", ".mov", ".m4v")
"""Containers that state how many frames they hold."""
SKIPPED = 2
"""Frames that a decoder may leave out of a whole file, such as some before the first that stands alone."""


def videos_in(folder: Path) -> list[Path]:
    """Video files of a folder, and folders inside it that hold images, by name."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return [entry for entry in entries if (frame_files(entry) if entry.is_dir() else entry.suffix.lower() in VIDEOS)]


def read_video(path: Path, size: int, stride: int, fit: Literal["crop", "stretch"]) -> Pixels:
    """Every ``stride``-th frame of a video, (time, 3, size, size), the first one included.

    Raises
    ------
    DataError
        A file or one of its frames that OpenCV cannot decode, or without frames; an image that cannot be read.
    """
    images = map(decoded, _evenly_numbered(path)[::stride]) if path.is_dir() else _decoded_video(path, stride)
    frames = [resized(image, size, fit) for image in images]
    if not frames:
        raise DataError(
            f"{path}: no frame could be read. The file is empty, damaged or of a kind that OpenCV cannot decode; "
            "convert it to .mp4 or to a folder of images, or remove it."
        )
    return np.stack(frames)


def _evenly_numbered(folder: Path) -> list[Path]:
    """Frames of a folder in their order, refused if one is missing between two others."""
    files = frame_files(folder)
    numbers = np.array([number_of(file) for file in files])
    steps = np.diff(numbers)
    if len(steps) and numbers[0] >= 0 and steps.min() > 0 and steps.max() > steps.min():
        after = int((steps > steps.min()).argmax())
        raise DataError(
            f"{folder}: no frame between {files[after].name} and {files[after + 1].name}, where others are "
            f"{steps.min()} apart. Add what is missing, or number the frames anew if they do follow each other."
        )
    return files


def read_labels(path: Path, names: list[str]) -> dict[str, Array]:
    """Label columns of a table, one row for each file in their order.

    Parameters
    ----------
    path : Path
        ``.csv`` with a column ``file`` (one of `names`); all others are labels.
    names : list of str
        What the files, or folders of images, are called.

    Raises
    ------
    DataError
        No such table, no column ``file``, a file without a row or with two. Rows of other files are ignored.
    """
    try:
        table = read_csv(path, "file", pd.read_csv(path, nrows=0).columns.drop("file", errors="ignore"))
    except DataError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(unreadable(path, error, ": expected a table of labels.")) from error
    if "file" not in table.columns or len(table.columns) < 2:
        raise DataError(
            f"{path}: columns {', '.join(map(str, table.columns))}; expected 'file' with the names of the files, and "
            "one column or more with labels."
        )
    absent = sorted(set(names) - set(table["file"]))
    if absent:
        raise DataError(f"{path}: {len(absent)} of {len(names)} files have no row, such as {absent[0]}. Add them.")
    table = table[table["file"].isin(names)].set_index("file")
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise DataError(f"{path}: {repeated[0]} has several rows; expected one for each file.")
    return {str(name): of_table(table.loc[names, name]) for name in table.columns}


def _decoded_video(path: Path, stride: int) -> Iterator[Pixels]:
    cv2: Any = opencv()
    check_readable(path)
    capture = cv2.VideoCapture(str(path))
    # Other containers state a duration at most, from which OpenCV guesses.
    stated = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if path.suffix.lower() in INDEXED else 0
    try:
        index = 0
        while capture.grab():  # decodes only what is retrieved
            if index % stride == 0:
                good, image = capture.retrieve()
                if not good:
                    raise DataError(
                        f"{path}: frame {index} (counted from 0) cannot be decoded; the file is damaged. Repair or "
                        "convert it, or remove it."
                    )
                yield rgb(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))
            index += 1
        if index < stated - SKIPPED:
            raise DataError(
                f"{path}: {index} frames could be read, and the file states {stated}: it is cut short or damaged. Get "
                "it again, convert it, or remove it."
            )
    finally:
        capture.release()
