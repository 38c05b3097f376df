"""Both ends of a method without its posterior: elements to features, codes to observations, in three modalities.

For methods whose posterior reads the whole sequence. Those that read it from one element build on
`seqdis.nn.bodies`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from jaxtyping import Bool, Float
from torch import Tensor, nn

from seqdis.nn.elements import Features, Observation, fold_windows, frame_features
from seqdis.nn.frames import FrameDecoder, FrameEncoder
from seqdis.nn.series import StepEncoder, WindowDecoder
from seqdis.nn.spectrograms import SpectrogramEncoder
from seqdis.sequences import Batch, DataSpec


class ElementDecoder(nn.Module):
    """Codes -> spectrogram frames, each from its own code: two linear layers, a leaky ReLU between."""

    def __init__(self, width: int, bins: int, hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, bins))

    def forward(
        self, codes: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time bins"]:
        """Frames of every step, in the units of the input; zero where ``valid`` is false."""
        frames: Tensor = self.layers(codes).float()
        return frames if valid is None else frames * valid.unsqueeze(-1)


class FrameCodec(nn.Module):
    """Elements are image or spectrogram frames, each encoded and decoded alone."""

    stride = 1

    def __init__(self, encoder: FrameEncoder | SpectrogramEncoder, decoder: FrameDecoder | ElementDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def elements(self, batch: Batch) -> Features:
        """Features of every frame, zero where it is padding or missing."""
        features = frame_features(self.encoder, batch)
        return replace(features, values=features.read())

    def observe(
        self,
        codes: Float[Tensor, "batch elements width"],
        valid: Bool[Tensor, "batch elements"] | None = None,
    ) -> Observation:
        """Decode joint codes; frames where ``valid`` is false are left zero."""
        return Observation(self.decoder(codes, valid))


class WindowCodec(nn.Module):
    """Elements are windows of ``window`` steps of a series: steps, then an LSTM inside every window."""

    def __init__(self, features: int, window: int, code_dim: int, width: int, scale_floor: float) -> None:
        super().__init__()
        self.stride = window
        self.encoder = StepEncoder(features, width)
        self.rnn = nn.LSTM(width, width, batch_first=True)
        self.decoder = WindowDecoder(code_dim, features, window, width, scale_floor)

    def elements(self, batch: Batch) -> Features:
        """Features of every window; steps of it that cannot be read count as zeros."""
        windows = fold_windows(batch, self.stride)
        steps = replace(windows, values=self.encoder(windows.values)).read()
        _, (last, _) = self.rnn(steps.flatten(0, 1))
        return replace(windows, values=last[0].unflatten(0, steps.shape[:2]))

    def observe(
        self,
        codes: Float[Tensor, "batch elements width"],
        valid: Bool[Tensor, "batch elements"] | None = None,
    ) -> Observation:
        """Decode joint codes to mean and scale of every value."""
        return Observation(*self.decoder(codes))


Codec = FrameCodec | WindowCodec


class CodecSettings(Protocol):
    """What a method must say of itself for `codec_of`.

    Parameters
    ----------
    feature_dim : int
        Size of an element's features.
    filters : int
        Images: channels of the first convolution.
    window, scale_floor
        Series: steps per element, and the smallest predicted scale in normalised units.
    """

    feature_dim: int
    filters: int
    window: int
    scale_floor: float


def codec_of(settings: CodecSettings, spec: DataSpec, code_dim: int) -> Codec:
    """The codec of a method that fits the data: image frames, spectrogram frames, or windows of a series.

    Parameters
    ----------
    settings : CodecSettings
    spec : DataSpec
    code_dim : int
        Size of the joint code that one element is decoded from.
    """
    features, filters = settings.feature_dim, settings.filters
    if spec.kind == "series":
        return WindowCodec(spec.shape[0], settings.window, code_dim, features, settings.scale_floor)
    if spec.kind == "spectrogram":
        return FrameCodec(SpectrogramEncoder(spec.shape[0], features), ElementDecoder(code_dim, spec.shape[0]))
    return FrameCodec(FrameEncoder(spec.shape, features, filters), FrameDecoder(code_dim, spec.shape, filters))
