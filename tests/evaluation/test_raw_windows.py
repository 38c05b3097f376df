import numpy as np
import pytest

from fakes import PlantedData, PlantedModel
from seqdis.evaluation.controls import PCA_CODE, RAW, UNTRAINED, RawFeatures
from seqdis.evaluation.raw_windows import BOOSTING, LINEAR, number_controls, window_codes, window_tables

MODEL = PlantedModel(stride=2)


def encoded(parts):
    return {name: MODEL.encode(part) for name, part in parts.items()}


def test_window_tables_summarise_each_window_alone():
    parts = PlantedData().parts()
    tables = window_tables(parts, encoded(parts))
    assert tables["test"].shape == (100, 3, 5 * 9)
    raw = RawFeatures().fit(parts["train"]).values(parts["test"])
    window = raw[7, 2:4]
    np.testing.assert_allclose(tables["test"][7, 1, :9], window.mean(0), atol=1e-5)
    np.testing.assert_allclose(tables["test"][7, 1, 18:27], window.max(0), atol=1e-5)
    np.testing.assert_allclose(tables["test"][7, 1, 27:36], window[1], atol=1e-5)
    assert (tables["test"][..., 36:] == 2).all()


def test_window_codes_keep_windows_and_narrow_the_static_one():
    parts = PlantedData(ragged=True).parts()
    codes = window_codes(MODEL, parts, encoded(parts), seed=0)
    assert set(codes) == {UNTRAINED, PCA_CODE, RAW}
    assert codes[RAW]["test"].dynamic.shape == (100, 3, 2 * 9)
    expected = RawFeatures().fit(parts["train"]).summaries(parts["test"])
    np.testing.assert_allclose(codes[RAW]["test"].static, expected, atol=1e-6)


def test_constants_and_fits():
    draw = np.random.default_rng(0)
    tables = [draw.standard_normal((n, 4)) for n in (300, 100, 200)]
    for table in tables:
        table[::5, 1] = np.nan
    values = [np.abs(3 * table[:, 0]) for table in tables]
    found = number_controls(tables, values[:2], seed=0)
    assert set(found["train mean"]) == {values[0].mean()}
    assert set(found["train median"]) == {np.median(values[0])}
    assert set(found["zero"]) == {0.0}
    errors = {name: np.abs(produced - values[2]).mean() for name, produced in found.items()}
    assert errors[BOOSTING] < 0.3 < errors["train median"]  # a straight line cannot tell |x|
    assert errors[LINEAR] == pytest.approx(errors["train median"], rel=0.05)
    straight = [3 * table[:, 0] for table in tables]
    assert np.abs(number_controls(tables, straight[:2], seed=0)[LINEAR] - straight[2]).mean() < 0.05


def test_rounds_are_chosen_on_valid():
    draw = np.random.default_rng(0)
    tables, noise = [draw.standard_normal((200, 5)) for _ in range(3)], draw.standard_normal((2, 200))
    with_noise = number_controls(tables, list(noise), seed=0)[BOOSTING]
    assert (
        np.abs(with_noise).mean() < 0.5 * np.abs(number_controls([tables[0]] * 3, [noise[0]] * 2, 0)[BOOSTING]).mean()
    )
