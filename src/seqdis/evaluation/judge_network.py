"""The network of a judge: frame encoder, one bidirectional LSTM over frames, one head per factor."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from seqdis.nn.elements import frames_present
from seqdis.nn.frames import FrameEncoder
from seqdis.sequences import Batch


class JudgeNetwork(nn.Module):
    """Video -> class scores of every factor.

    With 64x64 frames, 64 filters, 128 features and 256 states per direction this is the judge of the
    C-DSVAE, SPYL and DBSE evaluations.

    Parameters
    ----------
    shape : (channels, height, width)
    classes : mapping from factor to number of classes
    filters, feature_dim, hidden_dim : int
    """

    def __init__(
        self, shape: tuple[int, ...], classes: Mapping[str, int], filters: int, feature_dim: int, hidden_dim: int
    ) -> None:
        super().__init__()
        self.names = tuple(classes)
        self.frames = FrameEncoder(shape, feature_dim, filters)
        self.sequence = nn.LSTM(feature_dim, hidden_dim, batch_first=True, bidirectional=True)
        # A list: names of factors may hold what module names may not.
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * hidden_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, count))
            for count in classes.values()
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Class scores before the softmax, (batch, classes) for every factor."""
        features = self.frames(batch.x, frames_present(batch))
        packed = features
        if batch.lengths is not None:  # else the backward direction would start in the padding
            packed = pack_padded_sequence(features, batch.lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (states, _) = self.sequence(packed)
        both = torch.cat([states[0], states[1]], dim=1)
        return {name: head(both) for name, head in zip(self.names, self.heads, strict=True)}
