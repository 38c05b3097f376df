from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqdis.inputs import as_sequences, standardised
from seqdis.sequences import DataSpec, Sequences
from seqdis.training import Training
from seqdis.training.engine import Store, cpu_threads

DRAW = np.random.default_rng(0)
SERIES = DRAW.normal(5, 3, size=(6, 4, 2))
VIDEO = DRAW.integers(0, 256, size=(6, 4, 1, 8, 8), dtype=np.uint8)


def rows(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)


def test_series_are_normalised_by_the_fitted_spec() -> None:
    data = as_sequences(SERIES)
    spec = standardised(data)
    store = Store(data, spec)
    assert len(store) == 6
    whole = store.take(torch.arange(6))
    assert whole.x.dtype == torch.float32
    assert whole.x.mean((0, 1)).abs().max() < 1e-5
    assert (whole.x.std((0, 1), correction=0) - 1).abs().max() < 1e-5
    some = store.take(rows(4, 1))
    assert torch.equal(some.x, whole.x[[4, 1]])
    assert some.index.tolist() == [4, 1]
    assert some.mask is None
    assert some.lengths is None


def test_bytes_stay_bytes_until_a_batch_is_taken() -> None:
    store = Store(as_sequences(VIDEO), as_sequences(VIDEO).spec)
    assert store.x.dtype == torch.uint8
    assert np.allclose(store.take(rows(2)).x.numpy(), VIDEO[2:3] / 255.0)


def test_images_are_scaled_as_they_are_stored_whatever_was_fitted() -> None:
    floats = as_sequences((VIDEO / 255.0).astype(np.float32))
    fitted_on_bytes = as_sequences(VIDEO).spec
    assert np.allclose(Store(floats, fitted_on_bytes).take(rows(0)).x.numpy(), VIDEO[:1] / 255.0)


def test_batches_are_cropped_to_their_longest_sequence() -> None:
    store = Store(as_sequences(SERIES, lengths=[1, 2, 3, 4, 2, 2]), standardised(as_sequences(SERIES)))
    batch = store.take(rows(0, 2))
    assert batch.x.shape == (2, 3, 2)
    assert batch.lengths.tolist() == [1, 3]
    assert batch.mask[..., 0].tolist() == [[True, False, False], [True, True, True]]
    assert (batch.x[0, 1:] == 0).all()
    assert (batch.x[1] != 0).all()


def test_what_is_not_observed_is_zero_after_normalising() -> None:
    x = SERIES.copy()
    x[0, 1, 0] = np.nan
    data = as_sequences(x)
    batch = Store(data, standardised(data)).take(rows(0))
    assert batch.x[0, 1, 0] == 0
    assert not batch.mask[0, 1, 0]
    assert batch.mask.sum() == 7
    frames = (VIDEO / 255.0).astype(np.float32)
    frames[1, 2] = np.nan
    batch = Store(as_sequences(frames), as_sequences(frames).spec).take(rows(1))
    assert batch.mask.tolist() == [[True, True, False, True]]
    assert (batch.x[0, 2] == 0).all()


def test_time_stamps_come_along() -> None:
    data = replace(as_sequences(SERIES), times=np.arange(24.0).reshape(6, 4))
    assert Store(data, data.spec).take(rows(1)).times.tolist() == [[4, 5, 6, 7]]


def test_doubles_and_read_only_arrays_are_taken_without_a_word() -> None:
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frozen = VIDEO.copy()
            frozen.setflags(write=False)
            Store(as_sequences(frozen), as_sequences(frozen).spec).take(rows(0))
            spec = DataSpec(kind="series", shape=(2,), length=4)
            data = Sequences(x=SERIES, spec=spec, lengths=np.array([4, 4, 3, 4, 4, 4]))
            assert Store(data, spec).take(rows(2)).x.dtype == torch.float32
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize(
    ("kind", "threads", "expected"), [("series", 0, 1), ("series", 2, 2), ("image", 0, 3), ("image", 1, 1)]
)
def test_threads_are_set_and_given_back(kind: str, threads: int, expected: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with cpu_threads(Training(threads=threads), DataSpec(kind=kind, shape=(1,), length=2)):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
