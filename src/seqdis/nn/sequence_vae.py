"""The body most methods share: encoder -> heads -> prior -> decoder, in three modalities.

Each body turns a batch into per-element features, heads and observations with one interface, so
that a method writes its posterior and its loss once. One element is a frame (images, spectrograms)
or a window of steps (series).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from seqdis.errors import DataError
from seqdis.factors import Factors, Gaussian
from seqdis.nn.frames import FrameDecoder, FrameEncoder
from seqdis.nn.heads import DynamicHead, StaticHead
from seqdis.nn.network import Network
from seqdis.nn.priors import AutoregressivePrior
from seqdis.nn.series import StepEncoder, WindowDecoder, WindowDynamicHead, WindowStaticHead, informative_steps
from seqdis.nn.spectrograms import SpectrogramDecoder, SpectrogramEncoder
from seqdis.sequences import Batch, DataSpec


@dataclass(frozen=True)
class Features:
    """Encoded elements of a batch.

    Parameters
    ----------
    values : Tensor, (batch, elements, width) for frames, (batch, elements, steps, width) for windows
    readable : Tensor of bool or None, (batch, elements[, steps])
        False where recurrent heads must see zeros: padding, missing frames, steps with too few values.
    lengths : Tensor of int64 or None, (batch,)
        Real elements of each sequence.
    """

    values: Tensor
    readable: Tensor | None = None
    lengths: Int[Tensor, " batch"] | None = None

    def read(self) -> Tensor:
        """The values, zero where they are not readable."""
        return self.values if self.readable is None else self.values * self.readable.unsqueeze(-1)

    def at(self, index: Int[Tensor, " batch"]) -> Tensor:
        """The values of one element of every sequence: (batch, ...)."""
        return self.values[torch.arange(len(index), device=index.device), index]

    def put(self, index: Int[Tensor, " batch"], values: Tensor) -> Features:
        """The same with other values for one element of every sequence."""
        rows = torch.arange(len(index), device=index.device)
        return replace(self, values=self.values.index_put((rows, index), values))


@dataclass(frozen=True)
class Observation:
    """Predicted observations, normalised units; ``scale`` is None where the variance is fixed."""

    mean: Float[Tensor, "batch time *features"]
    scale: Float[Tensor, "batch time features"] | None = None


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
        # All steps to encode in one go: the anchors', one that becomes the blank, those to be read.
        anchors = ((rows * count + index)[:, None] * length + torch.arange(length, device=device)).flatten()
        seen = readable.flatten().nonzero().squeeze(1)
        steps = torch.cat([anchors, anchors[:1], seen])
        values = self.encoder(windows.values.flatten(0, 2).index_select(0, steps))
        anchor, values = values[: batch * length], values[batch * length :]
        if subtract:
            values[1:] -= anchor.index_select(0, seen // (count * length) * length + seen % length)
        values[0] = 0.0
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


class SequenceVAE(Network):
    """A body and an autoregressive prior over its dynamic codes; ``p(s) = N(0, I)``.

    The decoder reads the two codes side by side, dynamic first.
    """

    def __init__(
        self, spec: DataSpec, body: FrameBody | SeriesBody, static_dim: int, dynamic_dim: int, hidden_dim: int
    ) -> None:
        super().__init__()
        self.spec = spec
        self.body = body
        self.static_dim = static_dim
        self.dynamic_prior = AutoregressivePrior(dynamic_dim, hidden_dim)
        self.stride = body.stride

    def decode(self, factors: Factors) -> Tensor:
        """(batch, elements * stride, *features): the mean observation, zero on padding."""
        valid = None if factors.lengths is None else factors.valid()
        observation = self.body.observe(join(factors.static, factors.dynamic), valid)
        return observed_means(observation, factors, self.stride)

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """Static codes from N(0, I), dynamic ones from a roll-out of the learned prior."""
        dynamic = self.dynamic_prior.rollout(n, length, generator, mean=mean)
        static = torch.randn(n, self.static_dim, generator=generator, device=dynamic.device, dtype=dynamic.dtype)
        return Factors(static, dynamic)


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
    elements = math.ceil(spec.length / (window if spec.kind == "series" else 1))
    if elements < 2:
        unit = f"windows of {window} steps" if spec.kind == "series" else "frames"
        raise DataError(
            f"sequences of {spec.length} step(s) make {elements} of the {unit} that codes are given to; at least 2 "
            "are needed to tell what stays from what changes. Give longer sequences or a smaller `window`."
        )
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


def join(static: Float[Tensor, "batch static"], dynamic: Float[Tensor, "batch elements dynamic"]) -> Tensor:
    """Joint codes of all elements, dynamic first: (batch, elements, dynamic + static)."""
    return torch.cat([dynamic, static.unsqueeze(1).expand(-1, dynamic.shape[1], -1)], dim=-1)


def elements_of(lengths: Tensor | None, stride: int) -> Tensor | None:
    """Elements that sequences of these many steps fill, the last one perhaps in part."""
    return None if lengths is None else -(-lengths // stride)


def frame_features(encoder: nn.Module, batch: Batch) -> Features:
    """Every readable frame encoded; the rest zero."""
    readable = frames_present(batch)
    if isinstance(encoder, SpectrogramEncoder):
        return Features(encoder(batch.x, readable, batch.lengths), readable, batch.lengths)
    return Features(encoder(batch.x, readable), readable, batch.lengths)


def fold_windows(batch: Batch, window: int) -> Features:
    """A series folded into windows, not encoded yet; the last window is filled up with zeros."""
    missing = -batch.x.shape[1] % window
    x = pad(batch.x, (0, 0, 0, missing)) if missing else batch.x
    readable = None
    if batch.mask is not None or batch.lengths is not None or missing:
        steps = batch.valid_steps() if batch.mask is None else informative_steps(batch.mask)
        readable = pad(steps, (0, missing)).unflatten(1, (-1, window))
    return Features(x.unflatten(1, (-1, window)), readable, elements_of(batch.lengths, window))


def observed_means(observation: Observation, factors: Factors, stride: int) -> Tensor:
    """The mean observation of decoded codes, zero on padded elements of ``stride`` steps."""
    if factors.lengths is None:
        return observation.mean
    steps = factors.valid().repeat_interleave(stride, dim=1)
    return observation.mean * steps.reshape(*steps.shape, *[1] * (observation.mean.ndim - 2))


def frames_present(batch: Batch) -> Tensor | None:
    """(batch, time) bool of frames that are real and observed, or None if all are."""
    if batch.mask is not None:
        return batch.mask
    return None if batch.lengths is None else batch.valid_steps()
