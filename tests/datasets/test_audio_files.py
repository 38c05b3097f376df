"""Decoding, trimming, levels."""

from __future__ import annotations

import builtins
import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from seqdis.datasets._audio_files import LEVEL, Clip, audio_in, decoded, levelled, loudest, stamps, trimmed
from seqdis.errors import DataError
from sounds import tone, write_sphere

WAVE = tone(300, 0.2)


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "aiff", "sph"])
def test_formats_give_the_same_sound(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"one.{form}"
    if form == "sph":
        write_sphere(path, WAVE)
    else:
        soundfile.write(path, WAVE, 16_000)
    tolerance = 0.02 if form == "ogg" else 1e-4
    for sound in (path, path.read_bytes()):
        found = decoded(Clip("one", sound), 16_000)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, WAVE, atol=tolerance)


def test_channels_are_averaged_and_rates_converted() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.stack([2 * tone(300, 0.5, 8_000), 0 * tone(300, 0.5, 8_000)], axis=1), 8_000, format="WAV")
    found = decoded(Clip("two", file.getvalue()), 16_000)
    assert found.shape == (8_000,)
    np.testing.assert_allclose(found[1_000:-1_000], tone(300, 0.5)[1_000:-1_000], atol=2e-3)


def test_files_without_sound_are_named(tmp_path: Path) -> None:
    for content in (
        b"",
        b"no sound at all",
        b"NIST_1A\n   1024\nsample_coding -s27 pcm,embedded-shorten-v2.00\nend_head\n",
    ):
        with pytest.raises(DataError, match=r"bad\.wav: no sound that can be decoded"):
            decoded(Clip("bad.wav", content), 16_000)
    with pytest.raises(DataError, match=r"gone\.wav cannot be read \(No such file"):
        decoded(Clip("gone.wav", tmp_path / "gone.wav"), 16_000)
    file = io.BytesIO()
    soundfile.write(file, np.zeros(0), 16_000, format="WAV")
    with pytest.raises(DataError, match=r"empty\.wav holds no samples"):
        decoded(Clip("empty.wav", file.getvalue()), 16_000)


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **options: object) -> object:
        if name == "soxr":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"pip install 'seqdis\[audio\]'"):
        decoded(Clip("one", b""), 16_000)


def test_silence_around_speech_is_cut_off() -> None:
    quiet = np.random.default_rng(0).normal(size=8_000).astype(np.float32)
    wave = np.concatenate([1e-3 * quiet, WAVE, 1e-4 * quiet])
    found = trimmed(wave, 16_000, 30)
    assert abs(len(found) - len(WAVE)) <= 640  # two steps of 10 ms at either end
    np.testing.assert_array_equal(found[320 : 320 + 2_000], WAVE[320 - (len(found) - len(WAVE)) // 2 :][:2_000])
    np.testing.assert_array_equal(trimmed(wave, 16_000, 96), wave)
    np.testing.assert_array_equal(trimmed(wave[:300], 16_000, 30), wave[:300])
    np.testing.assert_array_equal(trimmed(np.zeros(900, np.float32), 16_000, 30), np.zeros(900)[:800])


def test_a_click_is_not_taken_for_the_loudest_moment() -> None:
    wave = np.concatenate([np.zeros(8_000, np.float32), WAVE, np.zeros(8_000, np.float32)])
    wave[100] = 0.9
    assert len(trimmed(wave, 16_000, 10)) >= len(WAVE)


def test_the_loudest_stretch_is_taken() -> None:
    wave = np.array([0, 1, 0, 2, 3, 0, 0], np.float32)
    assert loudest(wave, 2).tolist() == [2, 3]
    assert loudest(wave, 3).tolist() == [0, 2, 3]  # the first of equal ones
    assert loudest(wave, 7) is wave


def test_levels_become_equal() -> None:
    for wave in (0.01 * WAVE, 5 * WAVE):
        assert np.sqrt((levelled(wave).astype(float) ** 2).mean()) == pytest.approx(LEVEL, rel=1e-5)
    assert not levelled(np.zeros(10, np.float32)).any()


def test_audio_files_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("b.WAV", "a/c.flac", ".hidden.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.wav").mkdir()
    assert [path.relative_to(tmp_path).as_posix() for path in audio_in(tmp_path)] == ["a/c.flac", "b.WAV"]


def test_stamps_tell_that_a_file_changed(tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    path.write_bytes(b"x")
    clips = [Clip("one.wav", path)]
    before = stamps(clips)
    assert stamps(clips) == before
    os.utime(path, (1, 1))
    assert stamps(clips) != before
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        stamps(clips)


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_recording_that_is_cut_short_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"one.{form}"
    soundfile.write(path, tone(300, 2.0), 16_000)
    whole = path.read_bytes()
    assert len(decoded(Clip(path.name, path), 16_000)) == 32_000
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataError, match=rf"one\.{form}(: no sound that can be decoded| is cut short)"):
        decoded(Clip(path.name, path), 16_000)


def test_a_recording_from_a_pipe_does_not_state_its_size(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    soundfile.write(path, WAVE, 16_000)
    raw = bytearray(path.read_bytes())
    place = raw.index(b"data") + 4
    raw[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(raw)
    assert len(decoded(Clip(path.name, path), 16_000)) == len(WAVE)


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.where(np.arange(len(WAVE)) == 5, np.nan, WAVE), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"nan\.wav holds samples that are NaN or infinite"):
        decoded(Clip(path.name, path), 16_000)
