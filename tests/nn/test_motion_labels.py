from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from seqdis.nn.motion_labels import (
    MotionLabels,
    directions,
    label_shape,
    loud_steps,
    motion_labels,
    moving_cells,
    prediction_error,
)
from seqdis.sequences import Batch, DataSpec

DRAW = np.random.default_rng(0)


def cells_of(frame: np.ndarray) -> list[float]:
    """Means of a 3 x 3 grid, cells with every pixel that they touch."""
    height, width = frame.shape
    cuts = [[(side * i // 3, -(-side * (i + 1) // 3)) for i in range(3)] for side in (height, width)]
    return [float(frame[top:bottom, left:right].mean()) for top, bottom in cuts[0] for left, right in cuts[1]]


@pytest.mark.parametrize("count", [1, 3, 9])
@pytest.mark.parametrize("sides", [(9, 9), (8, 10)])
def test_moving_cells_are_the_loop_over_frames_and_cells(sides: tuple[int, int], count: int) -> None:
    x = DRAW.random((3, 5, 2, *sides), dtype=np.float32)
    found = moving_cells(torch.from_numpy(x), None, count)
    for row in range(3):
        assert not found.known[row, 0, 0]
        for step in range(1, 5):
            change = np.abs(x[row, step] - x[row, step - 1]).mean(0)
            most = np.argsort(cells_of(change))[-count:]
            expected = [1 / count if cell in most else 0.0 for cell in range(9)]
            assert found.target[row, step, 0].tolist() == pytest.approx(expected)
            assert found.known[row, step, 0]


def test_a_figure_that_moves_is_found_where_it_was_and_where_it_is() -> None:
    x = torch.zeros(1, 4, 1, 9, 9)
    x[0, 0, 0, 1, 1] = x[0, 1, 0, 1, 7] = x[0, 2, 0, 1, 7] = 1.0
    x[0, 3, 0, 1, 7], x[0, 3, 0, 4, 4] = 1.0, 0.5
    found = moving_cells(x, None, 3)
    # Two cells changed, not three; then none, which has no answer; then the middle one.
    assert found.known[0, :, 0].tolist() == [False, True, False, True]
    assert found.target[0, 1, 0].tolist() == [0.5, 0, 0.5, 0, 0, 0, 0, 0, 0]
    assert found.target[0, 3, 0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_frames_that_are_missing_or_follow_a_missing_one_have_no_answer() -> None:
    x = torch.from_numpy(DRAW.random((1, 6, 1, 8, 8), dtype=np.float32))
    present = torch.tensor([[True, True, False, True, True, True]])
    assert moving_cells(x, present).known[0, :, 0].tolist() == [False, True, False, False, True, True]
    assert not moving_cells(x[:, :1]).known.any()


@pytest.mark.parametrize("silent", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_frames_are_loud_above_the_quantile_of_their_own_sequence(silent: float) -> None:
    x = DRAW.normal(size=(6, 11, 4)).astype(np.float32)
    scale, present = DRAW.random(4, dtype=np.float32) + 0.5, DRAW.random((6, 11)) < 0.7
    present[:, 0], present[5] = True, np.arange(11) < 10  # among others ten frames, of which three are 0.3
    filled = np.where(present[..., None], x, 1e3).astype(np.float32)
    found = loud_steps(torch.from_numpy(filled), torch.from_numpy(present), torch.from_numpy(scale), silent)
    assert torch.equal(found.known[..., 0], torch.from_numpy(present))
    for row in range(6):
        loudness = (x[row, present[row]] * scale).sum(-1)
        bound = np.quantile(loudness, silent, method="inverted_cdf")
        assert found.target[row, present[row], 0, 1].tolist() == (loudness > bound).tolist()
    assert torch.equal(found.target.sum(-1), torch.ones(6, 11, 1))


def test_a_share_that_floats_cannot_hold_is_the_share_that_was_meant() -> None:
    """Six tenths of fifty are thirty, and a little more in floats."""
    assert loud_steps(torch.rand(1, 50, 3), silent=0.6).target[..., 1].sum() == 20


def test_a_sequence_of_one_loudness_is_silent() -> None:
    found = loud_steps(torch.ones(2, 5, 3))
    assert found.known.all()
    assert not found.target[..., 1].any()


@pytest.mark.parametrize(("window", "length"), [(1, 5), (3, 12), (3, 10)])
def test_directions_are_signs_of_the_differences_of_means(window: int, length: int) -> None:
    x = DRAW.normal(size=(3, length, 2)).astype(np.float32)
    x[0, :, 1] = 0.1  # a feature that never moves
    seen = DRAW.random(x.shape) < 0.6
    seen[0] = True
    found = directions(torch.from_numpy(np.where(seen, x, 1e3).astype(np.float32)), torch.from_numpy(seen), window)
    for row in range(3):
        for feature in range(2):
            means = []
            for start in range(0, length, window):
                values = [
                    x[row, t, feature] for t in range(start, min(start + window, length)) if seen[row, t, feature]
                ]
                means.append(np.mean(values) if values else np.nan)
            for element, mean in enumerate(means):
                before = means[max(element - 1, 0)]
                known = not math.isnan(mean) and not math.isnan(before)
                assert bool(found.known[row, element, feature]) == known
                if known:
                    sign = 0 if abs(mean - before) < 1e-5 else int(np.sign(mean - before))
                    assert found.target[row, element, feature].tolist() == [sign == -1, sign == 0, sign == 1]
    assert (found.target[0, :, 1, 1] == 1).all()


def test_a_difference_of_rounding_is_none() -> None:
    """Means of equal values over three and over four steps differ by rounding."""
    x = torch.full((1, 7, 1), 0.9)
    assert directions(x, None, 4).target[0, :, 0].tolist() == [[0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("kind", "shape", "stride", "questions", "classes"),
    [("image", (3, 8, 8), 1, 1, 9), ("spectrogram", (5,), 1, 1, 2), ("series", (4,), 3, 4, 3)],
)
def test_padding_has_no_answer_and_changes_none(kind, shape, stride: int, questions: int, classes: int) -> None:
    spec = DataSpec(kind=kind, shape=shape, length=9)
    assert label_shape(spec) == (questions, classes)
    x = torch.from_numpy(DRAW.random((3, 9, *shape), dtype=np.float32))
    lengths = torch.tensor([9, 4, 1])
    found = motion_labels(Batch(x=x, lengths=lengths), kind, window=stride)
    assert found.target.shape == (3, -(-9 // stride), questions, classes)
    for row, length in enumerate(lengths.tolist()):
        alone, real = motion_labels(Batch(x=x[row : row + 1, :length]), kind, window=stride), -(-length // stride)
        assert torch.equal(found.known[row, :real], alone.known[0])
        assert torch.equal(found.target[row, :real][alone.known[0]], alone.target[0][alone.known[0]])
        assert not found.known[row, real:].any()
    masked = torch.ones(x.shape if kind == "series" else x.shape[:2], dtype=torch.bool)
    masked[0, 2:] = False
    assert not motion_labels(Batch(x=x, mask=masked), kind, window=stride).known[0, 3:].any()


def test_the_error_is_the_cross_entropy_of_what_is_known_summed() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 2, 4, generator=draw)
    target = torch.rand(3, 5, 2, 4, generator=draw)
    target = target / target.sum(-1, keepdim=True)
    known = torch.rand(3, 5, 2, generator=draw) < 0.6
    found = prediction_error(logits, MotionLabels(target, known))
    for row in range(3):
        total = 0.0
        for element, question in np.argwhere(known[row].numpy()):
            chances = torch.softmax(logits[row, element, question], 0)
            total -= float((target[row, element, question] * chances.log()).sum())
        assert found[row].item() == pytest.approx(total, rel=1e-5)


def test_with_two_classes_it_is_the_binary_cross_entropy() -> None:
    x = torch.from_numpy(DRAW.normal(size=(4, 6, 3)).astype(np.float32))
    labels, logits = loud_steps(x), torch.randn(4, 6, 1, 2, generator=torch.Generator().manual_seed(0))
    odds = (logits[..., 1] - logits[..., 0])[..., 0]
    expected = binary_cross_entropy_with_logits(odds, labels.target[..., 0, 1], reduction="none").sum(1)
    torch.testing.assert_close(prediction_error(logits, labels), expected)
