"""Spoken words of DSPSpeech-20: a speaker (static) says one of twenty words (dynamic)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from seqdis.datasets._archives import read_members
from seqdis.datasets._audio_features import Preparation, frames_of, parts_of, sequences_of, spectrogram_of
from seqdis.datasets._audio_files import Clip
from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._download import RemoteFile, file_sha256
from seqdis.datasets._splits import Index, group_parts, shares_of
from seqdis.errors import DataError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.sequences import FactorSpec, Sequences
from seqdis.spectrogram import Spectrogram

# In the order of the published labels; the first twelve are Chinese, transcribed here.
WORDS = (
    *("shùzì", "yǔyīn", "yǔyán", "shíbié", "zhōngguó", "zǒnggōng", "běijīng", "bèijǐng", "shànghǎi", "shāngháng"),
    *("fùdàn", "fàndiàn", "speech", "speaker", "signal", "process", "print", "open", "close", "project"),
)
RATE = 16_000
_COMMIT = "8165959c2567190524898e8187021c8ffb19b262"
_FILE = RemoteFile(
    name=f"DSPSpeech-20-{_COMMIT}.zip",
    url=f"https://github.com/zhongyuchen/DSPSpeech-20/archive/{_COMMIT}.zip",
    also=(("dspspeech20_subset_flac.zip", "8efcecb1379f6b4e1824dd6a8cef04a184d9f4a7b2b561fe7806afbfb2a021c7"),),
)


@hyperparameters
class SpokenWords(SequenceDataset):
    """Twenty isolated words, twelve Chinese and eight English, by 34 speakers; no speaker is in two parts.

    Parameters
    ----------
    features : "logmel" or "magnitude"
        64 mel bands of 32 ms windows every 12.5 ms, as logarithms; or the magnitudes that are published for TIMIT.
    length : int
        Frames of a sequence; shorter words are padded. Of longer ones the loudest stretch is taken.
    takes : tuple of int
        Which of the recordings 1 to 20 of each word by each speaker; those of the subset by default.
        Empty: all that are there.
    split_rule : "speaker" or "recording"
        Divide the speakers at random, or the recordings: then every speaker is in all parts, and mostly the same
        speaker's other takes of a test word are in training.
    trim : float
        Silence around a word is cut off where it is quieter than the word's loudest moment by more than so many
        decibels; 0 keeps it.
    level : bool
        Bring every word to the same root mean square; else the level alone tells something of the speaker.
    max_clipped : float
        Leave out recordings of which a larger share of samples is clipped; 1 keeps all.
    valid, test : float
        Share of the speakers or recordings in those parts.
    split_seed : int
    root : str or None
        Folder that holds the archive, or ``dspspeech20/`` with it. None: ``SEQDIS_DATA``, else the user's cache
        folder.

    Raises
    ------
    SettingsError
        From `split`: shares that leave nothing for training.
    DataError
        From `split`: no archive, a damaged one, a recording that cannot be decoded, or libraries are missing.

    Notes
    -----
    A sequence is a whole word, so that every sequence is an utterance: its static code is what verifies the
    speaker, and "word" is the dynamic factor, one label for the sequence. By default 22 / 4 / 8 speakers with up to
    40 words each (takes 1 and 11).

    Defects of the recordings, and what is done: levels differ between speakers, who account for 30 % of the
    variance (`level`); the first speaker is clipped in many takes (`max_clipped`, which leaves out 16 of 1,360);
    silence of unequal length (`trim`). Device, room and noise still help to tell the speaker, as in any recordings
    made at home: compare with controls. "běijīng" and "bèijǐng" differ by tones only. Speakers are numbered in the
    order of their names in the archive.

    Networks see logarithms by mean and spread of each band in the training part.

    References
    ----------
    DSPSpeech-20, students of Digital Signal Processing, Fudan University, 2019.

    Examples
    --------
    >>> SpokenWords().spectrogram.bins
    64
    """

    name: ClassVar[str] = "spoken-words"
    folder_name: ClassVar[str] = "dspspeech20"
    licence: ClassVar[str] = "MIT"
    source: ClassVar[str] = "https://github.com/zhongyuchen/DSPSpeech-20"
    citation: ClassVar[str] = """@misc{dspspeech20,
  title        = {{DSPSpeech-20}: a speech dataset of 20 isolated words},
  author       = {Zhongyu Chen and others},
  howpublished = {\\url{https://github.com/zhongyuchen/DSPSpeech-20}},
  year         = {2019}
}"""
    modality: ClassVar[str] = "audio"

    features: Literal["logmel", "magnitude"] = "logmel"
    length: int = hyper(default=96, at_least=8)
    takes: tuple[int, ...] = (1, 11)
    split_rule: Literal["speaker", "recording"] = "speaker"
    trim: float = hyper(default=30.0, at_least=0, at_most=96)
    level: bool = True
    max_clipped: float = hyper(default=0.01, at_least=0, at_most=1)
    valid: float = hyper(default=0.12, above=0, at_most=0.8)
    test: float = hyper(default=0.23, above=0, at_most=0.8)
    split_seed: int = hyper(default=0, at_least=0)
    root: str | None = hyper(default=None, identity=False)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """The publisher's archive of all takes, or the subset of takes 1 and 11."""
        return (_FILE,)

    @property
    def spectrogram(self) -> Spectrogram:
        """How frames are made of sound."""
        return spectrogram_of(self.features, RATE)

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        shares = shares_of("SpokenWords", self.valid, self.test)
        archive = self._archive()
        clips, speaker, word = self._clips(archive)
        speakers, code = np.unique(speaker, return_inverse=True)
        preparation = Preparation(spectrogram=self.spectrogram, length=self.length, trim=self.trim, level=self.level)
        found = frames_of(self.name, file_sha256(archive), clips, preparation)
        factors = (
            FactorSpec(name="speaker", kind="static", classes=tuple(f"S{i + 1:02d}" for i in range(len(speakers)))),
            FactorSpec(name="word", kind="dynamic", classes=WORDS),
        )
        ids = np.array([f"S{who + 1:02d}-{clip.name.partition('-')[2]}" for who, clip in zip(code, clips, strict=True)])
        everything = sequences_of(self.name, found, factors, {"speaker": code, "word": word}, ids)
        everything = everything[found.clipped <= self.max_clipped]
        groups = everything.labels["speaker"] if self.split_rule == "speaker" else np.arange(len(everything))
        return parts_of(everything, group_parts(groups, shares, self.split_seed), self.spectrogram)

    def _clips(self, archive: Path) -> tuple[list[Clip], npt.NDArray[np.str_], Index]:
        """Recordings in the order of speakers, words and takes."""
        takes = "|".join(f"{take:02d}" for take in self.takes) or r"\d\d"
        pattern = rf"\w+-\d\d-(?:{takes})\.(?:wav|flac)"
        clips = [Clip(Path(name).stem, content) for name, content in sorted(read_members(archive, pattern))]
        if not clips:
            raise DataError(
                f"{archive} holds no recordings such as S01/S01-00-01.flac of takes {self.takes}; give other takes=, "
                "or get the published archive."
            )
        speaker, word, _ = zip(*(clip.name.split("-") for clip in clips), strict=True)
        return clips, np.array(speaker), np.array(word, dtype=np.int64)

    def _archive(self) -> Path:
        return self._found(_FILE, "about 520 MB")
