"""CMU face stills, and the courses through them that make a sequence."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqdis.datasets._archives import read_members
from seqdis.datasets._images import resized
from seqdis.errors import DataError

POSES = ("straight", "left", "right", "up")
EXPRESSIONS = ("neutral", "happy", "sad", "angry")
EYES = ("open", "sunglasses")
WIDTH, HEIGHT = 128, 120  # pixels of a still
WHITE = 160  # above the brightest white that any still declares (159); all are about as bright
NAMES = rf"([a-z0-9]+)_({'|'.join(POSES)})_({'|'.join(EXPRESSIONS)})_({'|'.join(EYES)})\.pgm"
_HEADER = re.compile(rb"(P[25])\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(\d+)\s")

# All begin with a straight neutral face, so that the first frame shows the static factors and nothing else.
POSE_COURSES = {
    "still": ("straight",),
    "left-right": ("straight", "left", "straight", "right"),
    "right-left": ("straight", "right", "straight", "left"),
    "nod": ("straight", "up", "straight", "up"),
}
EXPRESSION_COURSES = {
    "neutral": ("neutral",),
    "happy": ("neutral", "happy"),
    "sad": ("neutral", "sad"),
    "angry": ("neutral", "angry"),
}
COURSES = tuple(pair for pair in itertools.product(POSE_COURSES, EXPRESSION_COURSES) if pair != ("still", "neutral"))

Index = npt.NDArray[np.int64]
Stills = dict[tuple[str, str, str, str], npt.NDArray[np.uint8]]


def read_stills(source: Path, size: int) -> Stills:
    """Stills of an archive or a folder by (person, pose, expression, eyes), each (1, size, size).

    Parameters
    ----------
    source : Path
        A ``.zip`` or tar archive, or a folder with one folder for each person.
    size : int
        The middle 120 x 120 pixels are averaged over areas to this size.

    Raises
    ------
    DataError
        A still twice, or not a grey image of 128 x 120 pixels; the archive is damaged.
    """
    folders = sorted(entry for entry in source.iterdir() if entry.is_dir()) if source.is_dir() else []
    stills: Stills = {}
    for place in (source, *folders):
        for name, content in read_members(place, NAMES):
            found = re.fullmatch(NAMES, name)
            assert found is not None  # read_members gives no others
            person, pose, expression, eyes = found.groups()
            if (person, pose, expression, eyes) in stills:
                raise DataError(f"{source}: {name} is there twice; expected each still once. Get the published files.")
            stills[person, pose, expression, eyes] = resized(_grey(name, content, source)[..., None], size)
    return stills


def timings(segments: int, length: int) -> list[tuple[int, ...]]:
    """All ways to spend ``length`` steps on so many segments in order, each at least one: the segment of every step."""
    starts = itertools.combinations(range(1, length), segments - 1)
    return [tuple(int(np.searchsorted(begins, step, side="right")) for step in range(length)) for begins in starts]


def course_steps(course: int, length: int) -> Index:
    """All different performances of a course, (performances, 2, length): pose and expression of every step."""
    poses, expressions = (POSE_COURSES[COURSES[course][0]], EXPRESSION_COURSES[COURSES[course][1]])
    pose = [[POSES.index(poses[segment]) for segment in timing] for timing in timings(len(poses), length)]
    expression = [
        [EXPRESSIONS.index(expressions[segment]) for segment in timing] for timing in timings(len(expressions), length)
    ]
    return np.array(list(itertools.product(pose, expression)))


def stacked(stills: Stills, looks: Iterable[tuple[str, str]]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Stills of (person, eyes) as one array (looks, poses, expressions, 1, size, size), and which are there."""
    keys = [
        [[(person, pose, expression, eyes) for expression in EXPRESSIONS] for pose in POSES] for person, eyes in looks
    ]
    there = np.array([[[key in stills for key in row] for row in look] for look in keys])
    blank = np.zeros_like(next(iter(stills.values())))
    return np.array([[[stills.get(key, blank) for key in row] for row in look] for look in keys]), there


def _grey(name: str, content: bytes, source: Path) -> npt.NDArray[np.uint8]:
    """(height, width) values as stored: each file declares a white of its own, which would make brightness jump."""
    header = _HEADER.match(content)
    size = header and (int(header[2]), int(header[3]))
    try:
        if header is None or size != (WIDTH, HEIGHT):
            raise ValueError(f"size {size}")
        body = content[header.end() :]
        values = np.frombuffer(body, np.uint8) if header[1] == b"P5" else np.array(body.split(), dtype=np.uint8)
        return values.reshape(HEIGHT, WIDTH)
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{source}: {name} is no grey PGM image of {WIDTH} x {HEIGHT} pixels ({error}). Get the published file."
        ) from error
