"""Both ends of a method with its posterior heads: for methods that read the static code from one element.

Those whose posterior reads the whole sequence build on `seqdis.nn.codec`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from seqdis.factors import Gaussian
from seqdis.nn.elements import Features, Observation, fold_windows, frame_features, require_two_elements
from seqdis.nn.frames import FrameDecoder, FrameEncoder
from seqdis.nn.heads import DynamicHead, StaticHead
from seqdis.nn.series import StepEncoder, WindowDecoder, WindowDynamicHead, WindowStaticHead
from seqdis.nn.spectrograms import SpectrogramDecoder, SpectrogramEncoder
from seqdis.sequences import Batch, DataSpec


class FrameBody(nn.Module):
    """Elements are image or spectrogram frames; dynamics are a two-layer LSTM over them."""

    stride = 1

    def __init__(
        self,
        encoder: nn.Module,
        static_head: StaticHead,
        dynamic_head: DynamicHead,
        decoder: FrameDecoder | SpectrogramDecoder,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.static_head = static_head
        self.dynamic_head = dynamic_head
        self.decoder = decoder

    def features(self, batch: Batch) -> Features:
        """Encode every readable frame."""
        return frame_features(self.encoder, batch)

    def static(self, element: Float[Tensor, "batch width"]) -> Gaussian:
        """Static posterior from the features of one element."""
        return self.static_head(element)

    def dynamic(self, features: Features) -> Gaussian:
        """Dynamic posterior of every frame; unreadable frames count as zeros."""
        return self.dynamic_head(features.read(), features.lengths)

    def observe(
        self,
        codes: Float[Tensor, "batch elements width"],
        valid: Bool[Tensor, "batch elements"] | None = None,
        noise: torch.Generator | None = None,
    ) -> Observation:
        """Decode joint codes; frames where ``valid`` is false are left zero."""
        return Observation(self.decoder(codes, valid))


class SeriesBody(nn.Module):
    """Elements are windows of ``window`` steps; dynamics never cross a window (as published)."""

    def __init__(
        self, features: int, window: int, static_dim: int, dynamic_dim: int, width: int, scale_floor: float
    ) -> None:
        super().__init__()
        self.stride = window
        self.encoder = StepEncoder(features, width)
        self.static_head = WindowStaticHead(width, static_dim)
        self.dynamic_head = WindowDynamicHead(width, dynamic_dim)
        self.decoder = WindowDecoder(static_dim + dynamic_dim, features, window, width, scale_floor)

    def windows(self, batch: Batch) -> Features:
        """Observations folded into windows, not encoded yet; the last window is filled up with zeros."""
        return fold_windows(batch, self.stride)

    def features(self, batch: Batch) -> Features:
        """Encode every step, folded into windows."""
        windows = self.windows(batch)
        return replace(windows, values=self.encoder(windows.values))

    def posterior(self, windows: Features, index: Int[Tensor, " batch"], subtract: bool) -> tuple[Gaussian, Gaussian]:
        """Both posteriors with zeros in the anchor's window, from what `windows` returned.

        Only anchors and readable steps are encoded. A window that shows nothing is zeros, hence
        like any other such: one code stands for them all.
        """
        (batch, count, length), device = windows.values.shape[:3], index.device
        rows = torch.arange(batch, device=device)
        readable = windows.values.new_ones((batch, count, length), dtype=torch.bool)
        if windows.readable is not None:
            readable &= windows.readable
        readable[rows, index] = False
        # All steps to encode in one go: the anchors' and those to be read.
        anchors = ((rows * count + index)[:, None] * length + torch.arange(length, device=device)).flatten()
        seen = readable.flatten().nonzero().squeeze(1)
        steps = torch.cat([anchors, seen])
        values = self.encoder(windows.values.flatten(0, 2).index_select(0, steps))
        anchor, values = values[: batch * length], values[batch * length :]
        if subtract:
            values = values - anchor.index_select(0, seen // (count * length) * length + seen % length)
        values = pad(values, (0, 0, 1, 0))
        # Counting what is shown numbers it from 1; 0 is the blank step, then the blank window.
        shown = readable.any(-1).flatten()
        kept = pad(readable.flatten(0, 1)[shown], (0, 0, 1, 0)).flatten()
        source = kept.cumsum(0) * kept
        dynamic = self.dynamic_head(values.index_select(0, source).unflatten(0, (1, -1, length)))
        place = shown.cumsum(0) * shown
        static = self.static(anchor.unflatten(0, (batch, length)))
        return static, dynamic.map(lambda code: code[0].index_select(0, place).unflatten(0, (batch, count)))

    def static(self, element: Float[Tensor, "batch steps width"]) -> Gaussian:
        """Static posterior from the features of one window."""
        return self.static_head(element)

    def dynamic(self, features: Features) -> Gaussian:
        """Dynamic posterior of every window; unreadable steps count as zeros."""
        return self.dynamic_head(features.read())

    def observe(
        self,
        codes: Float[Tensor, "batch elements width"],
        valid: Bool[Tensor, "batch elements"] | None = None,
        noise: torch.Generator | None = None,
    ) -> Observation:
        """Decode joint codes to mean and scale of every value."""
        return Observation(*self.decoder(codes, noise))


def build_body(
    spec: DataSpec,
    *,
    static_dim: int,
    dynamic_dim: int,
    hidden_dim: int,
    feature_dim: int,
    filters: int = 32,
    window: int = 4,
    causal: bool = False,
    scale_floor: float = 0.05,
    spectrogram_encoder: Literal["element", "recurrent"] = "element",
) -> FrameBody | SeriesBody:
    """The body that fits the data: image frames, spectrogram frames, or windows of a series.

    Raises
    ------
    DataError
        Sequences too short for two elements, or frames too small.
    """
    require_two_elements(spec, window)
    code = static_dim + dynamic_dim
    if spec.kind == "series":
        return SeriesBody(spec.shape[0], window, static_dim, dynamic_dim, feature_dim, scale_floor)
    dynamic_head = DynamicHead(feature_dim, dynamic_dim, causal=causal)
    if spec.kind == "spectrogram":
        return FrameBody(
            SpectrogramEncoder(spec.shape[0], feature_dim, spectrogram_encoder),
            # The released audio heads end in a leaky ReLU; it belongs to that variant only.
            StaticHead(feature_dim, hidden_dim, static_dim, leaky=spectrogram_encoder == "recurrent"),
            dynamic_head,
            SpectrogramDecoder(code, spec.shape[0]),
        )
    return FrameBody(
        FrameEncoder(spec.shape, feature_dim, filters),
        StaticHead(feature_dim, hidden_dim, static_dim),
        dynamic_head,
        FrameDecoder(code, spec.shape, filters),
    )
