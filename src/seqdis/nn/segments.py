"""Segments: windows of steps, of any kind, that are coded one by one."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from seqdis.factors import Gaussian
from seqdis.nn.elements import Features, Observation, fold_windows, frame_features, frames_present
from seqdis.nn.frames import FrameDecoder, FrameEncoder
from seqdis.nn.heads import GaussianHead, side_by_side
from seqdis.sequences import Batch, DataSpec


def shifted(batch: Batch, window: int, generator: torch.Generator | None) -> Batch:
    """Sequences that start up to ``window - 1`` steps later, each elsewhere; a whole window is left of each.

    Windows that are cut from them begin anywhere. A sequence shorter than a window stays as it is.
    """
    lengths, time, device = batch.valid_steps().sum(1), batch.x.shape[1], batch.x.device
    room = (lengths - window).clamp(min=0, max=window - 1) + 1
    start = (torch.rand(len(batch), generator=generator, device=device) * room).long()
    steps, rows = torch.arange(time, device=device), torch.arange(len(batch), device=device)[:, None]
    kept = steps < (lengths - start)[:, None]
    at = (steps + start[:, None]).clamp(max=time - 1)

    def moved(values: Tensor) -> Tensor:
        return torch.where(kept.reshape(*kept.shape, *[1] * (values.ndim - 2)), values[rows, at], 0)

    mask = None if batch.mask is None else moved(batch.mask).bool()
    return replace(batch, x=moved(batch.x), mask=mask, lengths=lengths - start, times=None)


def by_value(batch: Batch) -> Batch:
    """The batch with a mask of single values also where its own is of whole frames."""
    if batch.mask is None or batch.mask.ndim == batch.x.ndim:
        return batch
    return replace(batch, mask=batch.mask.reshape(*batch.mask.shape, *[1] * (batch.x.ndim - 2)).expand_as(batch.x))


def readable_segments(segments: Features) -> Bool[Tensor, "batch segments"]:
    """Which segments have a step that can be read."""
    if segments.readable is None:
        return torch.ones(segments.values.shape[:2], dtype=torch.bool, device=segments.values.device)
    return segments.readable.any(-1)


class SegmentFront(nn.Module):
    """What the recurrent layers read of every step: values of series and spectrograms, features of images."""

    def __init__(self, spec: DataSpec, window: int, feature_dim: int, filters: int) -> None:
        super().__init__()
        self.window = window
        self.frames = FrameEncoder(spec.shape, feature_dim, filters) if spec.kind == "image" else None
        self.width = spec.shape[0] if self.frames is None else feature_dim

    def forward(self, batch: Batch) -> Features:
        """Steps folded into segments; (batch, segments) of them, the last one perhaps in part."""
        if self.frames is not None:
            batch = replace(batch, x=frame_features(self.frames, batch).values, mask=frames_present(batch))
        return fold_windows(by_value(batch), self.window)


class SegmentReader(nn.Module):
    """An LSTM over the steps of each segment, started afresh; a Gaussian from the last states of all its layers.

    Steps that cannot be read count as zeros.
    """

    def __init__(self, width: int, hidden: int, layers: int, dim: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(width, hidden, layers, batch_first=True)
        self.gaussian = GaussianHead(layers * hidden, dim)

    def forward(self, segments: Features, beside: Float[Tensor, "batch segments code"] | None = None) -> Gaussian:
        """One Gaussian per segment; a code ``beside`` is read with every step of its segment."""
        steps = segments.read()
        if beside is not None:
            steps = torch.cat([steps, beside.unsqueeze(2).expand(-1, -1, steps.shape[2], -1)], dim=-1)
        _, (last, _) = self.rnn(steps.flatten(0, 1))
        return self.gaussian(last.transpose(0, 1).flatten(1).unflatten(0, steps.shape[:2]))


class SegmentDecoder(nn.Module):
    """One code per segment, fed to an LSTM at every step -> frames, or mean and scale of every value.

    Parameters
    ----------
    spec : DataSpec
    window, width : int
        Steps of a segment, size of a code.
    hidden, layers : int
        Of the LSTM.
    filters : int
        Images: channels of the last convolution.
    scale_floor : float
        Smallest predicted scale, in normalised units: ``scale^2 = floor^2 + exp(log-variance)``.
    """

    def __init__(
        self, spec: DataSpec, window: int, width: int, hidden: int, layers: int, filters: int, scale_floor: float
    ) -> None:
        super().__init__()
        self.window, self.scale_floor = window, scale_floor
        self.rnn = nn.LSTM(width, hidden, layers, batch_first=True)
        self.frames = FrameDecoder(hidden, spec.shape, filters) if spec.kind == "image" else None
        if self.frames is None:
            self.mean, self.logvar = nn.Linear(hidden, spec.shape[0]), nn.Linear(hidden, spec.shape[0])

    def forward(
        self, codes: Float[Tensor, "batch segments width"], valid: Bool[Tensor, "batch segments"] | None = None
    ) -> Observation:
        """Predicted observations; frames of segments where ``valid`` is false are left zero."""
        states, _ = self.rnn(codes.flatten(0, 1).unsqueeze(1).expand(-1, self.window, -1))
        states = states.unflatten(0, codes.shape[:2]).flatten(1, 2)
        if self.frames is not None:
            return Observation(self.frames(states, None if valid is None else valid.repeat_interleave(self.window, 1)))
        mean, logvar = side_by_side(states, self.mean, self.logvar)
        return Observation(mean.float(), (self.scale_floor**2 + logvar.float().exp()).sqrt())
