from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seqdis.errors import DataError
from seqdis.sequences import Batch, DataSpec, FactorSpec, Sequences

SPEC = DataSpec(kind="series", shape=(2,), length=4, factors=(FactorSpec(name="who", kind="static"),))
VIDEO = DataSpec(kind="image", shape=(1, 8, 8), length=4, scale=(255.0,))


def series(**more) -> Sequences:
    x = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    return Sequences(**{"x": x, "spec": SPEC, "labels": {"who": np.array([0, 1, 0])}, "name": "toy", **more})


def test_valid_steps_of_a_batch() -> None:
    x = torch.zeros(2, 3, 1)
    assert Batch(x=x).valid_steps().tolist() == [[True] * 3] * 2
    assert Batch(x=x, lengths=torch.tensor([1, 3])).valid_steps().tolist() == [[True, False, False], [True] * 3]
    assert len(Batch(x=x)) == 2


def test_factor_by_name() -> None:
    assert SPEC.factor("who").kind == "static"
    with pytest.raises(DataError, match=r"unknown factor 'whom'\. Did you mean 'who'"):
        SPEC.factor("whom")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x": np.zeros((0, 4, 2), np.float32)}, r"got shape \(0, 4, 2\)"),
        ({"x": np.zeros((3, 0, 2), np.float32)}, r"got shape \(3, 0, 2\)"),
        ({"x": np.zeros((3, 4, 5), np.float32)}, r"elements have shape \(5,\), the spec says \(2,\)"),
        ({"lengths": np.array([1, 2])}, "'lengths' has 2 entries for 3 sequences"),
        ({"lengths": np.array([1, 5, 4])}, r"length 5 given; lengths must lie in 1\.\.4"),
        ({"lengths": np.array([0, 2, 4])}, "length 0 given"),
        ({"labels": {"who": np.zeros(4)}}, "'who' has 4 entries for 3 sequences"),
        ({"ids": np.arange(2)}, "'ids' has 2 entries"),
        ({"mask": np.ones((3, 4), bool)}, r"mask has shape \(3, 4\), expected \(3, 4, 2\)"),
        ({"x": np.full((3, 4, 2), np.nan, np.float32)}, r"24 values are NaN or infinite .* first at \(0, 0, 0\)"),
    ],
)
def test_refuses(changes, words: str) -> None:
    with pytest.raises(DataError, match=f"^toy: .*{words}"):
        series(**changes)


def test_nan_may_stand_where_nothing_is_observed() -> None:
    x = series().x.copy()
    x[0, 1, 0], x[2, 3] = np.nan, np.inf
    mask = np.ones(x.shape, bool)
    mask[0, 1, 0] = False
    assert len(series(x=x, mask=mask, lengths=np.array([4, 4, 3]))) == 3
    with pytest.raises(DataError, match=r"2 values .* first at \(2, 3, 0\)"):
        series(x=x, mask=mask)
    frames = np.zeros((2, 4, 1, 8, 8), np.float32)
    frames[1, 2] = np.nan
    seen = np.ones((2, 4), bool)
    seen[1, 2] = False
    assert len(Sequences(x=frames, spec=VIDEO, mask=seen)) == 2


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (slice(1, 3), [1, 2]),
        (1, [1]),
        (-1, [2]),
        (-2, [1]),
        (np.int64(2), [2]),
        ([2, 0], [2, 0]),
        (np.array([True, False, True]), [0, 2]),
    ],
)
def test_rows_keep_everything_that_belongs_to_them(rows, kept: list[int]) -> None:
    mask = np.ones((3, 4, 2), bool)
    mask[2, 0] = False
    full = series(
        mask=mask, lengths=np.array([2, 3, 4]), times=np.arange(12.0).reshape(3, 4), ids=np.array(list("abc"))
    )
    some = full[rows]
    assert some.x.tolist() == full.x[kept].tolist()
    assert some.mask.tolist() == mask[kept].tolist()
    assert some.lengths.tolist() == full.lengths[kept].tolist()
    assert some.times.tolist() == full.times[kept].tolist()
    assert some.labels["who"].tolist() == full.labels["who"][kept].tolist()
    assert some.ids.tolist() == full.ids[kept].tolist()
    assert some.name == "toy"


def test_rows_that_are_not_there_are_refused() -> None:
    with pytest.raises(IndexError, match="no sequence 7; there are 3"):
        series()[7]
    with pytest.raises(IndexError):
        series()[[7]]
    assert len(list(series())) == 3  # iteration ends where the rows do


def test_fingerprint_follows_all_that_can_change_a_result() -> None:
    base = series()
    other = base.x.copy()
    other[0, 0, 0] += 1e-3
    mask = np.ones(base.x.shape, bool)
    changes = [
        {"x": other},
        {"x": base.x.astype(np.float64)},
        {"spec": replace(SPEC, scale=(2.0,))},
        {"mask": mask},
        {"lengths": np.array([4, 4, 4])},
        {"times": np.zeros((3, 4))},
        {"labels": {"who": np.array([0, 1, 1])}},
        {"labels": {"how": np.array([0, 1, 0])}},
    ]
    prints = [base.fingerprint()] + [series(**change).fingerprint() for change in changes]
    assert len(set(prints)) == len(prints)
    assert series(name="other", ids=np.arange(3)).fingerprint() == base.fingerprint()
    joined = series(ids=np.array(["a@0", "a@4", "b@0"])).fingerprint()
    assert joined not in prints
    assert joined == series(ids=np.array(["x@0", "x@4", "y@0"])).fingerprint()
    assert replace(base, x=np.asfortranarray(base.x)).fingerprint() == base.fingerprint()


def test_observed_joins_mask_and_lengths() -> None:
    mask = np.ones((3, 4, 2), bool)
    mask[1, 0, 1] = False
    seen = series(mask=mask, lengths=np.array([4, 2, 4])).observed()
    assert seen[1].tolist() == [[True, False], [True, True], [False, False], [False, False]]
    assert seen[[0, 2]].all()
    assert series().observed().shape == (3, 4, 2)
    video = Sequences(x=np.zeros((2, 4, 1, 8, 8), np.uint8), spec=VIDEO, lengths=np.array([1, 4]))
    assert video.observed().tolist() == [[True, False, False, False], [True] * 4]
