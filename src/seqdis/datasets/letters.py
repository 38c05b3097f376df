"""Letters: words in the hands of 65 writers (static), letter by letter (dynamic). The user supplies the images."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seqdis.datasets._images import decoded, frame_files, resized
from seqdis.datasets._words import LETTERS, Glyphs, WordSequences
from seqdis.errors import DataError
from seqdis.hyperparameters import hyperparameters

_log = logging.getLogger(__name__)


@hyperparameters
class Letters(WordSequences):
    """Words composed of handwritten letters of the ISGL data set, from a copy of your own.

    Parameters
    ----------
    size : int
        Height and width of a letter's image in pixels.
    words : int
        The first so many of the hundred words; every writer writes each.
    unseen_words : bool
        Words of ``test`` and ``valid`` are written by nobody in training. Else each writer has other ones there.
    test, valid : float
        Share of each writer's words in these parts; 0 leaves ``valid`` out.
    seed : int
        Draws the parts, and which image of a letter stands where.
    complete : bool
        Writers without an image of every letter are left out, with a warning (of the published 66: number 61). False:
        they are an error.
    root : str or None
        Folder that holds the images, in ``letters/`` or directly. None: ``SEQDIS_DATA``, else the user's cache folder.

    Raises
    ------
    SettingsError
        From `split`: shares that leave nothing for training.
    DataError
        From `split`: no images, fewer than two writers with all letters, a damaged image, OpenCV is not installed.

    Notes
    -----
    Images are sought as ``writer/letter/*.png`` (or another format), with folders of single lower-case letters:
    arrange yours like that, as the set's own layout is not known here. Each is turned grey; where most of it is bright,
    paper is bright, and it is inverted, so that ink is bright on about 0. It is padded with paper to a square
    and averaged over areas.

    Two images of each letter by each of 65 writers are published as such; at every position of a word one is drawn.
    The papers' lexicon and split are not stated: the hundred words are ours, and every writer's words are
    divided 70/10/20. One image has many places, in all parts; with ``unseen_words`` words, not images, are new.

    References
    ----------
    Ibrahim et al., 2019 (the images). Naiman et al., ICML 2023 (SPYL), Tab. 3 and 9-11.

    Examples
    --------
    >>> Letters(size=32).words
    100
    """

    name: ClassVar[str] = "letters"
    licence: ClassVar[str] = "not known; no public copy was found"
    source: ClassVar[str] = "the ISGL online and offline character recognition data set"
    citation: ClassVar[str] = """@misc{ibrahim2019isgl,
  title  = {{ISGL} Online and Offline Character Recognition Dataset},
  author = {Ibrahim and others},
  year   = {2019}
}"""

    complete: bool = True

    def _glyphs(self) -> Glyphs:
        files = self._files()
        writers = tuple(sorted({writer for writer, _ in files}, key=_natural))
        gaps = {
            writer: [letter for letter in LETTERS if not files.get((writer, letter))]
            for writer in writers
            if any(not files.get((writer, letter)) for letter in LETTERS)
        }
        kept = tuple(writer for writer in writers if writer not in gaps)
        if gaps:
            what = ", ".join(f"{writer} ({''.join(letters)})" for writer, letters in list(gaps.items())[:3])
            what = f"{len(gaps)} of {len(writers)} writers have no image of some letters: {what}"
            if not self.complete or len(kept) < 2:
                raise DataError(f"Letters: {what}. Add the images, or leave such writers out (complete=True).")
            _log.warning("Letters: %s; they are left out", what)
        if len(kept) < 2:
            raise DataError(
                f"Letters: {self.location()} holds images of {len(writers)} writer(s) in folders writer/letter, such "
                "as 07/a/1.png; expected two or more. Set SEQDIS_DATA (or root=) to the folder that contains letters/."
            )
        lists = [files[writer, letter] for writer in kept for letter in LETTERS]
        images = np.stack([_glyph(path, self.size) for paths in lists for path in paths])
        count = np.array([len(paths) for paths in lists])
        first = np.cumsum(count) - count
        shape = (len(kept), len(LETTERS))
        return Glyphs(images, first.reshape(shape), count.reshape(shape), kept)

    def _files(self) -> dict[tuple[str, str], list[Path]]:
        """Images by writer and letter."""
        folder = self.location()
        if not folder.is_dir():
            return {}
        return {
            (writer.name, letter.name): frame_files(letter)
            for writer in folder.iterdir()
            if writer.is_dir()
            for letter in writer.iterdir()
            if letter.name in LETTERS and letter.is_dir()
        }


def _glyph(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """(1, size, size), ink bright."""
    grey: npt.NDArray[np.uint8] = np.rint(decoded(path).mean(axis=2)).astype(np.uint8)
    if np.median(grey) > 127:
        grey = 255 - grey
    side, (height, width) = max(grey.shape), grey.shape
    square = np.full((side, side), int(np.median(grey)), dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = grey
    return resized(square[..., None], size)


def _natural(name: str) -> tuple[list[int], str]:
    """Writers in the order of the numbers in their names: 2 before 10."""
    return [int(number) for number in re.findall(r"\d+", name)], name
