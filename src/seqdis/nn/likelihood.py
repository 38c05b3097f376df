"""How well observations are predicted: the whole sequence, and one element apart."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from seqdis.losses import gaussian_nll
from seqdis.nn.elements import Observation, frames_present
from seqdis.sequences import Batch


def series_errors(
    observation: Observation, batch: Batch, index: Tensor, window: int, loss: str
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of the sequence and of the anchor, (copies * batch,) each.

    "paper": summed over the values of the part, missing ones counted at the mean of those observed.
    "reference": the sequence term sums what is observed, anchor included; the anchor term is the
    first step of its window without a mask.
    """
    time, copies = batch.x.shape[1], observation.mean.shape[0] // len(batch)
    assert observation.scale is not None
    x = batch.x if copies == 1 else batch.x.repeat(copies, 1, 1)
    nll = gaussian_nll(x, observation.mean[:, :time], observation.scale[:, :time])
    index = index.repeat(copies)
    observed = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
    if batch.lengths is not None:
        observed = observed & batch.valid_steps().unsqueeze(-1)
    counts = observed.sum(-1, dtype=torch.float32).repeat(copies, 1)
    spent = torch.where(observed.repeat(copies, 1, 1), nll, 0.0).sum(-1)
    if loss == "reference":
        return spent.sum(1), nll[torch.arange(len(index), device=index.device), index * window].sum(-1)
    in_anchor = (torch.arange(time, device=index.device) // window) == index[:, None]
    valid = batch.valid_steps().repeat(copies, 1)

    def part(steps: Tensor) -> Tensor:
        mean = (spent * steps).sum(1) / (counts * steps).sum(1).clamp(min=1)
        return mean * (steps & valid).sum(1) * batch.x.shape[-1]

    return part(~in_anchor), part(in_anchor)


def series_error(observation: Observation, batch: Batch) -> Tensor:
    """Negative log-likelihood summed over the values of each sequence, missing ones at the mean of those observed."""
    time = batch.x.shape[1]
    assert observation.scale is not None
    nll = gaussian_nll(batch.x, observation.mean[:, :time], observation.scale[:, :time])
    valid = batch.valid_steps()
    seen = valid.unsqueeze(-1).expand_as(nll) if batch.mask is None else batch.mask & valid.unsqueeze(-1)
    mean = torch.where(seen, nll, 0.0).sum((1, 2)) / seen.sum((1, 2)).clamp(min=1)
    return mean * valid.sum(1) * batch.x.shape[-1]


def frame_error(observation: Observation, batch: Batch) -> Tensor:
    """Squared error summed over the values of each sequence, (batch,)."""
    return _by_frame(observation, batch).sum(1)


def frame_errors(observation: Observation, batch: Batch, index: Tensor, anchor_twice: bool) -> tuple[Tensor, Tensor]:
    """Squared error of the sequence and of the anchor frame, summed over values, (batch,) each."""
    error = _by_frame(observation, batch)
    anchor = error[torch.arange(len(index), device=index.device), index]
    total = error.sum(1)
    return (total if anchor_twice else total - anchor), anchor


def _by_frame(observation: Observation, batch: Batch) -> Tensor:
    error = (observation.mean - batch.x).square().flatten(2).sum(-1)
    present = frames_present(batch)
    return error if present is None else error * present


def reconstruction_error(observation: Observation, batch: Batch) -> Float[Tensor, " batch"]:
    """Squared error of frames, negative log-likelihood of series, summed over time and features.

    Frames that are missing or padding count for nothing; a missing value of a series counts at the
    mean of those observed.
    """
    return frame_error(observation, batch) if observation.scale is None else series_error(observation, batch)
