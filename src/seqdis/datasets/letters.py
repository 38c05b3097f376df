"""Letters: words in the hands of 65 writers (static), letter by letter (dynamic). The user supplies the images."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from seqdis.datasets._images import Pixels, decoded, frame_files, resized
from seqdis.datasets._words import LETTERS, Glyphs, WordSequences
from seqdis.disk import unreadable
from seqdis.errors import DataError
from seqdis.hyperparameters import hyperparameters

_log = logging.getLogger(__name__)
_NO_WRITER = re.compile(r"[._]|lost\+found$")  # hidden, left by archivers, or of a disk


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
    paper : "auto", "bright" or "dark"
        What is paper, so that ink comes out bright. "auto": as most of a writer's images have it at their edges.
    root : str or None
        Folder that holds the images, in ``letters/`` or directly. None: ``letters/`` in ``SEQDIS_DATA``, else in
        the user's cache folder.

    Raises
    ------
    SettingsError
        From `split`: shares that leave nothing for training.
    DataError
        From `split`: no images, fewer than two writers with all letters, an image that is damaged or without ink,
        OpenCV is not installed.

    Notes
    -----
    Images are sought as ``writer/letter/*.png`` (or another format), with folders of single lower-case letters:
    arrange yours like that, as the set's own layout is not known here. Each is turned grey, what is transparent is
    white, and bright paper is inverted, so that ink is bright on about 0. It is padded with its own paper to a square
    and averaged over areas. Where letters are cropped so tightly that ink fills most edges, say what ``paper`` is; a
    warning counts the images whose edges look otherwise than what was taken.

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
    paper: Literal["auto", "bright", "dark"] = "auto"

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
                advice = "" if self.complete else ", or leave such writers out (complete=True)"
                raise DataError(f"Letters: {what}; expected two or more that have all. Add the images{advice}.")
            _log.warning("Letters: %s; they are left out", what)
        if len(kept) < 2:
            raise DataError(
                f"Letters: {self.location()} holds images of {len(writers)} writer(s) in folders writer/letter, such "
                "as 07/a/1.png, of lower-case letters; expected two or more. Set SEQDIS_DATA (or root=) to the folder "
                "that contains letters/."
            )
        images = np.concatenate([self._hand([files[writer, letter] for letter in LETTERS], writer) for writer in kept])
        count = np.array([len(files[writer, letter]) for writer in kept for letter in LETTERS])
        first = np.cumsum(count) - count
        shape = (len(kept), len(LETTERS))
        return Glyphs(images, first.reshape(shape), count.reshape(shape), kept)

    def _files(self) -> dict[tuple[str, str], list[Path]]:
        """Images by writer and letter."""
        folder = self.location()
        if not os.path.isdir(folder):
            return {}
        try:
            return {
                (writer.name, letter.name): frame_files(letter)
                for writer in folder.iterdir()
                if writer.is_dir() and not _NO_WRITER.match(writer.name)
                for letter in writer.iterdir()
                if letter.name in LETTERS and letter.is_dir()
            }
        except OSError as error:
            raise DataError(unreadable(error.filename or folder, error, ". Check the folder.")) from error

    def _hand(self, files: list[list[Path]], writer: str) -> Pixels:
        """(images, 1, size, size), ink bright: those of all letters of a writer, one letter after the other."""
        paths = [path for of_letter in files for path in of_letter]
        pages = [_page(path) for path in paths]
        bright = np.array([np.median(_edge(page)) > 127 for page in pages])
        inverted = bright.mean() > 0.5 if self.paper == "auto" else self.paper == "bright"
        other = np.flatnonzero(bright != inverted)
        if len(other):
            _log.warning(
                "Letters: paper of writer %s is taken as %s; the edges of %d of %d images, such as %s, look otherwise: "
                "tight crops, or other paper (see `paper`)",
                *(writer, "bright" if inverted else "dark", len(other), len(pages), paths[other[0]]),
            )
        return np.stack([_glyph(255 - page if inverted else page, self.size) for page in pages])


def _page(path: Path) -> Pixels:
    """(height, width), grey."""
    grey: Pixels = np.rint(decoded(path, paper=255).mean(axis=2)).astype(np.uint8)
    if grey.min() == grey.max():
        raise DataError(f"{path} has no ink: all its pixels are {grey.min()}. Remove it, or get it again.")
    return grey


def _edge(page: Pixels) -> Pixels:
    return np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])


def _glyph(page: Pixels, size: int) -> Pixels:
    """(1, size, size) of a page with bright ink."""
    side, (height, width) = max(page.shape), page.shape
    # Not the median: ink may fill most of a tight crop, or of its edge.
    square = np.full((side, side), int(np.quantile(page, 0.05)), dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = page
    return resized(square[..., None], size)


def _natural(name: str) -> tuple[list[int], str]:
    """Writers in the order of the numbers in their names: 2 before 10."""
    return [int(number) for number in re.findall(r"\d+", name)], name
