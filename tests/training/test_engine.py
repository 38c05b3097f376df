from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqdis.inputs import as_sequences, standardised
from seqdis.methods import DBSE
from seqdis.nn.network import Network
from seqdis.sequences import DataSpec, Sequences
from seqdis.training import Training
from seqdis.training import engine as engines
from seqdis.training.engine import Engine, Store, coding_device, cpu_threads, has_bfloat16, kept_memory
from seqdis.training.loop import train

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


IMAGE, OTHER = DataSpec(kind="image", shape=(1, 8, 8), length=2), DataSpec(kind="series", shape=(1,), length=2)


@pytest.mark.parametrize(
    ("precision", "spec", "units", "expected"),
    [
        ("auto", IMAGE, True, "bf16-mixed"),
        ("auto", IMAGE, False, "32-true"),
        ("auto", OTHER, True, "32-true"),
        ("auto", None, True, "32-true"),
        ("32-true", IMAGE, True, "32-true"),
        ("bf16-mixed", OTHER, False, "bf16-mixed"),
    ],
)
def test_precision_follows_data_and_hardware_only_when_asked(
    precision: str, spec: DataSpec | None, units: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "has_bfloat16", lambda accelerator: units)
    engine = Engine(Training(precision=precision, accelerator="cpu"), spec)
    assert engine.fabric._precision.precision == expected
    with engine.autocast():
        assert torch.is_autocast_enabled("cpu") == (expected == "bf16-mixed")


@pytest.mark.parametrize(
    ("known", "expected"),
    [({"avx512_bf16": True}, True), ({"avx512_bf16": False, "amx_bf16": True}, True), ({"avx2": True}, False)],
)
def test_units_are_what_the_processor_states(
    known: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert has_bfloat16("cpu") == has_bfloat16("auto") == expected
    assert not has_bfloat16("mps")
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not has_bfloat16("cpu")


@pytest.mark.parametrize("there", [True, False])
def test_codes_are_computed_on_a_gpu_of_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    found = {name: coding_device(name).type for name in ("auto", "cuda", "cpu", "mps")}
    assert found == dict.fromkeys(found, "cpu") | (dict.fromkeys(("auto", "cuda"), "cuda") if there else {})


def test_training_auto_without_units_is_training_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_bfloat16", lambda accelerator: False)
    settings = Training(max_epochs=1, accelerator="cpu")
    plain, auto = (trained(settings.replace(precision=precision)) for precision in ("32-true", "auto"))
    assert all(torch.equal(value, auto[name]) for name, value in plain.items())


def trained(settings: Training) -> dict[str, torch.Tensor]:
    network = video_network()
    train(network, as_sequences(VIDEO), settings)
    return network.state_dict()


def video_network() -> Network:
    torch.manual_seed(0)
    return DBSE(static_dim=2, dynamic_dim=2, filters=2, feature_dim=4, hidden_dim=4).build(as_sequences(VIDEO).spec)


FAULTS = """
import resource
import torch
from seqdis.training.engine import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        torch.zeros(2**24)  # 64 MiB: 16,384 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with kept_memory():
    faults()
    kept = faults()
print(kept, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives freed memory back at once")
def test_kept_memory_is_not_cleared_again_and_given_back_in_the_end() -> None:
    # A process of its own: where earlier tests have cut the heap to pieces, nothing may be left to keep.
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    kept, after = map(int, done.stdout.split())
    assert kept < 1000 < 16_384 < after


def test_where_the_c_library_keeps_no_such_setting_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with kept_memory():
        assert torch.zeros(3).sum() == 0


@pytest.mark.parametrize("kind", ["series", "spectrogram"])
def test_what_is_marked_as_missing_may_be_nan(kind: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    seen = np.ones(x.shape if kind == "series" else x.shape[:2], dtype=bool)
    seen[0, 1] = False
    data = as_sequences(x, mask=seen, lengths=[4, 3], kind=kind)
    dirty = data.x.copy()
    dirty[0, 1], dirty[1, 3] = np.nan, np.inf
    batch = Store(replace(data, x=dirty), data.spec).take(rows(0, 1))
    assert torch.equal(batch.x, Store(data, data.spec).take(rows(0, 1)).x)
