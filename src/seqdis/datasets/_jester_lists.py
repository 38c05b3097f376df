"""Clips of the Jester data set: which are listed, where they lie, and which of their frames are used."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from seqdis.datasets._images import IMAGES
from seqdis.disk import unreadable
from seqdis.errors import DataError, unknown_name

GESTURES = (
    *("Doing other things", "Drumming Fingers", "No gesture", "Pulling Hand In", "Pulling Two Fingers In"),
    *("Pushing Hand Away", "Pushing Two Fingers Away", "Rolling Hand Backward", "Rolling Hand Forward"),
    *("Shaking Hand", "Sliding Two Fingers Down", "Sliding Two Fingers Left", "Sliding Two Fingers Right"),
    *("Sliding Two Fingers Up", "Stop Sign", "Swiping Down", "Swiping Left", "Swiping Right", "Swiping Up"),
    *("Thumb Down", "Thumb Up", "Turning Hand Clockwise", "Turning Hand Counterclockwise"),
    *("Zooming In With Full Hand", "Zooming In With Two Fingers", "Zooming Out With Full Hand"),
    "Zooming Out With Two Fingers",
)
"""All 27, by the alphabet."""
LIST_PLACES = ("", "annotations", "labels", "20bn-jester-download-package-labels/labels")
LIST_NAMES = (
    ("jester-v1-train.csv", "jester-v1-validation.csv"),
    ("Train.csv", "Validation.csv"),
    ("train.csv", "validation.csv"),
)
CLIP_PLACES = ("20bn-jester-v1", "rawframes", "")
"""Folders of clips of all lists; ``Train`` and ``Validation`` hold those of their list alone."""

Listed = dict[int, str]
"""Gesture by the number of the clip, ascending."""

_log = logging.getLogger(__name__)


class Clip(NamedTuple):
    """A clip, its gesture, and the paths of the chosen frames in their order."""

    number: int
    gesture: str
    frames: tuple[str, ...]


def read_lists(folder: Path) -> tuple[Listed, Listed]:
    """Clips of the official lists, for training and for validation.

    Raises
    ------
    DataError
        No lists, one that cannot be read or is empty, lines without a number and a known gesture, a clip that is
        listed twice.
    """
    pairs = [(folder / place / train, folder / place / valid) for place in LIST_PLACES for train, valid in LIST_NAMES]
    found = next(((train, valid) for train, valid in pairs if train.is_file() and valid.is_file()), None)
    if found is None:
        raise DataError(
            f"Jester: {folder} does not hold the two lists of clips: expected "
            f"{', or '.join(f'{train} and {valid}' for train, valid in LIST_NAMES)}, there or in annotations/ or "
            "labels/. Get the data set and its lists from Qualcomm, then set SEQDIS_DATA (or root=) to the folder "
            "that contains jester/."
        )
    train, valid = map(_read_list, found)
    both = sorted(train.keys() & valid.keys())
    if both:
        raise DataError(
            f"Jester: {len(both)} clips are in both {found[0]} and {found[1].name}, such as {both[0]}; expected each "
            "in one. Get the lists again."
        )
    return train, valid


def find_clips(
    folder: Path, parts: Mapping[str, Listed], length: int, *, complete: bool = True
) -> dict[str, list[Clip]]:
    """Listed clips that can be used, by part: those that have a folder with `length` frames.

    Parameters
    ----------
    folder : Path
    parts : mapping from part to its listed clips
        "test" is of the validation list, all others of the training list.
    length : int
        Frames to choose: every so many, from the first one on, as go into all.
    complete : bool
        Refuse if some clip cannot be used; else these are left out.

    Raises
    ------
    DataError
        Clips without a folder or with too few frames; a folder that cannot be read.
    """
    found: dict[str, list[Clip]] = {}
    absent: list[int] = []
    short: list[tuple[int, int]] = []
    for part, listed in parts.items():
        folders = _clip_folders(folder, "Validation" if part == "test" else "Train")
        found[part] = []
        for number, gesture in listed.items():
            if number not in folders:
                absent.append(number)
                continue
            frames = _frames(folders[number])
            if len(frames) < length:
                short.append((number, len(frames)))
            else:
                chosen = frames[:: len(frames) // length][:length]
                found[part].append(Clip(number, gesture, tuple(os.path.join(folders[number], name) for name in chosen)))
    if absent or short:
        words = _lacking(absent, short, length, sum(map(len, parts.values())))
        if complete:
            raise DataError(
                f"Jester: {words}. Folders of clips were sought in {folder}, there and in 20bn-jester-v1/, rawframes/, "
                "and Train/ or Validation/. Complete the copy, or leave such clips out with complete=False."
            )
        _log.warning("Jester: %s; they are left out", words)
    return found


def _read_list(path: Path) -> Listed:
    """Gesture by number: lines ``number;gesture``, or a table with a header."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
        first = next(filter(str.strip, lines), "")
        rows = list(csv.reader(lines, delimiter=";" if ";" in first else ","))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(unreadable(path, error, ": expected lines number;gesture. Get the list again.")) from error
    columns = _columns(path, rows[0] if rows else [])
    listed: Listed = {}
    for line, row in enumerate(rows, 1):
        cells = [row[column].strip() if column < len(row) else "" for column in columns]
        if not any(cells) or (line == 1 and not _is_number(cells[0])):
            continue
        if not _is_number(cells[0]) or not cells[1]:
            raise DataError(f"{path}, line {line}: '{lines[line - 1]}'; expected the number of a clip and its gesture.")
        number, gesture = int(cells[0]), cells[1]
        if gesture not in GESTURES:
            raise DataError(f"{path}, line {line}: {unknown_name('gesture', gesture, GESTURES)}")
        if number in listed:
            raise DataError(f"{path}, line {line}: clip {number} is listed before; expected once. Get the list again.")
        listed[number] = gesture
    if not listed:
        raise DataError(f"{path} lists no clips; expected a line for each, such as 34870;Drumming Fingers.")
    return dict(sorted(listed.items()))


