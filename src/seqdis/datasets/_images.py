"""Pictures through OpenCV, which is imported on first use: it comes with the extra ``video``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError

Pixels = npt.NDArray[np.uint8]
MAY_HOLD_ALPHA = (".png", ".tif", ".tiff", ".webp")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".webp")


def opencv() -> Any:
    """The module ``cv2``.

    Raises
    ------
    DataError
        It is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise DataError(
            "images and videos are read by OpenCV, which is not installed: `pip install 'seqdis[video]'`."
        ) from error
    return cv2


def decoded(path: Path, *, colour: bool = True, paper: int = 0) -> Pixels:
    """Pixels of an image file.

    Parameters
    ----------
    path : Path
    colour : bool
        (height, width, 3) in RGB, laid on paper where it is transparent. False: (height, width, channels) as stored,
        alpha last.
    paper : int
        Its value: 0 is black, 255 white.

    Raises
    ------
    DataError
        No such file, or no image that OpenCV can read.
    """
    cv2 = opencv()
    try:
        content = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}). Check that it is there and its permissions.") from error
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR if colour else cv2.IMREAD_UNCHANGED) if len(content) else None
        if image is not None and colour and path.suffix.lower() in MAY_HOLD_ALPHA:
            image = _on_paper(image, cv2.imdecode(content, cv2.IMREAD_UNCHANGED), paper)
    except cv2.error:  # a header that states impossible sizes
        image = None
    if image is None:
        raise DataError(f"{path} is no image that OpenCV can read, or is cut short; remove it or get it again.")
    if image.ndim == 2:
        image = image[..., None]
    return rgb(image) if image.shape[2] >= 3 else image


def _on_paper(image: Pixels, stored: npt.NDArray[Any] | None, paper: int) -> Pixels:
    """The image with paper where the stored one is transparent: the colours behind it were never seen."""
    if stored is None or stored.dtype.kind != "u" or stored.shape != (*image.shape[:2], 4):
        return image
    opacity = stored[..., 3:] / np.float32(np.iinfo(stored.dtype).max)
    blended: Pixels = np.rint(paper + (image - np.float32(paper)) * opacity).astype(np.uint8)
    return blended


def rgb(image: Pixels) -> Pixels:
    """Channels in the order red, green, blue (alpha stays last) instead of OpenCV's."""
    return image[..., [2, 1, 0, *range(3, image.shape[2])]]


def resized(image: Pixels, size: int, fit: Literal["crop", "stretch"] = "crop") -> Pixels:
    """An image (height, width, 3) as (3, size, size), averaged over areas.

    Parameters
    ----------
    image : array of uint8, (height, width, 3)
    size : int
        Pixels of a side.
    fit : "crop" or "stretch"
        The middle square, or the whole image with its sides scaled each by its own factor.
    """
    cv2 = opencv()
    if fit == "crop":
        side = min(image.shape[:2])
        top, left = ((extent - side) // 2 for extent in image.shape[:2])
        image = image[top : top + side, left : left + side]
    # First the sides that shrink: only there are areas averaged.
    height, width = (min(extent, size) for extent in image.shape[:2])
    scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    if min(height, width) < size:
        scaled = cv2.resize(scaled, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(scaled.reshape(size, size, -1).transpose(2, 0, 1))


def frame_files(folder: Path) -> list[Path]:
    """Image files of a folder in the order of the number that ends their names; those without one come first."""
    with os.scandir(folder) as entries:  # tells folders from files without asking for each
        found = [Path(entry.path) for entry in entries if not entry.name.startswith(".") and not entry.is_dir()]
    found = [path for path in found if path.suffix.lower() in IMAGES]
    return sorted(found, key=lambda path: (number_of(path), path.name))


def number_of(path: Path) -> int:
    """The number that ends the name of an image file; -1 without one."""
    digits = re.search(r"\d+$", path.stem)
    return int(digits.group()) if digits else -1
