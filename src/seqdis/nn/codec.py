"""Both ends of a method without its posterior: elements to features, codes to observations, in three modalities.

For methods whose posterior reads the whole sequence. Those that read it from one element build on
`seqdis.nn.sequence_vae`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqdis.factors import Factors, Posterior
from seqdis.nn.frames import FrameDecoder, FrameEncoder
from seqdis.nn.heads import GaussianHead
from seqdis.nn.likelihood import frame_error, series_error
from seqdis.nn.network import Network
from seqdis.nn.priors import AutoregressivePrior
from seqdis.nn.sequence_vae import (
    Features,
    Observation,
    fold_windows,
    frame_features,
    join,
    observed_means,
)
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


def build_codec(
    spec: DataSpec, *, code_dim: int, feature_dim: int, filters: int = 32, window: int = 4, scale_floor: float = 0.05
) -> Codec:
    """The codec that fits the data: image frames, spectrogram frames, or windows of a series.

    Parameters
    ----------
    code_dim : int
        Size of the joint code that one element is decoded from.
    feature_dim : int
        Size of an element's features.
    filters : int
        Images: channels of the first convolution.
    window, scale_floor
        Series: steps per element, and the smallest predicted scale in normalised units.
    """
    if spec.kind == "series":
        return WindowCodec(spec.shape[0], window, code_dim, feature_dim, scale_floor)
    if spec.kind == "spectrogram":
        return FrameCodec(SpectrogramEncoder(spec.shape[0], feature_dim), ElementDecoder(code_dim, spec.shape[0]))
    return FrameCodec(FrameEncoder(spec.shape, feature_dim, filters), FrameDecoder(code_dim, spec.shape, filters))


class RecurrentHeads(nn.Module):
    """Both posteriors from one bidirectional LSTM over the elements, the heads of S3VAE, C-DSVAE and SPYL.

    Static: the states at the two ends. Dynamic: a forward tanh RNN over all states, hence it sees
    later elements too.
    """

    def __init__(self, width: int, hidden: int, static_dim: int, dynamic_dim: int) -> None:
        super().__init__()
        self.both_ways = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.static = GaussianHead(2 * hidden, static_dim)
        self.forwards = nn.RNN(2 * hidden, hidden, batch_first=True)
        self.dynamic = GaussianHead(hidden, dynamic_dim)

    def forward(self, elements: Features) -> Posterior:
        """Posteriors of every sequence; padding changes nothing before it."""
        states, ends = over_time(self.both_ways, elements)
        return Posterior(self.static(ends), self.dynamic(self.forwards(states)[0]), elements.lengths)


def over_time(
    rnn: nn.LSTM, elements: Features
) -> tuple[Float[Tensor, "batch elements states"], Float[Tensor, "batch states"]]:
    """States of a bidirectional LSTM at every element, and those at its two ends: after the last and the first."""
    if elements.lengths is None:
        states, (last, _) = rnn(elements.values)
    else:
        # Packing keeps the backward direction from starting in the padding.
        packed, (last, _) = rnn(
            pack_padded_sequence(elements.values, elements.lengths.cpu(), batch_first=True, enforce_sorted=False)
        )
        states, _ = pad_packed_sequence(packed, batch_first=True, total_length=elements.values.shape[1])
    return states, torch.cat([last[0], last[1]], dim=-1)


class RecurrentVAE(Network):
    """Codec, `RecurrentHeads` and an autoregressive prior over dynamic codes: the network of the DSVAE family.

    ``p(s) = N(0, I)``; the decoder reads the two codes side by side, dynamic first. A method adds its loss.
    """

    def __init__(self, spec: DataSpec, codec: Codec, heads: RecurrentHeads, prior: AutoregressivePrior) -> None:
        super().__init__()
        self.spec = spec
        self.codec = codec
        self.heads = heads
        self.dynamic_prior = prior
        self.stride = codec.stride

    def encode(self, batch: Batch) -> Posterior:
        """Posteriors of both codes."""
        posterior: Posterior = self.heads(self.codec.elements(batch))
        return posterior

    def observe(self, codes: Factors) -> Observation:
        """Predicted observations of codes."""
        valid = None if codes.lengths is None else codes.valid()
        return self.codec.observe(join(codes.static, codes.dynamic), valid)

    def decode(self, factors: Factors) -> Tensor:
        """(batch, elements * stride, *features): the mean observation, zero on padding."""
        return observed_means(self.observe(factors), factors, self.stride)

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """Static codes from N(0, I), dynamic ones from a roll-out of the learned prior."""
        dynamic = self.dynamic_prior.rollout(n, length, generator, mean=mean)
        width = self.heads.static.mean.out_features
        static = torch.randn(n, width, generator=generator, device=dynamic.device, dtype=dynamic.dtype)
        return Factors(static, dynamic)


def reconstruction_error(observation: Observation, batch: Batch) -> Float[Tensor, " batch"]:
    """Squared error of frames, negative log-likelihood of series, summed over time and features.

    Frames that are missing or padding count for nothing; a missing value of a series counts at the
    mean of those observed.
    """
    return frame_error(observation, batch) if observation.scale is None else series_error(observation, batch)