def _columns(path: Path, first: list[str]) -> tuple[int, int]:
    """Where number and gesture stand: the first two, or as the header says."""
    if not first or _is_number(first[0].strip()):
        return 0, 1
    names = [name.strip() for name in first]
    number = next((name for name in ("video_id", "id") if name in names), None)
    if number is None or "label" not in names:
        raise DataError(
            f"{path} begins with '{', '.join(names)}'; expected a line number;gesture, or a header with the columns "
            "video_id (or id) and label."
        )
    return names.index(number), names.index("label")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _clip_folders(folder: Path, own: str) -> dict[int, str]:
    """Paths of all clips by number. One listing of each place: asking for every clip in every place takes long."""
    found: dict[int, str] = {}
    for place in (CLIP_PLACES[0], own, *CLIP_PLACES[1:]):
        base = folder / place
        if base.is_dir():
            try:
                with os.scandir(base) as entries:
                    here = [entry for entry in entries if _is_number(entry.name) and entry.is_dir()]
            except OSError as error:
                raise DataError(unreadable(base, error, ". Check the folder.")) from error
            own_of: dict[int, str] = {}
            for entry in here:
                number = int(entry.name)
                if number in own_of:
                    raise DataError(f"Jester: {own_of[number]} and {entry.path} are both clip {number}. Remove one.")
                own_of[number] = entry.path
            found = own_of | found
    return found


def _frames(folder: str) -> list[str]:
    """Names of the frames in their order. Only a name that is a number is one: optical flow may lie beside."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise DataError(unreadable(folder, error, ". Check the folder.")) from error
    numbers: dict[int, str] = {}
    for name in names:
        stem, suffix = os.path.splitext(name)
        if _is_number(stem) and suffix.lower() in IMAGES:
            if int(stem) in numbers:
                raise DataError(f"{folder}: both {name} and {numbers[int(stem)]} are frame {int(stem)}. Remove one.")
            numbers[int(stem)] = name
    return [numbers[number] for number in sorted(numbers)]


def _lacking(absent: list[int], short: list[tuple[int, int]], length: int, listed: int) -> str:
    words = []
    if absent:
        words.append(f"{len(absent)} of {listed} listed clips have no folder, such as {absent[0]}")
    if short:
        number, frames = short[0]
        words.append(f"{len(short)} of {listed} have fewer than {length} frames, such as {number} with {frames}")
    return ", and ".join(words)
