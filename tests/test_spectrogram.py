"""Spectrograms: against librosa and by hand, and back to sound."""

from __future__ import annotations

import builtins
from dataclasses import replace

import librosa
import numpy as np
import pytest

from seqdis.errors import DataError, SettingsError
from seqdis.spectrogram import PUBLISHED, Spectrogram, analyse, utterances, waveform
from sounds import tone

LOGMEL = Spectrogram(rate=16_000, n_fft=512, window=512, hop=200, mels=64, log=True)
NOISE = 0.1 * np.random.default_rng(0).normal(size=8_000)


def chirp() -> np.ndarray:
    return librosa.chirp(fmin=200, fmax=2_000, sr=16_000, duration=0.5).astype(np.float32) * 0.1


def test_a_published_segment_has_20_frames_of_201_bins() -> None:
    frames = analyse(NOISE[:6_400].reshape(2, 3_200), PUBLISHED)
    assert frames.shape == (2, PUBLISHED.frames(3_200), PUBLISHED.bins) == (2, 20, 201)
    assert frames.dtype == np.float32
    np.testing.assert_array_equal(frames[1], analyse(NOISE[3_200:6_400], PUBLISHED))


def test_a_frame_by_hand() -> None:
    frame = 4
    window = np.zeros(400)
    window[40:360] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 320)
    middle = frame * 165
    expected = np.abs(np.fft.rfft(window * NOISE[middle - 200 : middle + 200]))
    np.testing.assert_allclose(analyse(NOISE, PUBLISHED)[frame], expected, atol=1e-5)


@pytest.mark.parametrize("settings", [PUBLISHED, LOGMEL, replace(PUBLISHED, mels=40), replace(LOGMEL, mels=None)])
def test_frames_agree_with_librosa(settings: Spectrogram) -> None:
    values = np.abs(
        librosa.stft(
            NOISE, n_fft=settings.n_fft, hop_length=settings.hop, win_length=settings.window, pad_mode="reflect"
        )
    )
    if settings.mels:
        values = librosa.feature.melspectrogram(S=values, sr=settings.rate, n_mels=settings.mels, power=1.0)
    if settings.log:
        values = np.log(np.maximum(values, settings.floor))
    np.testing.assert_allclose(analyse(NOISE, settings), values.T, rtol=1e-3, atol=1e-4)


def test_silence_lies_on_the_floor_and_is_silence_again() -> None:
    silence = np.zeros(4_000)
    np.testing.assert_allclose(analyse(silence, LOGMEL), np.log(LOGMEL.floor), rtol=1e-6)
    assert not analyse(silence, PUBLISHED).any()
    assert not waveform(analyse(silence, PUBLISHED), PUBLISHED, rounds=2).any()


@pytest.mark.parametrize("samples", [1, 150, 200, 201, 3_199])
def test_short_waves_are_filled_up(samples: int) -> None:
    assert analyse(np.full(samples, 0.1), PUBLISHED).shape == (PUBLISHED.frames(samples), 201)


@pytest.mark.parametrize(("settings", "error"), [(PUBLISHED, 0.12), (LOGMEL, 0.2)])
@pytest.mark.parametrize("wave", [tone(440, 0.5), chirp()], ids=["tone", "chirp"])
def test_sound_comes_back_with_the_same_frames(settings: Spectrogram, error: float, wave: np.ndarray) -> None:
    frames = analyse(wave, settings)
    back = waveform(frames, settings)
    assert back.dtype == np.float32
    assert len(back) == (len(frames) - 1) * settings.hop
    again = analyse(back, settings)
    assert again.shape == frames.shape
    if settings.log:
        frames, again = np.exp(frames), np.exp(again)
    assert np.linalg.norm(again - frames) < error * np.linalg.norm(frames)


def test_a_tone_keeps_its_pitch() -> None:
    back = waveform(analyse(tone(440, 0.5), LOGMEL), LOGMEL)
    loudest = np.abs(np.fft.rfft(back * np.hanning(len(back)))).argmax()
    assert loudest * LOGMEL.rate / len(back) == pytest.approx(440, abs=25)  # half a mel band


def test_more_rounds_come_nearer_and_seeds_repeat() -> None:
    frames = analyse(chirp(), PUBLISHED)

    def error(wave: np.ndarray) -> float:
        return float(np.linalg.norm(analyse(wave, PUBLISHED) - frames))

    first = waveform(frames, PUBLISHED, rounds=1)
    assert error(waveform(frames, PUBLISHED, rounds=40)) < 0.5 * error(first)
    np.testing.assert_array_equal(waveform(frames, PUBLISHED, rounds=1), first)
    assert not np.array_equal(waveform(frames, PUBLISHED, rounds=1, seed=1), first)


def test_negative_magnitudes_of_a_model_count_as_none() -> None:
    frames = analyse(chirp(), PUBLISHED)
    expected = waveform(np.where(frames > 0.5, frames, 0), PUBLISHED, rounds=2)
    np.testing.assert_array_equal(waveform(np.where(frames > 0.5, frames, -1), PUBLISHED, rounds=2), expected)


def test_one_frame_gives_sound() -> None:
    assert waveform(analyse(NOISE, PUBLISHED)[:1], PUBLISHED, rounds=2).shape == (165,)


def test_segments_of_an_utterance_are_found() -> None:
    ids = np.array(["dr1/a/sx1@20", "a@b.wav@0", "dr1/a/sx1@0", "a@b.wav", 7], dtype=object)
    assert utterances(ids).tolist() == [0, 1, 0, 1, 2]


@pytest.mark.parametrize(
    "changes", [{"rate": 0}, {"window": 401}, {"hop": 200}, {"hop": 0}, {"mels": -1}, {"floor": 0.0}], ids=str
)
def test_impossible_settings_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="expected numbers above 0, a window of at most n_fft"):
        replace(PUBLISHED, **changes)


def test_wrong_waves_and_frames_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(0,\): expected at least one sample"):
        analyse(np.zeros(0), PUBLISHED)
    with pytest.raises(DataError, match=r"shape \(4, 64\): expected \(frames, 201\)"):
        waveform(np.zeros((4, 64)), PUBLISHED)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **options: object) -> object:
        if name == "librosa":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"pip install 'seqdis\[audio\]'"):
        waveform(np.zeros((4, 201)), PUBLISHED)
