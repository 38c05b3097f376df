"""TIMIT: a speaker (static) reads sentences (dynamic). The user supplies the corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from seqdis.datasets._audio_features import Features, Preparation, frames_of, parts_of, sequences_of
from seqdis.datasets._audio_files import Clip, stamps
from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._timit_corpus import PHONES, Utterance, find_utterances, phones_at, require_complete
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.sequences import FactorSpec, Sequences
from seqdis.spectrogram import PUBLISHED, Spectrogram

SEGMENT = 3_200
"""Samples of a segment, 200 ms."""


@hyperparameters
class TIMIT(SequenceDataset):
    """Read English sentences of the TIMIT corpus in segments of 200 ms, from a copy of your own.

    Parameters
    ----------
    features : "magnitude", "logmagnitude" or "logmel"
        Magnitudes as published (201 bins), their logarithms, or logarithms of 64 mel bands of them.
    form : "corrected" or "published"
        "published": the 462 training and the 50 development speakers are for training, nothing is left for
        validation, and the zeros that fill a last segment count as sound. "corrected": the development speakers
        are for validation, and the zeros are padding. See Notes.
    complete : bool
        Refuse a copy in which speakers or sentences are missing.
    root : str or None
        Folder that holds the corpus, in ``timit/`` or directly. None: ``timit/`` in ``SEQDIS_DATA``, else in
        the user's cache folder.

    Raises
    ------
    DataError
        From `split`: no corpus, an incomplete one, a file that cannot be decoded, or libraries are missing.

    Notes
    -----
    Files are sought at any depth as ``TRAIN/DR1/FCJF0/SX127.WAV``, in upper or lower case, NIST SPHERE or plain
    WAV (also both, as in copies with ``SX127.WAV.wav`` beside). The SA sentences, which all speakers read, are left
    out. Test: the eight other sentences of the 24 speakers of the core test set, 192 utterances.

    As published, waves are cut into segments of 3,200 samples, the last one filled with zeros, and each is analysed
    alone: 20 frames (n_fft 400, Hann window of 320 samples, hop 165, magnitudes as they are). A sequence is a segment.
    Its id ``dr1/fcjf0/sx127@20`` is that of the utterance with the first frame in it;
    `seqdis.spectrogram.utterances` groups them. In the corrected form the
    frames of a last segment that hold no sound are padding, as ``lengths`` tells.

    Papers tune on test speakers (early stopping by test error in the released code of DBSE), as their training has
    taken in the development speakers. These moreover read the very SX sentences of the core test set, so that
    training then contains test sentences, in other voices; the 462 training speakers read none of them.

    "phone", where the copy has ``.PHN`` files, is a label of every frame: the customary 39 classes, -1 for glottal
    stops and padding. "dialect" is the region. Prepared frames (about 1.1 GB) are kept in the cache folder and made
    again when names, sizes or dates of the files change.

    References
    ----------
    Garofolo et al., TIMIT Acoustic-Phonetic Continuous Speech Corpus, LDC93S1, 1993. Li and Mandt, Disentangled
    Sequential Autoencoder, ICML 2018, section 4.2. Berman et al. (DBSE), ICML 2024.

    Examples
    --------
    >>> TIMIT().spectrogram.bins, TIMIT().spectrogram.frames(SEGMENT)
    (201, 20)
    """

    name: ClassVar[str] = "timit"
    licence: ClassVar[str] = "LDC user agreement; not to be passed on"
    source: ClassVar[str] = "https://catalog.ldc.upenn.edu/LDC93S1"
    citation: ClassVar[str] = """@misc{garofolo1993timit,
  title     = {{TIMIT} Acoustic-Phonetic Continuous Speech Corpus},
  author    = {Garofolo, John S. and Lamel, Lori F. and Fisher, William M. and Fiscus, Jonathan G. and Pallett, David S.
               and Dahlgren, Nancy L. and Zue, Victor},
  publisher = {Linguistic Data Consortium},
  note      = {LDC93S1},
  year      = {1993}
}"""
    modality: ClassVar[str] = "audio"

    features: Literal["magnitude", "logmagnitude", "logmel"] = "magnitude"
    as_printed: ClassVar[Mapping[str, Any]] = {"form": "published"}

    form: Literal["corrected", "published"] = "corrected"
    complete: bool = True
    root: str | None = hyper(default=None, identity=False)

    @property
    def spectrogram(self) -> Spectrogram:
        """How frames are made of sound."""
        return replace(PUBLISHED, mels=64 if self.features == "logmel" else None, log=self.features != "magnitude")

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        utterances = find_utterances(self.location())
        if self.complete:
            require_complete(utterances)
        clips = [Clip(utterance.name, utterance.path) for utterance in utterances]
        published = self.form == "published"
        preparation = Preparation(spectrogram=self.spectrogram, segment=SEGMENT, rest=True, filled=published)
        found = frames_of(self.name, stamps(clips), clips, preparation)
        ids = np.array([f"{clips[clip].name}@{at}" for clip, at in zip(found.clip, found.position, strict=True)])
        factors, labels = self._labels(utterances, found)
        everything = sequences_of(self.name, found, factors, labels, ids, groups=labels["speaker"])
        part = np.array([utterance.part for utterance in utterances])[found.clip]
        train, development = (int((part == name).sum()) for name in ("train", "development"))
        rows = {"train": slice(0, train), "valid": slice(train, train + development)}
        if published:
            rows = {"train": slice(0, train + development)}
        return parts_of(everything, {**rows, "test": slice(train + development, None)}, self.spectrogram)

    def _labels(
        self, utterances: Sequence[Utterance], found: Features
    ) -> tuple[tuple[FactorSpec, ...], dict[str, npt.NDArray[Any]]]:
        names, speaker = np.unique([utterance.speaker for utterance in utterances], return_inverse=True)
        labels = {
            "speaker": speaker[found.clip],
            "sex": np.array([utterance.speaker[0] == "m" for utterance in utterances], dtype=np.int64)[found.clip],
            "dialect": np.array([utterance.dialect - 1 for utterance in utterances])[found.clip],
        }
        factors = [
            FactorSpec(name="speaker", kind="static", classes=tuple(names.tolist())),
            FactorSpec(name="sex", kind="static", classes=("female", "male")),
            FactorSpec(name="dialect", kind="static", classes=tuple(f"dr{region}" for region in range(1, 9))),
        ]
        phones = _phones(utterances, found)
        if (phones >= 0).any():
            labels["phone"] = phones
            factors.append(FactorSpec(name="phone", kind="dynamic", classes=PHONES))
        return tuple(factors), labels


def _phones(utterances: Sequence[Utterance], found: Features) -> npt.NDArray[np.int64]:
    """Phone in the middle of every frame, (n, length); -1 where it is unknown."""
    length = found.x.shape[1]
    centres = (found.position // length * SEGMENT)[:, None] + np.arange(length) * PUBLISHED.hop
    phones = np.full(centres.shape, -1, dtype=np.int64)
    ends = np.searchsorted(found.clip, np.arange(len(utterances)), side="right")
    for utterance, start, end in zip(utterances, [0, *ends[:-1]], ends, strict=True):
        known = phones_at(utterance, centres[start:end].reshape(-1))
        if known is not None:
            phones[start:end] = known.reshape(-1, length)
    return phones
