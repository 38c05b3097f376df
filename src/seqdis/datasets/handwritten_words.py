"""Handwritten words composed of Omniglot's Latin letters: who writes (static), and which letter (dynamic)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from seqdis.datasets._archives import read_members
from seqdis.datasets._download import RemoteFile
from seqdis.datasets._hybrids import hybrid_labels
from seqdis.datasets._images import opencv, resized
from seqdis.datasets._words import LETTERS, Glyphs, WordSequences, factors_of
from seqdis.errors import DataError
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.sequences import Sequences

DRAWERS = 20
FIRST = 683
"""Number of the letter a in Omniglot; the others follow."""
SIDE = 105
_NAMES = r"(\d{4})_(\d{2})\.png"
_ARCHIVE = "images_background_small1"
_FILE = RemoteFile(
    name=f"{_ARCHIVE}.zip",
    url=f"https://raw.githubusercontent.com/brendenlake/omniglot/master/python/{_ARCHIVE}.zip",
    sha256="f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
    also=((_ARCHIVE, None),),
)


@hyperparameters
class HandwrittenWords(WordSequences):
    """Words of seven letters in the hands of twenty people, letter by letter, with known factors and true hybrids.

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
        Draws the parts.
    root : str or None
        Folder that holds ``images_background_small1.zip`` (or that folder, unpacked), or ``omniglot/`` with it.
        None: ``SEQDIS_DATA``, else the user's cache folder.

    Raises
    ------
    SettingsError
        From `split`: shares that leave nothing for training.
    DataError
        From `split`: no archive, a damaged one, letters that are missing, OpenCV is not installed.

    Notes
    -----
    **Composed, not written as words**: 20 people drew each of the 26 letters once, on a screen. A sequence is a word
    of a lexicon (`seqdis.datasets._words`), one image per letter in the hand of one writer; all e's of a
    writer are the same image. 2,000 sequences, of which none is in two parts; nearly every image of the test part is
    in training. Stands in for `Letters`, whose images are not public: scores are not comparable.

    "letter" is a label of every step, "writer" and "word" of the sequence. A letter alone tells little of its writer:
    20 hands differ in size, place and a stroke here or there.

    Values are those of the files, ink bright on 0, averaged over areas.

    References
    ----------
    Lake, Salakhutdinov, Tenenbaum. Human-level concept learning through probabilistic program induction. Science, 2015.
    For words as sequences of letters: Naiman et al., ICML 2023 (SPYL), appendix.

    Examples
    --------
    >>> HandwrittenWords(words=50).size
    32
    """

    name: ClassVar[str] = "handwritten-words"
    folder_name: ClassVar[str] = "omniglot"
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "https://github.com/brendenlake/omniglot"
    citation: ClassVar[str] = """@article{lake2015omniglot,
  title   = {Human-level concept learning through probabilistic program induction},
  author  = {Lake, Brenden M. and Salakhutdinov, Ruslan and Tenenbaum, Joshua B.},
  journal = {Science},
  volume  = {350},
  number  = {6266},
  pages   = {1332--1338},
  year    = {2015}
}"""

    size: int = hyper(default=32, at_least=8, at_most=SIDE)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """The smaller set of images as published, or its folder."""
        return (_FILE,)

    def hybrid(self, static_of: Sequences, dynamic_of: Sequences) -> npt.NDArray[Any]:
        """The true hybrids: the words of one set in the hands of the other.

        Parameters
        ----------
        static_of, dynamic_of : Sequences of this data set, paired row by row

        Returns
        -------
        array of uint8, (n, 7, 1, size, size)

        Raises
        ------
        DataError
            Different numbers of sequences, or sequences without these labels or of another shape.
        """
        if dynamic_of.labels.get("letter", np.empty((0, 0))).ndim != 2:
            raise DataError(f"{dynamic_of.name}: one label 'letter' per sequence; expected one per step, (n, 7).")
        glyphs = self._glyphs()
        shape = (1, self.size, self.size)
        factors = [factor for factor in factors_of(glyphs.writers) if factor.name != "word"]
        labels = hybrid_labels(self.name, factors, shape, static_of, dynamic_of)
        only = np.zeros(labels["letter"].shape)  # there is one image of each
        return glyphs.chosen(labels["writer"][:, None], labels["letter"], only)

    def _glyphs(self) -> Glyphs:
        found = _FILE.found_in(self.location())
        if found is None:
            raise DataError(
                f"Omniglot: found neither {_FILE.name} nor the folder {_ARCHIVE} in {self.location()}. Run "
                f"`seqdis data fetch {self.name}`, or set SEQDIS_DATA (or root=) to the folder that contains "
                f"{self.folder_name}/."
            )
        images: dict[tuple[int, int], npt.NDArray[np.uint8]] = {}
        for name, content in _members(found[0]):
            letter, drawer = (int(number) for number in name.removesuffix(".png").split("_"))
            images[drawer - 1, letter - FIRST] = resized(_ink(name, content, found[0])[..., None], self.size)
        wanted = [(drawer, letter) for drawer in range(DRAWERS) for letter in range(len(LETTERS))]
        missing = [pair for pair in wanted if pair not in images]
        if missing:
            drawer, letter = missing[0]
            raise DataError(
                f"{found[0]}: {len(missing)} of {len(wanted)} Latin letters are missing, such as {LETTERS[letter]} "
                f"({FIRST + letter:04d}_{drawer + 1:02d}.png). Get the published archive again."
            )
        count = np.ones((DRAWERS, len(LETTERS)), dtype=np.int64)
        first = np.arange(count.size).reshape(count.shape)
        writers = tuple(f"{drawer + 1:02d}" for drawer in range(DRAWERS))
        return Glyphs(np.stack([images[pair] for pair in wanted]), first, count, writers)


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the Latin letters, of an archive or of its folder."""
    folders = [source]
    if source.is_dir():
        places = [place / "Latin" for place in (source, source / _ARCHIVE)]  # Windows unpacks into a folder of its own
        folders = sorted(path for place in places for path in place.glob("character[0-9][0-9]") if path.is_dir())
        if not folders:
            raise DataError(f"{source}: expected Latin/character01 to character26 in it. Unpack the archive again.")
    for folder in folders:
        for name, content in read_members(folder, _NAMES):
            found = re.fullmatch(_NAMES, name)
            assert found is not None  # read_members gives no others
            if FIRST <= int(found[1]) < FIRST + len(LETTERS) and 1 <= int(found[2]) <= DRAWERS:
                yield name, content


def _ink(name: str, content: bytes, source: Path) -> npt.NDArray[np.uint8]:
    """(105, 105), ink bright: the files have black ink on white."""
    cv2 = opencv()
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) if content else None
    if image is None or image.shape != (SIDE, SIDE):
        given = "no image" if image is None else f"{image.shape[1]} x {image.shape[0]} pixels"
        raise DataError(f"{source}: {name} is no image of {SIDE} x {SIDE} pixels ({given}). Get the published archive.")
    inverted: npt.NDArray[np.uint8] = 255 - image
    return inverted
