"""Recordings -> spectrogram frames: computed once, in parallel, and kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from seqdis.datasets._audio_files import CLIPPED, Clip, Wave, decoded, levelled, loudest, trimmed
from seqdis.datasets._cache import prepared
from seqdis.datasets._mapped import mapped
from seqdis.datasets._splits import Index
from seqdis.inputs import standardised
from seqdis.sequences import DataSpec, FactorSpec, Sequences
from seqdis.spectrogram import PUBLISHED, Floats, Spectrogram, analyse

T = TypeVar("T")
Kind = Literal["logmel", "magnitude"]

_PREPARATION = 1  # raise when the code below, of _audio_files or of `analyse` changes what comes out
_CHUNK = 256  # recordings at once: what is computed ahead of the writing stays small
_SLOW_SECONDS = 2.0  # preparations that take less show no progress
_SAMPLE = 20_000  # sequences that are enough for mean and spread of every bin


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """From a recording to frames.

    Parameters
    ----------
    spectrogram : Spectrogram
    length : int
        Frames of a sequence, the rest padded. 0: those of the longest recording.
    segment : int
        Samples of the consecutive segments that a wave is cut into before the analysis, each a sequence. 0: one
        sequence of each recording, its loudest stretch if it is too long.
    rest : bool
        Keep an incomplete last segment even if it is not the only one.
    filled : bool
        Frames of the zeros that fill an incomplete segment count as sound; else they are padding.
    trim : float
        Ends that are quieter than the loudest moment by more than so many decibels are cut off; 0 keeps all.
    level : bool
        Bring every recording to one root mean square.
    """

    spectrogram: Spectrogram
    length: int = 0
    segment: int = 0
    rest: bool = False
    filled: bool = False
    trim: float = 0.0
    level: bool = False

    def sound(self, clip: Clip) -> tuple[Wave, float]:
        """The wave that is analysed, and the share of clipped samples in the recording."""
        wave = decoded(clip, self.spectrogram.rate)
        clipped = float((np.abs(wave) >= CLIPPED).mean())
        if self.trim:
            wave = trimmed(wave, self.spectrogram.rate, self.trim)
        if self.length and not self.segment:
            wave = loudest(wave, self.length * self.spectrogram.hop - 1)
        return (levelled(wave) if self.level else wave), clipped

    def samples(self, total: int) -> list[int]:
        """Samples of each sequence that a wave gives."""
        if not self.segment:
            return [total]
        whole, left = divmod(total, self.segment)
        if left and (self.rest or not whole):
            return [self.segment] * whole + [self.segment if self.filled else left]
        return [self.segment] * whole

    def frames(self, clip: Clip) -> list[Floats]:
        """Frames of each sequence of a recording, (real frames, bins)."""
        wave = self.sound(clip)[0]
        if not self.segment:
            return [analyse(wave, self.spectrogram)]
        samples = self.samples(len(wave))
        segments = np.zeros((len(samples), self.segment), dtype=np.float32)
        segments.reshape(-1)[: len(wave)] = wave[: segments.size]
        frames = analyse(segments, self.spectrogram)
        return [row[: self.spectrogram.frames(some)] for row, some in zip(frames, samples, strict=True)]


class Features(NamedTuple):
    """Sequences of all recordings, one recording after the other.

    ``x`` (n, length, bins), ``lengths`` (n,) frames that hold sound, ``clip`` (n,) number of the recording,
    ``position`` (n,) first frame in it, and ``clipped`` (n,) share of its clipped samples.
    """

    x: Floats
    lengths: Index
    clip: Index
    position: Index
    clipped: npt.NDArray[np.float64]


def frames_of(name: str, source: str, clips: Sequence[Clip], preparation: Preparation) -> Features:
    """Frames of all recordings, from the cache or computed.

    Parameters
    ----------
    name : str
        Name of the data set; starts the names of cache files.
    source : str
        Hash of the content of the recordings, or of what tells that they changed.
    clips : sequence of Clip
    preparation : Preparation

    Raises
    ------
    DataError
        A recording that cannot be decoded; libraries are missing.
    """
    settings = preparation.spectrogram
    digest = hashlib.sha256(f"{_PREPARATION} {preparation} {source}".encode())
    for clip in clips:
        digest.update(f" {clip.name}".encode())
    key = digest.hexdigest()[:32]
    table = prepared(name, key, lambda: _table(name, clips, preparation))
    samples = [preparation.samples(int(total)) for total in table["samples"]]
    counts = np.array([settings.frames(some) for each in samples for some in each], dtype=np.int64)
    length = settings.frames(preparation.segment) if preparation.segment else preparation.length or int(counts.max())
    blocks = partial(_blocks, name, clips, preparation, length)
    stored = mapped(name, key, (len(counts), length * settings.bins * 4), blocks)
    owner = np.repeat(np.arange(len(clips)), [len(each) for each in samples])
    return Features(
        x=stored.view(np.float32).reshape(len(counts), length, settings.bins),
        lengths=np.minimum(counts, length),
        clip=owner,
        position=np.concatenate([np.arange(len(each)) for each in samples]) * length,
        clipped=table["clipped"][owner],
    )


def spectrogram_of(kind: Kind, rate: int) -> Spectrogram:
    """Published magnitudes (201 bins, 20 ms windows), or 64 mel bands of 32 ms windows every 12.5 ms."""
    if kind == "magnitude":
        window, hop = (samples * rate // PUBLISHED.rate for samples in (PUBLISHED.window, PUBLISHED.hop))
        return Spectrogram(rate=rate, n_fft=PUBLISHED.n_fft, window=window, hop=hop)
    window = rate * 32 // 1000
    return Spectrogram(rate=rate, n_fft=window, window=window, hop=rate // 80, mels=64, log=True)


def sequences_of(
    name: str,
    found: Features,
    factors: tuple[FactorSpec, ...],
    labels: Mapping[str, npt.NDArray[Any]],
    ids: npt.NDArray[Any],
    groups: npt.NDArray[Any] | None = None,
) -> Sequences:
    """Features with the labels, ids and groups of their sequences; not scaled yet."""
    length, bins = found.x.shape[1:]
    return Sequences(
        x=found.x,
        spec=DataSpec(kind="spectrogram", shape=(bins,), length=length, factors=factors),
        lengths=found.lengths if (found.lengths < length).any() else None,
        labels=labels,
        ids=ids,
        groups=groups,
        name=name,
    )


def parts_of(everything: Sequences, rows: Mapping[str, Index | slice], settings: Spectrogram) -> dict[str, Sequences]:
    """Parts of a set; networks see logarithms by the mean and spread of each bin in "train", magnitudes as published.

    Parameters
    ----------
    everything : Sequences
    rows : mapping from part name to rows
        Slices give views, arrays give copies.
    settings : Spectrogram
    """
    spec = everything.spec
    if settings.log:
        train = everything[rows["train"]]
        found = standardised(train[:: 1 + len(train) // _SAMPLE])
        spec = replace(spec, center=found.center, scale=found.scale)
    else:  # bin by bin, so that `scaled` leaves them alone
        spec = replace(spec, center=(0.0,) * settings.bins, scale=(1.0,) * settings.bins)
    return {part: replace(everything[some], spec=spec, name=f"{everything.name}/{part}") for part, some in rows.items()}


def _table(name: str, clips: Sequence[Clip], preparation: Preparation) -> dict[str, npt.NDArray[Any]]:
    sounds = _parallel(lambda clip: _measured(preparation.sound(clip)), clips, f"{name}: decoding")
    samples, clipped = zip(*sounds, strict=True)
    return {"samples": np.array(samples, dtype=np.int64), "clipped": np.array(clipped)}


def _measured(sound: tuple[Wave, float]) -> tuple[int, float]:
    return len(sound[0]), sound[1]


def _blocks(name: str, clips: Sequence[Clip], preparation: Preparation, length: int) -> Iterator[npt.NDArray[np.uint8]]:
    for sequences in _parallel(preparation.frames, clips, f"{name}: spectrograms"):
        padded = np.zeros((len(sequences), length, preparation.spectrogram.bins), dtype=np.float32)
        for row, frames in zip(padded, sequences, strict=True):
            row[: len(frames)] = frames
        yield padded.reshape(len(padded), -1).view(np.uint8)


def _parallel(function: Callable[[Clip], T], clips: Sequence[Clip], what: str) -> Iterator[T]:
    """Results in order, with a bar on a terminal."""
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=len(clips), desc=what, unit="file", disable=None, delay=_SLOW_SECONDS, leave=False) as bar,
    ):
        for start in range(0, len(clips), _CHUNK):
            for result in pool.map(function, clips[start : start + _CHUNK]):
                bar.update()
                yield result
