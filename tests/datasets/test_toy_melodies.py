"""Toy melodies: factors, hybrids, and sound of the right pitch."""

from __future__ import annotations

import numpy as np
import pytest

from seqdis.datasets import ToyMelodies
from seqdis.datasets.toy_melodies import MELODIES, NOTES, RATE, TIMBRES, _sound
from seqdis.errors import DataError

SMALL = ToyMelodies(n_train=30, n_valid=6, n_test=20, length=24)


def test_hybrids_take_the_instrument_of_one_and_the_notes_of_the_other() -> None:
    data = SMALL.replace(noise=0.0)
    a, b = data.split("train")[0][:4], data.split("test")[0][:4]
    np.testing.assert_allclose(data.hybrid(a, a), a.x, atol=1e-5)
    np.testing.assert_allclose(data.hybrid(b, b), b.x, atol=1e-5)
    hybrid = data.hybrid(a, b)
    assert hybrid.shape == b.x.shape
    same = a.labels["timbre"] == b.labels["timbre"]
    assert not same.all()
    assert all(np.abs(hybrid - other.x)[~same].mean() > 0.1 for other in (a, b))


def test_noise_leaves_factors_alone_and_is_the_only_difference() -> None:
    loud, quiet = (SMALL.replace(noise=noise).split("train")[0] for noise in (0.01, 0.0))
    for name, values in quiet.labels.items():
        np.testing.assert_array_equal(loud.labels[name], values)
    np.testing.assert_allclose(SMALL.clean(loud), quiet.x, atol=1e-5)
    assert np.abs(loud.x - quiet.x).mean() > 0.1


@pytest.mark.parametrize("note", range(len(NOTES)))
def test_a_note_has_its_pitch(note: int) -> None:
    labels = {"timbre": np.array([0]), "brightness": np.zeros(1), "note": np.full((1, 80), note)}
    sound = _sound(labels, 100)[0]
    pitch = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax() * RATE / len(sound)
    letter, octave = NOTES[note]
    semitones = {"C": -9, "D": -7, "E": -5, "G": -2, "A": 0}[letter] + 12 * (int(octave) - 4)
    assert pitch == pytest.approx(440 * 2 ** (semitones / 12), abs=RATE / len(sound))
    assert np.sqrt((sound**2).mean()) == pytest.approx(0.1, rel=0.05)


def test_labels_follow_melodies() -> None:
    train = SMALL.split("train")[0]
    for note, melody in zip(train.labels["note"], train.labels["melody"], strict=True):
        steps = list(MELODIES.values())[melody]
        played = note[np.append(True, np.diff(note) != 0)]
        expected = np.array(steps)[np.arange(len(played)) % len(steps)]
        assert (played - played[0] == expected - expected[0]).all()
    assert set(train.labels["timbre"]) == set(range(len(TIMBRES)))


def test_unseen_combinations_are_only_in_test() -> None:
    parts = SMALL.replace(unseen=0.3).parts()
    pairs = {
        name: set(zip(part.labels["timbre"].tolist(), part.labels["melody"].tolist(), strict=True))
        for name, part in parts.items()
    }
    assert not pairs["test"] & (pairs["train"] | pairs["valid"])
    assert len(pairs["test"]) <= round(0.3 * len(TIMBRES) * len(MELODIES))


@pytest.mark.parametrize(("features", "bins"), [("logmel", 64), ("magnitude", 201)])
def test_frames_fit_their_settings(features: str, bins: int) -> None:
    data = SMALL.replace(features=features)
    assert data.spec.shape == (bins,) == (data.spectrogram.bins,)
    assert data.spec.length == 24


def test_foreign_sequences_are_refused() -> None:
    train = SMALL.split("train")[0]
    with pytest.raises(DataError, match="hybrids need sequences of toy-melodies of shape"):
        SMALL.hybrid(train, SMALL.replace(features="magnitude").split("train")[0])
    with pytest.raises(DataError, match="hybrid of 3 and 4 sequences"):
        SMALL.hybrid(train[:3], train[:4])
