from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes import PlantedData, PlantedModel
from seqdis.evaluation.controls import PCA_CODE, RAW, UNTRAINED, RawFeatures, control_codes, filled
from seqdis.inputs import as_sequences
from seqdis.sequences import DataSpec, Sequences


def sequences(x, **more):
    spec = DataSpec(
        kind=more.pop("kind", "series"), shape=x.shape[2:], length=x.shape[1], scale=more.pop("scale", (1.0,))
    )
    return Sequences(x=x, spec=spec, **more)


def test_raw_values_are_standardised_by_what_train_observed():
    x = np.array([[[1.0, 0.0], [3.0, 10.0]], [[5.0, 20.0], [0.0, 30.0]]], dtype=np.float32)
    mask = np.array([[[True, False], [True, True]], [[True, True], [False, True]]])
    raw = RawFeatures().fit(sequences(x, mask=mask))
    expected = np.array([[[-2, 0], [0, -10]], [[2, 0], [0, 10]]]) / np.array([np.sqrt(8 / 3), np.sqrt(200 / 3)])
    np.testing.assert_allclose(raw.values(sequences(x, mask=mask)), expected, atol=1e-6)
    shifted = raw.values(sequences(x + 100))  # another part is measured with train's ruler
    assert shifted.min() > 5


def test_summaries_by_hand():
    x = np.array([[[1.0], [4.0], [2.0], [9.0]], [[7.0], [7.0], [7.0], [7.0]]], dtype=np.float32)
    mask = np.array([[[True], [True], [True], [False]], [[False]] * 4])
    raw = RawFeatures().fit(sequences(x[:1], mask=mask[:1]))
    mean, std = 7 / 3, np.sqrt(14 / 9)
    table = raw.summaries(sequences(x, mask=mask))
    np.testing.assert_allclose(table[0], [0, (1 - mean) / std, (4 - mean) / std, (2 - mean) / std, 3], atol=1e-6)
    np.testing.assert_array_equal(table[1], [np.nan] * 4 + [0])


def test_large_images_are_averaged_over_blocks_and_keep_to_what_networks_see():
    x = np.zeros((2, 4, 3, 64, 64), dtype=np.uint8)
    x[:, :, 0, :32] = 255
    raw = RawFeatures().fit(sequences(x, kind="image", scale=(255.0,)))
    values = raw.values(sequences(x, kind="image", scale=(255.0,)))
    assert values.shape == (2, 4, 3 * 16 * 16)  # 4 * 3 * 32 * 32 would be more than 4096
    np.testing.assert_allclose(values[0, 0].reshape(3, 16, 16)[0, [0, 7, 8, 15], 5], [1, 1, 0, 0])
    small = x[..., :8, :8]
    assert RawFeatures().fit(sequences(small, kind="image")).width_ == 3 * 8 * 8


def test_raw_windows_and_whole_sequences():
    x = np.arange(14, dtype=np.float32).reshape(1, 7, 2) ** 2
    raw = RawFeatures().fit(sequences(x), windows=3)
    codes = raw.factors(sequences(x, lengths=np.array([4])))
    assert codes.static.shape == (1, 14)
    assert codes.dynamic.shape == (1, 3, 6)
    assert codes.lengths.tolist() == [2]
    assert (codes.dynamic[0, 1, 2:] == 0).all()
    assert (codes.dynamic[0, 1, :2] != 0).any()
    longer = raw.factors(sequences(np.ones((1, 9, 2), np.float32)))
    assert (longer.static.shape, longer.dynamic.shape) == ((1, 14), (1, 3, 6))


@pytest.mark.parametrize("ragged", [False, True])
def test_control_codes_have_the_shapes_of_the_model(ragged):
    parts, model = PlantedData(ragged=ragged).parts(), PlantedModel(stride=2)
    own = {name: model.encode(part) for name, part in parts.items()}
    controls = control_codes(model, parts, own, seed=0)
    assert set(controls) == {UNTRAINED, PCA_CODE, RAW}
    for name in (UNTRAINED, PCA_CODE):
        for part, codes in controls[name].items():
            assert codes.static.shape == own[part].static.shape
            assert codes.dynamic.shape == own[part].dynamic.shape
            assert torch.equal(codes.valid(), own[part].valid())
            assert (codes.dynamic[~codes.valid()] == 0).all() or name == UNTRAINED
    assert (controls[UNTRAINED]["test"].static != own["test"].static).any()


def test_pca_is_fitted_on_train():
    parts, model = PlantedData().parts(), PlantedModel()
    own = {name: model.encode(part) for name, part in parts.items()}
    before = control_codes(model, parts, own, seed=0)[PCA_CODE]["test"]
    parts["valid"] = replace(parts["valid"], x=parts["valid"].x * 100)
    parts["test"] = parts["test"][:5]
    after = control_codes(model, parts, own, seed=0)[PCA_CODE]["test"]
    np.testing.assert_allclose(after.static, before.static[:5], atol=1e-4)
    np.testing.assert_allclose(after.dynamic, before.dynamic[:5], atol=1e-4)


def test_pca_of_fewer_sequences_than_dimensions_is_as_wide_as_it_can_be():
    parts, model = PlantedData(sizes=(3, 3, 3)).parts(), PlantedModel()
    own = {name: model.encode(part) for name, part in parts.items()}
    assert control_codes(model, parts, own, seed=0)[PCA_CODE]["test"].static.shape == (3, 3)


def test_gaps_are_filled_with_the_training_mean_of_the_column():
    train = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    other = np.array([[np.nan, 5.0], [7.0, np.nan]])
    np.testing.assert_array_equal(filled([train, other])[0], [[1, 0], [3, 0], [2, 0]])
    np.testing.assert_array_equal(filled([train, other])[1], [[2, 5], [7, 0]])


def test_spectrograms_that_nobody_scaled_are_standardised_like_those_of_networks():
    frames = as_sequences(100 + np.arange(24, dtype=np.float32).reshape(2, 3, 4), kind="spectrogram")
    assert abs(RawFeatures().fit(frames).values(frames)).max() < 3
    magnitudes = replace(frames, spec=replace(frames.spec, center=(0.0,) * 4, scale=(1.0,) * 4))
    np.testing.assert_array_equal(RawFeatures().fit(magnitudes).values(magnitudes), frames.x)
