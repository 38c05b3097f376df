"""Exchanges that can be heard: two recordings and both swaps of their codes, each with its spectrogram."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from seqdis.errors import DataError
from seqdis.report.picture import Picture
from seqdis.report.sheet import Painter, Sheet
from seqdis.sequences import Array, Sequences
from seqdis.spectrogram import Spectrogram, utterances, waveform

CAPTION = (
    "Two recordings, and what the model makes of the static code of one with the dynamic code of the other. "
    "All four are made of spectrograms alone, the recordings too, and so lack their phases."
)
_PEAK = 0.9  # of the full scale: a resynthesised wave is not scaled


class Swaps(Protocol):
    """What is asked of a fitted model."""

    def swap(self, static_of: Any, dynamic_of: Any, /) -> Array: ...  # noqa: D102


@dataclass(frozen=True)
class Player:
    """A sound to be heard beside its picture: a label, a WAV file, the spectrogram."""

    label: str
    sound: bytes
    picture: Picture


def exchanges(
    model: Swaps, part: Sequences, settings: Spectrogram, *, count: int = 3, seed: int = 0
) -> list[tuple[Player, ...]]:
    """Source, target and both swaps, for some pairs of different utterances drawn at random.

    Parameters
    ----------
    model : fitted model
    part : Sequences
        Spectrograms made by ``settings``. Segments of an utterance are heard one after the other; where the two
        have unequally many, those that lend the static code are used in turn.
    settings : Spectrogram
    count : int
        Pairs, at most half of the utterances.
    seed : int
        For the pairs, and for the phases that resynthesis begins with.

    Returns
    -------
    list of tuples of four Player
        The first utterance, the second, the first one's static code with the second one's dynamic code, and the
        other way round.

    Raises
    ------
    DataError
        Not spectrograms, or of other settings; librosa is not installed.
    """
    if part.spec.kind != "spectrogram" or part.spec.shape != (settings.bins,):
        raise DataError(
            f"{part.name} holds {part.spec.kind}s of shape {part.spec.shape}; only spectrograms of ({settings.bins},) "
            "can be heard with these settings. Pass the data set's own `spectrogram`."
        )
    utterance = np.arange(len(part)) if part.ids is None else utterances(part.ids)
    order = np.random.default_rng(seed).permutation(utterance.max() + 1)[: 2 * count]
    paint = Painter.of(part)
    found = []
    for first, second in zip(order[0::2], order[1::2], strict=False):
        a, b = (np.flatnonzero(utterance == one) for one in (first, second))
        names = [_name(part, rows[0]) for rows in (a, b)]
        labels = (*names, *(f"static of {static}, dynamic of {dynamic}" for static, dynamic in (names, names[::-1])))
        sounds = (
            *(_joined(part.x[rows], part, rows) for rows in (a, b)),
            _swap(model, part, a, b),
            _swap(model, part, b, a),
        )
        found.append(
            tuple(_player(label, frames, settings, paint, seed) for label, frames in zip(labels, sounds, strict=True))
        )
    return found


def _swap(model: Swaps, part: Sequences, static_of: Array, dynamic_of: Array) -> Array:
    donors = np.resize(static_of, len(dynamic_of))
    return _joined(np.asarray(model.swap(part[donors], part[dynamic_of])), part, dynamic_of)


def _joined(made: Array, part: Sequences, rows: Array) -> Array:
    """(frames, bins): what was made of segments, without padding, one after the other."""
    steps = [part.x.shape[1]] * len(rows) if part.lengths is None else part.lengths[rows]
    return np.concatenate([frames[:count] for frames, count in zip(made, steps, strict=True)])


def _name(part: Sequences, row: int) -> str:
    """Its classes, as "S03, speech"; else its id or number."""
    known = []
    for factor in part.spec.factors:
        labels = part.labels.get(factor.name)
        if factor.classes and labels is not None and labels.ndim == 1 and labels[row] >= 0:
            known.append(factor.classes[labels[row]])
    return ", ".join(known) or (f"sequence {row}" if part.ids is None else str(part.ids[row]))


def _player(label: str, frames: Array, settings: Spectrogram, paint: Painter, seed: int) -> Player:
    sheet = Sheet()
    sheet.tile(2, 2, paint(frames))
    return Player(label, wav(waveform(frames, settings, seed=seed), settings.rate), sheet.png("player", label))


def wav(sound: Array, rate: int) -> bytes:
    """A WAV file of 16 bits, one channel, as loud as it may be.

    Parameters
    ----------
    sound : array of float, (samples,)
    rate : int
        Samples per second.
    """
    peak = float(np.abs(sound).max(initial=0.0))
    scaled = sound * (_PEAK / peak) if peak > 0 else sound
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(np.rint(scaled * 32_767).astype("<i2").tobytes())
    return file.getvalue()
