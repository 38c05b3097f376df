"""Recordings of the user: a folder of audio files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from seqdis.datasets._audio_features import Preparation, frames_of, parts_of, sequences_of, spectrogram_of
from seqdis.datasets._audio_files import AUDIO, Clip, audio_in, stamps
from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._splits import group_parts, shares_of
from seqdis.datasets._video_files import read_labels
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.labels import codes, factor_of
from seqdis.sequences import Sequences
from seqdis.spectrogram import Spectrogram

Labels = dict[str, npt.NDArray[Any]]


@hyperparameters
class AudioFolder(SequenceDataset):
    """Recordings from one folder as spectrograms, divided at random into train, valid and test.

    Parameters
    ----------
    path : str
        Folder that holds audio files (.wav, .flac, .ogg, .opus, .mp3, .aif, .aiff, .au, .sph, .nist), at any depth.
    labels : str
        Table (``.csv``) of known factors, or empty: a column ``file`` with the path of each recording inside the
        folder, such as ``ann/one.wav``, and one column for each factor, numbers or words. Looked for in `path` first.
    dynamic : tuple of str
        Label columns about what changes in a recording (a word); all others are about what stays (a speaker).
    apart : str
        Label column of which no value may be in two parts, such as the speaker; empty: recordings are divided.
    features : "logmel" or "magnitude"
        64 mel bands of 32 ms windows every 12.5 ms, as logarithms; or magnitudes as published for TIMIT (20 ms
        windows about every 10 ms, 201 bins).
    rate : int
        Samples per second; recordings with other rates are resampled, several channels averaged.
    length : int
        Frames of a sequence. A recording is cut into as many whole sequences as fit; a shorter one is padded. 0: each
        recording is one sequence, all padded to the longest.
    trim : float
        Above 0: the ends of a recording are cut off where they are quieter than its loudest moment by more than so
        many decibels.
    level : bool
        Bring every recording to the same root mean square, as levels mostly tell how far the microphone was.
    valid, test : float
        Share of the recordings, or of the values of `apart`, in those parts; 0 leaves a part out.
    split_seed : int

    Raises
    ------
    SettingsError
        From `split`: columns named in `dynamic` or `apart` that are not there; parts that leave nothing for train.
    DataError
        From `split`: no folder, no recordings, recordings or labels that cannot be read, libraries are missing.

    Notes
    -----
    Sequences of one recording are never in two parts; their ids are ``file@first frame``. Prepared frames are kept
    in the cache folder and made again when names, sizes or dates of the files change. Networks see logarithms by
    mean and spread of each band in the training part.

    Examples
    --------
    >>> AudioFolder(path="recordings", labels="labels.csv", apart="speaker").spectrogram.bins
    64
    """

    name: ClassVar[str] = "recordings"
    licence: ClassVar[str] = "as stated by the owner of the recordings"
    source: ClassVar[str] = "a folder of the user"
    citation: ClassVar[str] = ""
    modality: ClassVar[str] = "audio"

    path: str = hyper(default="", identity=False)  # the fingerprint of the content identifies a run
    labels: str = hyper(default="", identity=False)
    dynamic: tuple[str, ...] = ()
    apart: str = ""
    features: Literal["logmel", "magnitude"] = "logmel"
    rate: int = hyper(default=16_000, at_least=4_000, at_most=48_000)
    length: int = hyper(default=96, at_least=0)
    trim: float = hyper(default=0.0, at_least=0, at_most=96)
    level: bool = True
    valid: float = hyper(default=0.1, at_least=0, at_most=0.9)
    test: float = hyper(default=0.1, at_least=0, at_most=0.9)
    split_seed: int = hyper(default=0, at_least=0)

    @staticmethod
    def readable(folder: Path) -> bool:
        """Whether a folder holds audio files."""
        return bool(audio_in(folder))

    @property
    def spectrogram(self) -> Spectrogram:
        """How frames are made of sound."""
        return spectrogram_of(self.features, self.rate)

    def whole(self) -> Sequences:
        """All sequences of the folder, undivided, not scaled."""
        return self._read()

    def _splits(self) -> Mapping[str, Sequences]:
        shares = shares_of("AudioFolder", self.valid, self.test)
        everything = self._read()
        what = f"values of '{self.apart}'" if self.apart else "recordings"
        rows = group_parts(np.asarray(everything.groups), shares, self.split_seed, what)
        return parts_of(everything, rows, self.spectrogram)

    def _read(self) -> Sequences:
        """All sequences; their groups, the recording or the value of `apart`, must not be in two parts."""
        validate(self)
        folder = Path(self.path).expanduser()
        if not self.path or not folder.is_dir():
            raise DataError(f"AudioFolder.path = '{self.path}': there is no such folder.")
        files = audio_in(folder)
        if not files:
            raise DataError(f"{folder.absolute()} holds no recordings: expected files ending in {', '.join(AUDIO)}.")
        clips = [Clip(file.relative_to(folder).as_posix(), file) for file in files]
        labels = self._labels(folder, clips)
        segment = self.length * self.spectrogram.hop - 1 if self.length else 0
        if self.length and self.spectrogram.frames(segment) != self.length:
            raise SettingsError(
                f"AudioFolder.length = {self.length}: a Fourier transform of {self.spectrogram.n_fft} samples needs "
                f"{self.spectrogram.frames(segment)} frames at least; give as many, or 0 for whole recordings."
            )
        preparation = Preparation(spectrogram=self.spectrogram, segment=segment, trim=self.trim, level=self.level)
        found = frames_of(self.name, stamps(clips), clips, preparation)
        ids = [
            clips[clip].name + (f"@{position}" if self.length else "")
            for clip, position in zip(found.clip, found.position, strict=True)
        ]
        factors = [factor_of(name, values) for name, values in labels.items()]
        factors = [replace(factor, kind="dynamic") if factor.name in self.dynamic else factor for factor in factors]
        per_sequence = {name: codes(values)[found.clip] for name, values in labels.items()}
        groups = labels[self.apart][found.clip] if self.apart else found.clip
        return sequences_of(folder.absolute().name, found, tuple(factors), per_sequence, np.array(ids), groups)

    def _labels(self, folder: Path, clips: list[Clip]) -> Labels:
        known: Labels = {}
        if self.labels:
            table = Path(self.labels).expanduser()
            names = [clip.name for clip in clips]
            known = read_labels(folder / table if (folder / table).is_file() else table, names)
        for field, columns in (("dynamic", self.dynamic), ("apart", (self.apart,) if self.apart else ())):
            unknown = [column for column in columns if column not in known]
            if unknown:
                raise SettingsError(
                    f"AudioFolder.{field}: no label column {', '.join(unknown)}; there are: "
                    f"{', '.join(known) or 'none'}."
                )
        if self.apart and pd.isna(known[self.apart]).any():
            raise DataError(
                f"{self.labels}: column '{self.apart}' is empty for some recordings, which must be told apart."
            )
        return known
