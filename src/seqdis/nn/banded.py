"""From features of elements to a Gaussian with a banded precision, and what lets a code see its neighbours."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

from seqdis.nn.gaussian_process import BandedGaussian
from seqdis.nn.heads import side_by_side

Band = Literal["softplus", "sigmoid", "signed"]

CERTAIN = 4.0
"""First ``a_t``, for softplus: standard deviations of 0.2. Smooth priors make wide independent deviations dear: from
0.6, as zeros would give, fits of toy series by large steps began by losing their codes, and some never found them."""


class BandedHead(nn.Module):
    """Two linear maps of every element's features: mean, and the entries of ``B`` at its place.

    Parameters
    ----------
    width, dim
        Sizes of features and codes.
    band
        With raw values ``a_t`` and ``c_t``, the diagonal ``d_t`` of ``B`` and the entry ``e_t`` above ``d_(t+1)``:
        "softplus", ``1 + softplus(a_t)`` and ``softplus(c_t)``; "sigmoid", the same of sigmoids, so that no draw can
        grow along a sequence; "signed", ``1 + softplus(a_t)`` and ``tanh(c_t) d_(t+1)``: each draw's deviation is
        ``-tanh(c_t)`` times the one before, and noise. The first two make neighbours vary against each other.
    banded
        False leaves ``e`` zero: elements are independent.
    """

    def __init__(self, width: int, dim: int, *, band: Band = "softplus", banded: bool = True) -> None:
        super().__init__()
        self.mean = nn.Linear(width, dim)
        self.band = nn.Linear(width, (1 + banded) * dim)
        self.form, self.banded = band, banded
        if band != "sigmoid":  # which could not, and would only saturate
            nn.init.constant_(self.band.bias.detach()[:dim], CERTAIN)

    def forward(
        self, features: Float[Tensor, "batch elements width"], valid: Bool[Tensor, "batch elements"] | None = None
    ) -> BandedGaussian:
        """One Gaussian per sequence, float32 even under autocast; elements that are not ``valid`` are uncoupled."""
        mean, raw = (values.float() for values in side_by_side(features, self.mean, self.band))
        squeeze = torch.sigmoid if self.form == "sigmoid" else softplus
        diagonal = 1.0 + squeeze(raw[..., : mean.shape[-1]])
        if not self.banded:
            return BandedGaussian(mean, diagonal, torch.zeros_like(mean[:, 1:]))
        above = raw[:, :-1, mean.shape[-1] :]
        coupling = torch.tanh(above) * diagonal[:, 1:] if self.form == "signed" else squeeze(above)
        # In padding nothing holds the band back: a draw could grow there without bound.
        return BandedGaussian(mean, diagonal, coupling if valid is None else coupling * valid[:, 1:].unsqueeze(-1))


class Neighbours(nn.Module):
    """A convolution along the elements and a ReLU; each output sees ``span`` elements, its own in their middle.

    Ends are zeros, as padding must be. Of an even number, one more comes after than before.
    """

    def __init__(self, width: int, span: int) -> None:
        super().__init__()
        self.before, self.after = (span - 1) // 2, span // 2
        self.convolution = nn.Conv1d(width, width, span)

    def forward(self, features: Float[Tensor, "batch elements width"]) -> Float[Tensor, "batch elements width"]:
        """Features of every element that know those beside it."""
        ends = pad(features.transpose(1, 2), (self.before, self.after))
        return torch.relu(self.convolution(ends)).transpose(1, 2)
