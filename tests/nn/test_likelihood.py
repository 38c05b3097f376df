"""Both loss presets by hand: predictions of mean 0 and scale 1 make every value's error a square."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqdis.nn.elements import Observation
from seqdis.nn.likelihood import frame_error, frame_errors, reconstruction_error, series_errors
from seqdis.sequences import Batch

C = 0.5 * math.log(2 * math.pi)
"""Error of a value that is predicted exactly, at scale 1."""

# Two sequences of five steps with two values each; windows of two steps, the last one half empty.
X = torch.tensor([[[1.0, 2.0], [0.0, 3.0], [2.0, 2.0], [4.0, 0.0], [1.0, 1.0]], [[2.0, 0.0]] * 5])


def nll(*values: float) -> float:
    return sum(0.5 * value**2 + C for value in values)


def predicted(copies: int = 1, scale: float = 1.0) -> Observation:
    """Zeros for six steps, of which the sixth is beyond the data."""
    return Observation(torch.zeros(2 * copies, 6, 2), torch.full((2 * copies, 6, 2), scale))


def errors(batch: Batch, index: list[int], loss: str, observation: Observation | None = None) -> tuple[Tensor, Tensor]:
    return series_errors(observation or predicted(), batch, torch.tensor(index), 2, loss)


def test_paper_splits_the_anchor_window_from_the_rest() -> None:
    rest, anchor = errors(Batch(x=X), [1, 2], "paper")
    assert anchor.tolist() == pytest.approx([nll(2, 2, 4, 0), nll(2, 0)])
    assert rest.tolist() == pytest.approx([nll(1, 2, 0, 3, 1, 1), nll(*[2, 0] * 4)])


def test_paper_counts_missing_values_at_the_mean_of_those_observed() -> None:
    mask = torch.ones(2, 5, 2, dtype=torch.bool)
    mask[0, 0, 0] = mask[0, 2, 1] = mask[0, 3, 1] = False
    x = torch.where(mask, X, 50.0)  # what stands behind the mask must not be read
    rest, anchor = errors(Batch(x=x, mask=mask), [1, 1], "paper")
    assert anchor[0].item() == pytest.approx(nll(2, 4) / 2 * 4)
    assert rest[0].item() == pytest.approx(nll(2, 0, 3, 1, 1) / 5 * 6)


def test_paper_counts_no_padding_and_survives_an_unobserved_anchor() -> None:
    mask = torch.ones(2, 5, 2, dtype=torch.bool)
    mask[1, :2] = False
    lengths = torch.tensor([3, 5])
    mask[0, 3:] = False
    rest, anchor = errors(Batch(x=X, mask=mask, lengths=lengths), [1, 0], "paper")
    assert anchor.tolist() == pytest.approx([nll(2, 2), 0.0])
    assert rest.tolist() == pytest.approx([nll(1, 2, 0, 3), nll(*[2, 0] * 3)])


@pytest.mark.parametrize("loss", ["paper", "reference"])
def test_lengths_alone_and_with_a_mask_of_padding_mean_the_same(loss: str) -> None:
    lengths = torch.tensor([3, 5])
    mask = (torch.arange(5) < lengths[:, None])[..., None].expand(2, 5, 2)
    alone = errors(Batch(x=X, lengths=lengths), [0, 1], loss)
    both = errors(Batch(x=X, lengths=lengths, mask=mask), [0, 1], loss)
    assert torch.equal(torch.stack(alone), torch.stack(both))


def test_reference_sums_the_observed_with_the_anchor_and_repeats_its_first_step_unmasked() -> None:
    mask = torch.ones(2, 5, 2, dtype=torch.bool)
    mask[0, 2, 0] = mask[0, 4] = False
    total, anchor = errors(Batch(x=X, mask=mask), [1, 0], "reference")
    assert total.tolist() == pytest.approx([nll(1, 2, 0, 3, 2, 4, 0), nll(*[2, 0] * 5)])
    assert anchor.tolist() == pytest.approx([nll(2, 2), nll(2, 0)])


def test_scale_enters_as_a_standard_deviation() -> None:
    _, anchor = errors(Batch(x=X), [0, 0], "reference", predicted(scale=0.5))
    assert anchor[0].item() == pytest.approx(0.5 * (2**2 + 4**2) + 2 * (math.log(0.5) + C))


@pytest.mark.parametrize("loss", ["paper", "reference"])
def test_copies_stand_one_after_the_other(loss: str) -> None:
    mask = torch.ones(2, 5, 2, dtype=torch.bool)
    mask[1, 3] = False
    batch = Batch(x=X, mask=mask, lengths=torch.tensor([5, 4]))
    once = torch.stack(errors(batch, [0, 1], loss))
    thrice = torch.stack(errors(batch, [0, 1], loss, predicted(copies=3)))
    assert torch.allclose(thrice, once.repeat(1, 3))


FRAMES = torch.arange(3.0).view(1, 3, 1, 1, 1).expand(2, 3, 1, 2, 2)  # squared errors 0, 4, 16 per frame


@pytest.mark.parametrize(("twice", "total"), [(False, [16.0, 20.0]), (True, [20.0, 20.0])])
def test_frames_count_the_anchor_once_or_twice(twice: bool, total: list[float]) -> None:
    observation = Observation(torch.zeros(2, 3, 1, 2, 2))
    rest, anchor = frame_errors(observation, Batch(x=FRAMES), torch.tensor([1, 0]), twice)
    assert anchor.tolist() == [4.0, 0.0]
    assert rest.tolist() == total


def test_absent_frames_have_no_error() -> None:
    observation = Observation(torch.ones(2, 3, 1, 2, 2))
    mask = torch.tensor([[True, False, True], [True, True, True]])
    rest, anchor = frame_errors(observation, Batch(x=FRAMES, mask=mask), torch.tensor([1, 2]), False)
    assert (rest.tolist(), anchor.tolist()) == ([4.0 + 4.0, 4.0 + 0.0], [0.0, 4.0])
    lengths = torch.tensor([1, 3])
    rest, anchor = frame_errors(observation, Batch(x=FRAMES, lengths=lengths), torch.tensor([0, 0]), True)
    assert (rest.tolist(), anchor.tolist()) == ([4.0, 8.0], [4.0, 4.0])


def test_spectrogram_frames_are_summed_over_bins() -> None:
    x = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]])
    rest, anchor = frame_errors(Observation(torch.zeros(1, 2, 2)), Batch(x=x), torch.tensor([0]), False)
    assert (rest.tolist(), anchor.tolist()) == ([9.0], [5.0])
    assert frame_error(Observation(torch.zeros(1, 2, 2)), Batch(x=x)).tolist() == [14.0]
    assert frame_error(Observation(torch.zeros(1, 2, 2)), Batch(x=x, lengths=torch.tensor([1]))).tolist() == [5.0]


def test_errors_are_summed_over_what_is_there() -> None:
    one = Batch(x=torch.zeros(2, 3, 2), lengths=torch.tensor([3, 1]))
    assert reconstruction_error(Observation(torch.full((2, 3, 2), 2.0)), one).tolist() == [24.0, 8.0]
    scaled = reconstruction_error(Observation(torch.zeros(2, 3, 2), torch.ones(2, 3, 2)), one)
    # Of a normal density at its mean: log sqrt(2 pi) per value.
    assert scaled.tolist() == pytest.approx([6 * 0.9189385, 2 * 0.9189385])
