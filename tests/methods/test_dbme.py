"""What is special to DBME: a static code in closed form, from all windows, whatever their order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqdis.datasets import ToySeries
from seqdis.errors import CapabilityError, SettingsError
from seqdis.evaluation.probe import Logistic
from seqdis.inputs import as_sequences
from seqdis.methods import DBME
from seqdis.sequences import DataSpec, Sequences
from seqdis.testing import check_method
from seqdis.training import Training

QUICK = Training(max_epochs=2, batch_size=16)
SMALL = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 8, "hidden_dim": 8, "training": QUICK}


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(24, 12, 3)).astype(np.float32)


@pytest.mark.parametrize("more", [{"parts": 3}, {"profile": False}, {"subtract": False}], ids=str)
def test_variants_keep_the_contracts(more: dict) -> None:
    check_method(DBME(**SMALL, **more))


def test_order_of_windows_is_forgotten_by_the_static_code_only(x: np.ndarray) -> None:
    model = DBME(**SMALL).fit(x)
    turned = x.reshape(24, 3, 4, 3)[:, [2, 0, 1]].reshape(x.shape)
    codes, moved = model.encode(x), model.encode(turned)
    torch.testing.assert_close(codes.static, moved.static, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(codes.dynamic[:, [2, 0, 1]], moved.dynamic, atol=1e-5, rtol=1e-5)
    other = DBME(**SMALL, parts=3).fit(x)
    assert not torch.allclose(other.encode(x).static, other.encode(turned).static, atol=1e-2)


def test_what_all_windows_share_never_reaches_the_dynamic_code(x: np.ndarray) -> None:
    days = np.random.default_rng(1).normal(size=(24, 1, 4, 3)).astype(np.float32)
    shifted = (x.reshape(24, 3, 4, 3) + 0.5 * days).reshape(x.shape)
    model, free = DBME(**SMALL).fit(x), DBME(**SMALL, subtract=False).fit(x)

    def moved(fitted: DBME) -> float:
        return float((fitted.encode(x).dynamic - fitted.encode(shifted).dynamic).abs().mean())

    assert moved(model) < 0.5 * moved(free)  # not zero: means are drawn towards zero


def test_static_factor_of_toy_series_is_read_from_the_static_code() -> None:
    data = ToySeries(missing_rate=0.2)
    train, valid, test = data.split("train", "valid", "test")
    model = DBME(static_dim=6, dynamic_dim=2, training=QUICK).fit(train)
    codes = [model.encode(part).static.numpy() for part in (train, valid, test)]
    groups = [part.labels["group"] for part in (train, valid, test)]
    probe = Logistic().fit(codes[0], groups[0], codes[1], groups[1])
    assert (probe.predict_proba(codes[2]).argmax(1) == groups[2]).mean() > 0.95


def test_an_interrupted_fit_goes_on_to_the_same_weights(x: np.ndarray, tmp_path) -> None:
    method = DBME(**SMALL | {"training": Training(max_epochs=4, batch_size=8, save_seconds=0)})

    def stop(done: int, total: int, record: dict | None) -> None:
        if record is not None and record["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method.replace().fit(x, out=tmp_path / "run", watch=stop)
    resumed = method.replace().fit(x, out=tmp_path / "run")
    whole = method.replace().fit(x)
    for name, value in whole.network_.state_dict().items():
        torch.testing.assert_close(resumed.network_.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_the_untrained_control_has_random_directions(x: np.ndarray) -> None:
    model = DBME(**SMALL).fit(x)
    assert not torch.allclose(model.untrained().encode(x).static, model.encode(x).static, atol=0.1)


# Sound


SOUND = SMALL | {"window": 3}


@pytest.fixture(scope="module")
def sound() -> Sequences:
    """Voices differ in their spectrum, whatever is said; lengths differ."""
    draw = np.random.default_rng(0)
    frames = draw.normal(size=(24, 12, 5)) + 2 * draw.normal(size=(24, 1, 5))
    lengths = np.array([12, 9, 5, 7] * 6)
    frames[np.arange(12) >= lengths[:, None]] = 0
    spec = DataSpec(kind="spectrogram", shape=(5,), length=12)
    return Sequences(x=frames.astype(np.float32), spec=spec, lengths=lengths)


def test_every_frame_of_a_spectrogram_has_a_dynamic_code_and_windows_only_statistics(sound: Sequences) -> None:
    codes = DBME(**SOUND).fit(sound).encode(sound)
    assert tuple(codes.static.shape) == (24, 3)
    assert tuple(codes.dynamic.shape) == (24, 12, 2)
    assert codes.lengths is not None
    assert codes.lengths.tolist() == sound.lengths.tolist()


def test_the_static_code_of_sound_is_the_steady_part_of_its_windows(sound: Sequences) -> None:
    model = DBME(**SOUND).fit(sound)
    whole = replace(sound, lengths=None)[sound.lengths == 12]
    turned = replace(whole, x=whole.x.reshape(-1, 4, 3, 5)[:, [2, 0, 3, 1]].reshape(whole.x.shape))
    torch.testing.assert_close(model.encode(whole).static, model.encode(turned).static, atol=1e-5, rtol=1e-5)
    louder = replace(whole, x=whole.x + np.float32(3))
    assert not torch.allclose(model.encode(whole).static, model.encode(louder).static, atol=0.1)


def test_the_mean_spectrum_never_reaches_the_dynamic_code(sound: Sequences) -> None:
    whole = replace(sound, lengths=None)[sound.lengths == 12]
    colour = np.random.default_rng(1).normal(size=(len(whole), 1, 5)).astype(np.float32)
    coloured = replace(whole, x=whole.x + 0.5 * colour)

    def moved(subtract: bool) -> float:
        model = DBME(**SOUND, subtract=subtract).fit(sound)
        return float((model.encode(whole).dynamic - model.encode(coloured).dynamic).abs().mean())

    assert moved(True) < 0.5 * moved(False)  # not zero: means are drawn towards zero


def test_a_missing_frame_of_sound_counts_for_nothing(sound: Sequences) -> None:
    mask = np.ones(sound.x.shape[:2], dtype=bool)
    mask[:, 2] = False
    model = DBME(**SOUND).fit(replace(sound, mask=mask))
    quiet, loud = (replace(sound, mask=mask, x=np.where(mask[..., None], sound.x, np.float32(v))) for v in (0, 99))
    for one, other in zip(model.encode(quiet), model.encode(loud), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_frames_are_refused() -> None:
    frames = as_sequences(np.zeros((4, 5, 3, 8, 8), dtype=np.uint8), kind="image")
    with pytest.raises(CapabilityError, match=r"DBME is for data of kind series.*image"):
        DBME().fit(frames)


def test_a_static_code_wider_than_its_statistics_is_refused(x: np.ndarray) -> None:
    with pytest.raises(SettingsError, match=r"static_dim = 500.*33 statistics"):
        DBME(static_dim=500).fit(x)


def test_settings_for_known_data() -> None:
    assert DBME.published("air-quality").window == 24
    with pytest.raises(SettingsError, match="air-quality"):
        DBME.published("sprites")
