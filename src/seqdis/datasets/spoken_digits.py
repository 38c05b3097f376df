"""Spoken digits of the Free Spoken Digit Dataset: a speaker (static) says a digit (dynamic)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from seqdis.datasets._archives import content_hash, read_members
from seqdis.datasets._audio_features import Preparation, frames_of, parts_of, sequences_of, spectrogram_of
from seqdis.datasets._audio_files import Clip
from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._download import RemoteFile
from seqdis.datasets._splits import Index, group_parts
from seqdis.errors import DataError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.sequences import FactorSpec, Sequences
from seqdis.spectrogram import Spectrogram

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RATE = 8_000
_NAMES = r"\d_[a-z]+_\d+\.wav"
_TAKES = 5  # of each digit by each speaker: 0 to 4 are the official test set, as many after them are for validation
_COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
_FILE = RemoteFile(
    name=f"free-spoken-digit-dataset-{_COMMIT}.zip",
    url=f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{_COMMIT}.zip",
    also=(
        ("recordings.zip", "0680e70d0cbcc8e640fc11be5b74a63c1f3920ce9b32a9dee6174072c4e15292"),
        ("recordings", None),
    ),
)


@hyperparameters
class SpokenDigits(SequenceDataset):
    """Spoken digits, 50 takes of each by six speakers.

    Parameters
    ----------
    features : "logmel" or "magnitude"
        64 mel bands of 32 ms windows every 12.5 ms, as logarithms; or magnitudes as published for TIMIT (20 ms
        windows, 201 bins), at 8 kHz.
    length : int
        Frames of a sequence; shorter digits are padded. Of longer ones the loudest stretch is taken.
    split_rule : "take" or "speaker"
        "take": takes 0 to 4 for testing, as its publishers do, 5 to 9 for validation; every speaker is in all parts.
        "speaker": one speaker for testing, one for validation and four for training, drawn with `split_seed`.
    trim : float
        Silence around a digit is cut off where it is quieter than its loudest moment by more than so many
        decibels; 0 keeps it.
    level : bool
        Bring every digit to the same root mean square; else the level alone tells something of the speaker.
    split_seed : int
    root : str or None
        Folder that holds the recordings (an archive, or the folder ``recordings``), or ``fsdd/`` with them. None:
        ``SEQDIS_DATA``, else the user's cache folder.

    Raises
    ------
    DataError
        From `split`: no recordings, damaged ones, or libraries are missing.

    Notes
    -----
    A sequence is a whole digit and so an utterance of its own. By takes 2,400 / 300 / 300 sequences, by speakers
    2,000 / 500 / 500. With six speakers nothing can be said about speakers in general, and recording conditions
    differ between them, so that bands which only noise fills tell the speaker too.

    Networks see logarithms by mean and spread of each band in the training part.

    References
    ----------
    Jackson et al., Free Spoken Digit Dataset, 2018.

    Examples
    --------
    >>> SpokenDigits().spectrogram.rate
    8000
    """

    name: ClassVar[str] = "spoken-digits"
    folder_name: ClassVar[str] = "fsdd"
    licence: ClassVar[str] = "CC BY-SA 4.0"
    source: ClassVar[str] = "https://github.com/Jakobovski/free-spoken-digit-dataset"
    citation: ClassVar[str] = """@misc{jackson2018fsdd,
  title        = {{Jakobovski/free-spoken-digit-dataset}},
  author       = {Zohar Jackson and C\\'esar Souza and Jason Flaks and Yuxin Pan and Hereman Nicolas and Adhish Thite},
  howpublished = {\\url{https://github.com/Jakobovski/free-spoken-digit-dataset}},
  year         = {2018}
}"""
    modality: ClassVar[str] = "audio"

    features: Literal["logmel", "magnitude"] = "logmel"
    length: int = hyper(default=56, at_least=8)
    split_rule: Literal["take", "speaker"] = "take"
    trim: float = hyper(default=30.0, at_least=0, at_most=96)
    level: bool = True
    split_seed: int = hyper(default=0, at_least=0)
    root: str | None = hyper(default=None, identity=False)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """The publisher's archive, or its recordings alone, packed or not."""
        return (_FILE,)

    @property
    def spectrogram(self) -> Spectrogram:
        """How frames are made of sound."""
        return spectrogram_of(self.features, RATE)

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        source = self._source()
        clips = [Clip(Path(name).stem, content) for name, content in sorted(read_members(source, _NAMES))]
        if not clips:
            raise DataError(f"{source} holds no recordings such as 0_george_0.wav. Get the published files.")
        digit, names, take = zip(*(clip.name.split("_") for clip in clips), strict=True)
        speakers, speaker = np.unique(names, return_inverse=True)
        factors = (
            FactorSpec(name="speaker", kind="static", classes=tuple(speakers.tolist())),
            FactorSpec(name="digit", kind="dynamic", classes=DIGITS),
        )
        preparation = Preparation(spectrogram=self.spectrogram, length=self.length, trim=self.trim, level=self.level)
        found = frames_of(self.name, content_hash(source, _NAMES), clips, preparation)
        labels = {"speaker": speaker, "digit": np.array(digit, dtype=np.int64)}
        everything = sequences_of(self.name, found, factors, labels, np.array([clip.name for clip in clips]))
        return parts_of(everything, self._divide(speaker, np.array(take, dtype=np.int64)), self.spectrogram)

    def _divide(self, speaker: Index, take: Index) -> dict[str, Index]:
        if self.split_rule == "speaker":
            return group_parts(speaker, {"train": 4 / 6, "valid": 1 / 6, "test": 1 / 6}, self.split_seed)
        part = np.minimum(take // _TAKES, 2)  # 0 test, 1 valid, 2 train
        return {name: np.flatnonzero(part == number) for number, name in ((2, "train"), (1, "valid"), (0, "test"))}

    def _source(self) -> Path:
        return self._found(_FILE)
