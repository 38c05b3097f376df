"""Words of seven letters, each written by every writer: one image a letter, one sequence a word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._splits import Index, random_parts, shares_of
from seqdis.errors import DataError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.sequences import DataSpec, FactorSpec, Sequences

# The papers' own hundred words are not published; "science" is the one they quote. Every letter is in six or more.
_WORDS = """
science journey quality example kitchen weather picture morning village freedom
pyramid explore oxidize squeeze jackpot blanket vehicle awkward january diamond
fiction gravity horizon imagine justice knowing library machine network organic
pacific quarter rainbow student thunder unknown victory whisper extreme younger
zealous account balance cabinet dolphin evening farming general harvest inspect
jumping keyhole lantern mystery natural opinion present quickly respect silence
texture uniform volcano wedding exactly yawning zipping biology compass dynamic
eclipse feather glimpse history isolate jasmine kingdom liquids musical notable
orchard perfect radiant stretch trouble upright variety warmest anxiety besides
capture digital freezer hexagon banquet project workday complex monarch mixture
"""
LEXICON = tuple(_WORDS.split())
LETTERS = tuple(ascii_lowercase)
_SPELLED = np.array([[LETTERS.index(letter) for letter in word] for word in LEXICON])


@dataclass(frozen=True)
class Glyphs:
    """Images of every letter by every writer.

    Parameters
    ----------
    images : array of uint8, (images, 1, size, size)
        Ink is bright, paper is 0.
    first, count : array of int64, (writers, 26)
        Images of a writer's letter are ``images[first : first + count]``; one at least.
    writers : tuple of str
    """

    images: npt.NDArray[np.uint8]
    first: Index
    count: Index
    writers: tuple[str, ...]

    def chosen(self, writer: Index, letter: Index, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """One image of each pair, (..., 1, size, size): of its images the one at the share, in [0, 1)."""
        number = self.first[writer, letter] + (shares * self.count[writer, letter]).astype(np.int64)
        return self.images[number]


@hyperparameters
class WordSequences(SequenceDataset):
    """What data sets of handwritten words share; an entry reads the `Glyphs`."""

    modality: ClassVar[str] = "video"

    size: int = hyper(default=64, at_least=8, at_most=256)
    words: int = hyper(default=len(LEXICON), at_least=3, at_most=len(LEXICON))
    unseen_words: bool = False
    test: float = hyper(default=0.2, above=0, at_most=0.9)
    valid: float = hyper(default=0.1, at_least=0, at_most=0.9)
    seed: int = hyper(default=0, at_least=0)
    root: str | None = hyper(default=None, identity=False)

    def _glyphs(self) -> Glyphs:
        raise DataError(f"{type(self).__name__} does not define _glyphs().")

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        glyphs = self._glyphs()
        parts = self._divide(len(glyphs.writers))
        # One share for every writer, word and position: another split shows the same images.
        draw = np.random.default_rng([self.seed, 1])
        shares = draw.random((len(glyphs.writers), len(LEXICON), _SPELLED.shape[1]))
        spec = DataSpec(
            kind="image",
            shape=glyphs.images.shape[1:],
            length=_SPELLED.shape[1],
            scale=(255.0,),
            factors=factors_of(glyphs.writers),
        )
        found = {}
        for part, (writer, word) in parts.items():
            letters = _SPELLED[word]
            found[part] = Sequences(
                x=glyphs.chosen(writer[:, None], letters, shares[writer, word]),
                spec=spec,
                labels={"writer": writer, "letter": letters, "word": word},
                ids=np.array([f"{glyphs.writers[i]}/{LEXICON[j]}" for i, j in zip(writer, word, strict=True)]),
                name=f"{self.name}/{part}",
            )
        return found

    def _divide(self, writers: int) -> dict[str, tuple[Index, Index]]:
        """Writers and words of every part, ascending."""
        shares = shares_of(type(self).__name__, self.valid, self.test)
        found: dict[str, list[Index]] = {part: [] for part in shares}
        for writer in range(writers):
            seed = [self.seed, 0 if self.unseen_words else writer]
            for part, words in random_parts(self.words, shares, seed, "words").items():
                found[part].append(np.sort(words))
        return {part: (np.repeat(np.arange(writers), len(of[0])), np.concatenate(of)) for part, of in found.items()}


def factors_of(writers: tuple[str, ...]) -> tuple[FactorSpec, ...]:
    """Writer; letter of every step; word."""
    return (
        FactorSpec(name="writer", kind="static", classes=writers),
        FactorSpec(name="letter", kind="dynamic", classes=LETTERS),
        FactorSpec(name="word", kind="dynamic", classes=LEXICON),
    )
