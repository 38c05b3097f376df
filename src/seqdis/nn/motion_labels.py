"""Labels of what changes, made of the input alone: cheap things that a dynamic code can be asked to tell.

Not to be confused with the labels of a data set, which no method sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, log_softmax, one_hot, pad

from seqdis.nn.elements import frames_present
from seqdis.sequences import Batch, DataSpec, Kind

GRID = 3
"""Cells along each side of a frame."""
STILL = 1e-4
"""Standard deviations within which a mean counts as unchanged: less is rounding."""


@dataclass(frozen=True)
class MotionLabels:
    """What is to be told of every element, as distributions over classes.

    Parameters
    ----------
    target : Tensor, (batch, elements, questions, classes)
        Sums to one over the classes where it is known.
    known : Tensor of bool, (batch, elements, questions)
        False where there is no answer: padding, missing values, no motion.
    """

    target: Float[Tensor, "batch elements questions classes"]
    known: Bool[Tensor, "batch elements questions"]


def moving_cells(
    x: Float[Tensor, "batch time channels height width"],
    present: Bool[Tensor, "batch time"] | None = None,
    count: int = 3,
) -> MotionLabels:
    """Which cells of a 3 x 3 grid changed most since the frame before: one question, nine classes.

    A cell's change is its mean absolute difference over pixels and channels. The ``count`` cells that changed most
    share the target evenly, those that did not change at all left out. The first frame, frames that are missing or
    follow a missing one, and frames equal to the one before have no answer. Cells of sides that three does not divide
    overlap by a pixel.
    """
    change = (x - _before(x)).abs().mean(2)
    cells = adaptive_avg_pool2d(change, GRID).flatten(2)
    value, index = cells.topk(count, dim=-1)
    moved = value > 0
    target = torch.zeros_like(cells).scatter(2, index, moved.to(cells.dtype))
    target = target / target.sum(-1, keepdim=True).clamp(min=1.0)
    known = moved[..., 0]  # sorted: the largest change of all
    if present is not None:
        known = known & present & _before(present)
    return MotionLabels(target.unsqueeze(2), known.unsqueeze(2))


def loud_steps(
    x: Float[Tensor, "batch time bins"],
    present: Bool[Tensor, "batch time"] | None = None,
    scale: Float[Tensor, " #bins"] | float = 1.0,
    silent: float = 0.5,
) -> MotionLabels:
    """Whether a frame is louder than a share of its sequence: one question, the classes silent and loud.

    Loudness is the sum of ``x * scale``: of the magnitudes if ``scale`` is what they were divided by, of their
    logarithms where frames hold these. Squares would take silence for loud there, as its logarithms are negative. At
    least the share ``silent`` of a sequence's frames, the quietest, are silent; missing frames do not count.
    """
    loudness = (x * scale).sum(-1)
    if present is None:
        present = torch.ones_like(loudness, dtype=torch.bool)
    ranked = loudness.masked_fill(~present, torch.inf).sort(1).values
    # Less a little: a share of 0.3 is not quite 0.3 in float, nor are three of ten frames.
    last = torch.ceil(silent * present.sum(1, keepdim=True) - 1e-4).long() - 1
    loud = loudness > ranked.gather(1, last.clamp(min=0))
    return MotionLabels(torch.stack([~loud, loud], dim=-1).to(x.dtype).unsqueeze(2), present.unsqueeze(2))


def directions(
    x: Float[Tensor, "batch time features"],
    observed: Bool[Tensor, "batch time features"] | None = None,
    window: int = 1,
) -> MotionLabels:
    """Whether the mean of a window is below, at or above that of the window before: a question per feature.

    Means are of what was observed; a feature without any in either window has no answer. The first window counts as
    unchanged. ``x`` in standard deviations; see `STILL`.
    """
    if observed is None:
        observed = torch.ones_like(x, dtype=torch.bool)
    missing = -x.shape[1] % window
    x, observed = (pad(each, (0, 0, 0, missing)).unflatten(1, (-1, window)) for each in (x, observed))
    count = observed.sum(2)
    mean = torch.where(observed, x, 0.0).sum(2) / count.clamp(min=1)
    gap = mean - _before(mean)
    which = (gap > STILL).long() - (gap < -STILL).long() + 1
    seen = count > 0
    return MotionLabels(one_hot(which, 3).to(x.dtype), seen & _before(seen))


def label_shape(spec: DataSpec) -> tuple[int, int]:
    """Questions and classes of `motion_labels` for these data."""
    return {"image": (1, GRID * GRID), "spectrogram": (1, 2), "series": (spec.shape[0], 3)}[spec.kind]


@torch.no_grad()
def motion_labels(
    batch: Batch,
    kind: Kind,
    *,
    window: int = 1,
    cells: int = 3,
    silent: float = 0.5,
    scale: Float[Tensor, " #bins"] | float = 1.0,
) -> MotionLabels:
    """Labels by the kind of data: `moving_cells` of images, `loud_steps` of spectrograms, `directions` of series.

    Parameters
    ----------
    batch : Batch
    kind : "image", "spectrogram" or "series"
    window : int
        Series: steps per element.
    cells : int
        Images: how many cells count as moving.
    silent : float
        Spectrograms: share of a sequence's frames that counts as silent.
    scale : Tensor, (bins,) or (1,), or float
        Spectrograms: what they were divided by.
    """
    if kind == "image":
        return moving_cells(batch.x, frames_present(batch), cells)
    if kind == "spectrogram":
        return loud_steps(batch.x, frames_present(batch), scale, silent)
    observed = batch.valid_steps().unsqueeze(-1).expand_as(batch.x)
    return directions(batch.x, observed if batch.mask is None else observed & batch.mask, window)


def prediction_error(
    logits: Float[Tensor, "batch elements questions classes"], labels: MotionLabels
) -> Float[Tensor, " batch"]:
    """Cross-entropy of what is told to what is so, summed over the elements and questions of each sequence.

    With two classes this is the binary cross-entropy. Where several cells share a target, its least value is
    the logarithm of their number.
    """
    cross = -(labels.target * log_softmax(logits.float(), dim=-1)).sum(-1)
    return (cross * labels.known).flatten(1).sum(1)


def _before(x: Tensor) -> Tensor:
    """What stands one step earlier; at the first step, itself."""
    return torch.cat([x[:, :1], x[:, :-1]], dim=1)
