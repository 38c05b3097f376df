"""Frames of recordings: computed once, in order, and as documented."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from seqdis.datasets import _audio_features
from seqdis.datasets._audio_features import (
    Preparation,
    frames_of,
    parts_of,
    sequences_of,
    spectrogram_of,
)
from seqdis.datasets._audio_files import Clip, levelled
from seqdis.datasets._splits import group_parts
from seqdis.errors import DataError, SettingsError
from seqdis.sequences import FactorSpec
from seqdis.spectrogram import PUBLISHED, analyse
from sounds import tone, write_sphere

WHOLE = Preparation(spectrogram=PUBLISHED)
SEGMENTS = Preparation(spectrogram=PUBLISHED, segment=3_200)


@pytest.fixture
def clips(tmp_path) -> list[Clip]:
    """Tones of 1,000, 3,200, 5,000 and 6,500 samples."""
    made = []
    for number, samples in enumerate((1_000, 3_200, 5_000, 6_500)):
        write_sphere(tmp_path / f"{number}.sph", tone(200 + 100 * number, samples / 16_000, level=0.05 * (number + 1)))
        made.append(Clip(f"c{number}", (tmp_path / f"{number}.sph").read_bytes()))
    return made


def wave_of(preparation: Preparation, clip: Clip) -> np.ndarray:
    return preparation.sound(clip)[0]


def test_whole_recordings_are_padded(clips) -> None:
    found = frames_of("sounds", "a", clips, WHOLE)
    assert found.x.shape == (4, 40, 201)
    assert found.lengths.tolist() == [7, 20, 31, 40]
    assert found.clip.tolist() == [0, 1, 2, 3]
    for row, length, clip in zip(found.x, found.lengths, clips, strict=True):
        np.testing.assert_array_equal(row[:length], analyse(wave_of(WHOLE, clip), PUBLISHED))
        assert not row[length:].any()


def test_long_recordings_give_their_loudest_stretch(clips) -> None:
    found = frames_of("sounds", "b", clips, replace(WHOLE, length=25))
    assert found.x.shape == (4, 25, 201)
    assert found.lengths.tolist() == [7, 20, 25, 25]


@pytest.mark.parametrize(
    ("changes", "lengths", "owner"),
    [
        ({}, [7, 20, 20, 20, 20], [0, 1, 2, 3, 3]),
        ({"rest": True}, [7, 20, 20, 11, 20, 20, 2], [0, 1, 2, 2, 3, 3, 3]),
        ({"rest": True, "filled": True}, [20] * 7, [0, 1, 2, 2, 3, 3, 3]),
    ],
    ids=["whole", "rest", "filled"],
)
def test_segments_are_cut_before_the_analysis(clips, changes, lengths, owner) -> None:
    found = frames_of("sounds", "c", clips, replace(SEGMENTS, **changes))
    assert found.lengths.tolist() == lengths
    assert found.clip.tolist() == owner
    second = owner.index(3)
    wave = wave_of(WHOLE, clips[3])
    assert found.position[second : second + 2].tolist() == [0, 20]
    np.testing.assert_array_equal(found.x[second + 1], analyse(wave[3_200:6_400], PUBLISHED))
    last = analyse(np.concatenate([wave[6_400:], np.zeros(3_100)]), PUBLISHED)
    if changes:
        last[lengths[-1] :] = 0
        np.testing.assert_allclose(found.x[-1], last, atol=1e-6)


def test_levels_are_made_equal_and_clipping_is_counted(clips) -> None:
    louder = [*clips, Clip("loud", _loud())]
    found = frames_of("sounds", "d", louder, replace(WHOLE, level=True))
    assert found.clipped[:4].tolist() == [0, 0, 0, 0]
    assert 0.3 < found.clipped[4] < 0.7
    energy = [
        (row[5:-5] ** 2).sum() / (length - 10) for row, length in zip(found.x[1:], found.lengths[1:], strict=True)
    ]
    assert max(energy) < 1.7 * min(energy)
    np.testing.assert_allclose(
        found.x[2, :31], analyse(levelled(wave_of(WHOLE, clips[2])), PUBLISHED), rtol=1e-4, atol=1e-5
    )


def _loud() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, (1.5 * tone(300, 0.3, level=1.0)).clip(-1, 1), 16_000, format="WAV")
    return file.getvalue()


def test_frames_are_computed_once_and_mapped(clips, monkeypatch) -> None:
    first = frames_of("sounds", "e", clips, SEGMENTS)
    assert not first.x.flags.writeable
    monkeypatch.setattr(_audio_features, "decoded", None)  # nothing may be decoded any more
    again = frames_of("sounds", "e", clips, SEGMENTS)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("changed", ["source", "settings", "names"])
def test_what_changes_the_frames_makes_them_again(clips, changed, monkeypatch) -> None:
    frames_of("sounds", "f", clips, SEGMENTS)
    monkeypatch.setattr(_audio_features, "decoded", None)
    with pytest.raises(TypeError):
        frames_of(
            "sounds",
            "g" if changed == "source" else "f",
            [Clip("other", clips[0].sound), *clips[1:]] if changed == "names" else clips,
            replace(SEGMENTS, rest=True) if changed == "settings" else SEGMENTS,
        )


def test_order_does_not_depend_on_chunks(clips, monkeypatch) -> None:
    expected = frames_of("sounds", "h", clips, WHOLE).x
    monkeypatch.setattr(_audio_features, "_CHUNK", 1)
    np.testing.assert_array_equal(frames_of("sounds", "i", clips, WHOLE).x, expected)


def test_settings_have_their_documented_sizes() -> None:
    assert spectrogram_of("magnitude", 16_000) == PUBLISHED
    half = spectrogram_of("magnitude", 8_000)
    assert (half.bins, half.window, half.hop) == (201, 160, 82)
    for rate in (8_000, 16_000):
        mel = spectrogram_of("logmel", rate)
        assert (mel.bins, mel.window / rate, mel.hop / rate) == (64, 0.032, 0.0125)


def test_logarithms_are_scaled_by_the_training_part_alone(clips) -> None:
    factor = FactorSpec(name="who", kind="static", classes=("a", "b", "c", "d"))
    settings = spectrogram_of("logmel", 16_000)
    found = frames_of("sounds", "j", clips, Preparation(spectrogram=settings))
    everything = sequences_of("sounds", found, (factor,), {"who": np.arange(4)}, np.arange(4))
    parts = parts_of(everything, {"train": slice(0, 2), "test": slice(2, 4)}, settings)
    assert {part.name for part in parts.values()} == {"sounds/train", "sounds/test"}
    frames = np.concatenate([found.x[row, : found.lengths[row]] for row in (0, 1)])
    spread = frames.std(axis=0)
    spread[spread < 1e-5] = 1  # bands that only ever show the floor of the logarithm
    for part in parts.values():
        np.testing.assert_allclose(part.spec.center, frames.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(part.spec.scale, spread, rtol=1e-4)
    raw = parts_of(everything, {"train": slice(0, 4)}, PUBLISHED)
    assert (set(raw["train"].spec.center), set(raw["train"].spec.scale)) == ({0.0}, {1.0})
    assert np.shares_memory(parts["test"].x, found.x)


def test_no_group_is_in_two_parts() -> None:
    groups = np.repeat(["e", "b", "d", "a", "c"], 3)
    parts = group_parts(groups, {"train": 0.6, "valid": 0.2, "test": 0.2}, 0)
    sets = [set(groups[rows]) for rows in parts.values()]
    assert [len(some) for some in sets] == [3, 1, 1]
    assert set.union(*sets) == set("abcde")
    assert sorted(np.concatenate(list(parts.values()))) == list(range(15))
    other = group_parts(groups, {"train": 0.6, "valid": 0.2, "test": 0.2}, 1)
    assert any(set(groups[other[part]]) != set(groups[rows]) for part, rows in parts.items())
    assert set(group_parts(groups, {"train": 0.8, "test": 0.2}, 0)) == {"train", "test"}
    with pytest.raises(DataError, match="2 groups cannot be divided into 3 parts"):
        group_parts(groups[:6], {"train": 0.6, "valid": 0.2, "test": 0.2}, 0)
    with pytest.raises(SettingsError, match="expected fractions above 0"):
        group_parts(groups, {"train": -0.2, "valid": 0.6, "test": 0.6}, 0)
