"""Recordings: decoded, cut to speech, brought to one level."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seqdis.datasets._cache import file_stamps
from seqdis.disk import check_readable
from seqdis.errors import DataError

Wave = npt.NDArray[np.float32]

AUDIO = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".sph", ".nist")
LEVEL = 0.1
"""Root mean square of a levelled wave; speech then rarely leaves [-1, 1]."""
STREAMED = 0x7FFF0000
"""Sizes of a WAV file's sound from here on mean "unknown"."""
CLIPPED = 0.999
"""Samples beyond are taken as cut off by the recorder."""


class Clip(NamedTuple):
    """One recording: how it is called, and where it lies or what is in it."""

    name: str
    sound: Path | bytes


def audio_in(folder: Path) -> list[Path]:
    """Audio files of a folder and of those inside it, by name."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO and not path.name.startswith(".") and path.is_file()
    )


def stamps(clips: Sequence[Clip]) -> str:
    """`file_stamps` of recordings on disk; what is in memory has a content to hash."""
    return file_stamps(clip.sound for clip in clips if isinstance(clip.sound, Path))


def decoded(clip: Clip, rate: int) -> Wave:
    """Samples of a recording in [-1, 1], the mean of its channels, at ``rate`` samples per second.

    Raises
    ------
    DataError
        A file that libsndfile cannot read, cut short, without samples, or with NaN; soundfile or soxr is not installed.
    """
    soundfile, soxr = _libraries()
    if isinstance(clip.sound, Path):
        check_readable(clip.sound)
    try:
        with soundfile.SoundFile(io.BytesIO(clip.sound) if isinstance(clip.sound, bytes) else clip.sound) as file:
            wave, found, stated = file.read(dtype="float32", always_2d=True), file.samplerate, file.frames
    except (OSError, RuntimeError) as error:  # the latter is the parent of libsndfile's errors
        raise DataError(
            f"{clip.name}: no sound that can be decoded ({error}). The file is damaged or packed in an unknown way "
            "(such as NIST SPHERE with shorten); convert it to .wav or .flac, or remove it."
        ) from error
    if len(wave) == 0:
        raise DataError(f"{clip.name} holds no samples; remove it.")
    if len(wave) < stated or _is_cut_short(clip):
        raise DataError(f"{clip.name} is cut short: it holds less sound than it states. Get it again, or remove it.")
    if not np.isfinite(wave).all():
        raise DataError(f"{clip.name} holds samples that are NaN or infinite; repair or remove it.")
    mono: Wave = wave.mean(axis=1)
    return mono if found == rate else soxr.resample(mono, found, rate)


def _is_cut_short(clip: Clip) -> bool:
    """Whether a WAV file ends before its sound does, which libsndfile passes over."""
    if isinstance(clip.sound, bytes):
        return False  # from an archive, which has checksums
    with clip.sound.open("rb") as file:
        if file.read(4) != b"RIFF":
            return False
        file.seek(12)
        end = clip.sound.stat().st_size
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                # What is written to a pipe cannot state its size and says 0 or the largest number.
                return size < STREAMED and file.tell() + size > end
            file.seek(size + size % 2, io.SEEK_CUR)
    return False


def trimmed(wave: Wave, rate: int, decibels: float) -> Wave:
    """Without the ends that are quieter than the loudest 30 ms by more than so many decibels."""
    step = max(1, rate // 100)
    if len(wave) < 3 * step:
        return wave
    power = (wave[: len(wave) // step * step].reshape(-1, step) ** 2).mean(axis=1)
    power = np.convolve(power, np.full(3, 1 / 3), mode="same")  # a click alone is not taken for speech
    loud = np.flatnonzero(power >= power.max() * 10 ** (-decibels / 10))
    return wave[loud[0] * step : (loud[-1] + 1) * step]


def loudest(wave: Wave, samples: int) -> Wave:
    """The stretch of at most so many samples that holds most energy."""
    if len(wave) <= samples:
        return wave
    energy = np.concatenate([[0.0], np.cumsum(wave.astype(np.float64) ** 2)])
    start = int((energy[samples:] - energy[:-samples]).argmax())
    return wave[start : start + samples]


def levelled(wave: Wave) -> Wave:
    """Scaled to the root mean square `LEVEL`; silence stays silence."""
    level = float(np.sqrt((wave.astype(np.float64) ** 2).mean()))
    return wave * np.float32(LEVEL / level) if level > 0 else wave


def _libraries() -> tuple[Any, Any]:
    try:
        import soundfile
        import soxr
    except ImportError as error:
        raise DataError(
            "recordings are read by soundfile and soxr, which are not installed: `pip install 'seqdis[audio]'`."
        ) from error
    return soundfile, soxr
