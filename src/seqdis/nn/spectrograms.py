"""Spectrogram frames: encoders of one frame or of the whole segment, and a recurrent decoder."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class SpectrogramEncoder(nn.Module):
    """Frames of ``bins`` magnitudes -> features.

    Parameters
    ----------
    variant : "element" or "recurrent"
        "element" maps every frame alone, as the paper of DBSE claims. "recurrent" is what was
        released: a bidirectional LSTM over the segment, so that every feature sees every frame.
    """

    def __init__(self, bins: int, width: int, variant: Literal["element", "recurrent"] = "element") -> None:
        super().__init__()
        self.variant = variant
        if variant == "recurrent":
            self.rnn = nn.LSTM(bins, width, batch_first=True, bidirectional=True)
            self.out = nn.Linear(2 * width, width)
        else:
            self.layers = nn.Sequential(
                nn.Linear(bins, 2 * width), nn.LeakyReLU(0.2), nn.Linear(2 * width, width), nn.Tanh()
            )

    def forward(
        self,
        x: Float[Tensor, "batch time bins"],
        valid: Bool[Tensor, "batch time"] | None = None,
        lengths: Tensor | None = None,
    ) -> Float[Tensor, "batch time width"]:
        """Features of every frame; zero where ``valid`` is false."""
        if self.variant == "element":
            features = self.layers(x)
        elif lengths is None:
            features = self.out(self.rnn(x)[0])
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.shape[1])
            features = self.out(states)
        return features if valid is None else features * valid.unsqueeze(-1)


class SpectrogramDecoder(nn.Module):
    """Codes -> frames: one LSTM over time and a linear layer, without output non-linearity."""

    def __init__(self, width: int, bins: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(width, bins, batch_first=True)
        self.out = nn.Linear(bins, bins)

    def forward(
        self, codes: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time bins"]:
        """Frames of every step, in the units of the input; zero where ``valid`` is false."""
        frames: Tensor = self.out(self.rnn(codes)[0]).float()
        # Padding follows the real steps and the LSTM runs forward: it cannot reach them.
        return frames if valid is None else torch.where(valid.unsqueeze(-1), frames, 0.0)
