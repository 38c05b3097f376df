"""Sound -> spectrogram frames, and back to sound that can be heard."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seqdis.errors import DataError, SettingsError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Spectrogram:
    """How frames are made of sound. Data sets of spectrograms carry theirs as ``data.spectrogram``.

    Parameters
    ----------
    rate : int
        Samples per second.
    n_fft : int
        Samples of a Fourier transform.
    window : int
        Samples under the Hann window, at most `n_fft`.
    hop : int
        Samples from one frame to the next.
    mels : int or None
        Mel bands that sum up magnitudes; None keeps the ``n_fft // 2 + 1`` magnitudes.
    log : bool
        Natural logarithm of the values.
    floor : float
        With `log`: smaller values are raised to this one first. Waves lie in [-1, 1].

    Raises
    ------
    SettingsError
        A number below 1, a window longer than the transform, or a hop longer than 0.6 windows, as no sound
        could then be made again.
    """

    rate: int
    n_fft: int
    window: int
    hop: int
    mels: int | None = None
    log: bool = False
    floor: float = 1e-3

    def __post_init__(self) -> None:
        numbers = (self.rate, self.n_fft, self.window, self.hop, self.mels or 1)
        if min(numbers) < 1 or self.window > self.n_fft or self.hop > 0.6 * self.window or self.floor <= 0:
            raise SettingsError(
                f"{self}: expected numbers above 0, a window of at most n_fft and a hop of at most 0.6 windows."
            )

    @property
    def bins(self) -> int:
        """Values of a frame."""
        return self.mels or self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """How many frames so many samples give: one at the first sample, and one after each whole hop."""
        return 1 + max(samples, self._least) // self.hop

    @property
    def _least(self) -> int:
        return self.n_fft // 2 + 1  # reflected padding needs more samples than it adds


PUBLISHED = Spectrogram(rate=16_000, n_fft=400, window=320, hop=165)
"""Magnitudes of the released code of DBSE for TIMIT: 201 bins, 20 ms windows, 20 frames of 3,200 samples."""


def analyse(wave: npt.NDArray[Any], settings: Spectrogram) -> Floats:
    """Frames of a wave: magnitudes, or mel bands of magnitudes, or logarithms of them.

    Parameters
    ----------
    wave : array of floats in [-1, 1], (..., samples)
        Shorter than half a transform: filled up with zeros.
    settings : Spectrogram

    Returns
    -------
    array of float32, (..., frames, bins)
        Frames are centred: the first looks at the first sample. Ends are padded by reflection.

    Raises
    ------
    DataError
        No samples, or mel bands without librosa.
    """
    sound = torch.from_numpy(np.ascontiguousarray(wave, dtype=np.float32))
    if sound.ndim == 0 or sound.shape[-1] == 0:
        raise DataError(f"a wave of shape {tuple(sound.shape)}: expected at least one sample on the last axis.")
    sound = torch.nn.functional.pad(sound, (0, max(0, settings._least - sound.shape[-1])))
    spectrum = torch.stft(
        sound.reshape(-1, sound.shape[-1]),
        settings.n_fft,
        settings.hop,
        settings.window,
        window=torch.hann_window(settings.window),
        return_complex=True,
    )
    values = spectrum.abs().transpose(-1, -2)
    if settings.mels:
        values = values @ torch.from_numpy(_filters(settings).T)
    if settings.log:
        values = values.clamp(min=settings.floor).log()
    frames: Floats = values.reshape(*sound.shape[:-1], *values.shape[-2:]).numpy()
    return frames


def waveform(frames: npt.NDArray[Any], settings: Spectrogram, rounds: int = 60, seed: int = 0) -> Floats:
    """A wave with (nearly) these frames: the inverse of `analyse`, up to the phases, which frames do not hold.

    Parameters
    ----------
    frames : array, (frames, bins)
        As `analyse` makes them or a model predicts them; negative magnitudes count as 0.
    settings : Spectrogram
    rounds : int
        Of the fast Griffin-Lim algorithm, which finds phases.
    seed : int
        Draws the phases to begin with.

    Returns
    -------
    array of float32, (samples,)
        From the centre of the first frame to that of the last. Not scaled: may leave [-1, 1].

    Raises
    ------
    DataError
        Frames of another shape, or librosa is not installed.

    Notes
    -----
    Magnitudes of mel bands are the smallest non-negative ones that fit best (least squares).

    References
    ----------
    Griffin and Lim, IEEE TASSP 1984. Perraudin et al., A fast Griffin-Lim algorithm, WASPAA 2013.
    """
    values = np.asarray(frames, dtype=np.float32).T
    if values.ndim != 2 or values.shape[0] != settings.bins or values.shape[1] == 0:
        raise DataError(f"frames of shape {np.shape(frames)}: expected (frames, {settings.bins}), at least one frame.")
    values = np.exp(values) if settings.log else np.maximum(values, 0)
    samples = max(values.shape[1] - 1, 1) * settings.hop
    # librosa cannot invert fewer frames than fit under one transform.
    values = np.pad(values, ((0, 0), (0, max(0, 2 + settings.n_fft // settings.hop - values.shape[1]))), mode="edge")
    audio = librosa()
    if settings.mels:
        values = audio.feature.inverse.mel_to_stft(values, sr=settings.rate, n_fft=settings.n_fft, power=1.0)
    wave: Floats = audio.griffinlim(
        values,
        n_iter=rounds,
        hop_length=settings.hop,
        win_length=settings.window,
        n_fft=settings.n_fft,
        pad_mode="reflect",
        length=(values.shape[1] - 1) * settings.hop,
        random_state=seed,
    )
    return wave[:samples].astype(np.float32)


def librosa() -> Any:
    """The module ``librosa``, imported on first use: it comes with the extra ``audio``.

    Raises
    ------
    DataError
        It is not installed.
    """
    try:
        import librosa as module
    except ImportError as error:
        raise DataError("sound needs librosa, which is not installed: `pip install 'seqdis[audio]'`.") from error
    return module


def _filters(settings: Spectrogram) -> Floats:
    """(mels, bins) weights of Slaney's mel filters."""
    filters: Floats = librosa().filters.mel(sr=settings.rate, n_fft=settings.n_fft, n_mels=settings.mels)
    return filters


def utterances(ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Which sequences are segments of one utterance, as numbers 0, 1, ... in order of first appearance.

    Parameters
    ----------
    ids : array of str, (n,)
        ``Sequences.ids``. Segments are called "utterance@position"; an id without "@" is an utterance of its own.

    Examples
    --------
    >>> utterances(np.array(["b@0", "b@20", "a", "c@0"])).tolist()
    [0, 0, 1, 2]
    """
    names = [re.sub(r"@\d+$", "", str(name)) for name in ids]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)
