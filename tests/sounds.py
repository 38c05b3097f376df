"""Sounds and small corpora that tests of audio data write."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

Wave = npt.NDArray[np.float32]
# One speaker of training, one of development and one of the core test set in each of two regions, and one unused.
TIMIT_SPEAKERS = ("train/dr1/fcjf0", "train/dr2/marc0", "test/dr1/faks0", "test/dr2/mmdb1", "test/dr1/mdab0",
                  "test/dr2/fpas0", "test/dr3/mcsh9")  # fmt: skip
TIMIT_SENTENCES = ("sa1", "si648", "sx37")


def tone(pitch: float, seconds: float, rate: int = 16_000, level: float = 0.1) -> Wave:
    """A sine of that root mean square."""
    return (level * np.sqrt(2) * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pcm(wave: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """As 16-bit integers."""
    return np.rint(np.asarray(wave) * 32767).astype("<i2")


def write_sphere(path: Path, wave: npt.NDArray[Any], rate: int = 16_000) -> None:
    """16-bit NIST SPHERE, header as the corpora have it."""
    samples = pcm(wave)
    fields = (
        f"channel_count -i 1\nsample_count -i {len(samples)}\nsample_rate -i {rate}\nsample_n_bytes -i 2\n"
        "sample_byte_format -s2 01\nsample_sig_bits -i 16\nsample_coding -s3 pcm\nend_head\n"
    )
    header = f"NIST_1A\n   1024\n{fields}".encode()
    path.write_bytes(header.ljust(1024, b"\n") + samples.tobytes())


def timit_wave(name: str) -> Wave:
    """The sound of an utterance of `timit_copy`: noise of 0.2 to 0.6 s that follows from its name."""
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    return (0.1 * draw.normal(size=draw.integers(3_200, 9_600))).clip(-1, 1).astype(np.float32)


def timit_copy(folder: Path, *, upper: bool = True, sphere: bool = True, phones: bool = True) -> Path:
    """A miniature corpus in the layout of TIMIT."""
    for speaker in TIMIT_SPEAKERS:
        place = folder / (speaker.upper() if upper else speaker)
        place.mkdir(parents=True)
        for sentence in TIMIT_SENTENCES:
            wave = timit_wave(f"{speaker}/{sentence}")
            path = place / (f"{sentence}.wav".upper() if upper else f"{sentence}.wav")
            if sphere:
                write_sphere(path, wave)
            else:
                soundfile.write(path, pcm(wave), 16_000, format="WAV")
            if phones:
                lines = f"0 1600 h#\n1600 3000 iy\n3000 {len(wave)} q\n"
                path.with_suffix(".PHN" if upper else ".phn").write_text(lines)
    return folder
