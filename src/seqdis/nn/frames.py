"""Image frames: a convolutional encoder and decoder, one frame at a time (DCGAN layout)."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import batch_norm, leaky_relu, pad

from seqdis.errors import DataError
from seqdis.nn.products import Doubling, Halving, MapToVector, VectorToMap

SMALLEST_SIDE = 8


def halvings(height: int, width: int) -> int:
    """How often a frame is halved: down to a short side of 4 to 7 pixels, at most four times.

    Raises
    ------
    DataError
        A side is shorter than 8 pixels.
    """
    if min(height, width) < SMALLEST_SIDE:
        raise DataError(f"frames are {height}x{width} pixels; sides of at least {SMALLEST_SIDE} are needed.")
    return min(4, (min(height, width) // 4).bit_length() - 1)


def padded_side(side: int, times: int) -> int:
    """The next multiple of ``2 ** times``, to which frames of other sizes are padded with zeros."""
    return -(-side // 2**times) * 2**times


class VectorNorm(nn.BatchNorm2d):
    """Batch norm over 1x1 maps that takes its running statistics for a batch of a single frame.

    A lone frame has no variance: batch norm would stop a training whose last batch holds one
    sequence with one real frame.
    """

    def forward(self, input: Float[Tensor, "frames width 1 1"]) -> Float[Tensor, "frames width 1 1"]:
        """Normalised features."""
        if len(input) > 1:
            return super().forward(input)
        return batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class _Leaky(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, slope: float) -> Tensor:
        result = leaky_relu(maps, slope)
        ctx.save_for_backward(result)
        ctx.slope = slope
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return torch.ops.aten.leaky_relu_backward(gradients[0], *ctx.saved_tensors, ctx.slope, True), None


class Leaky(nn.LeakyReLU):
    """Leaky ReLU (0.2) that keeps its result for the backward pass, as torch's does in place, but writes to new memory.

    In place it takes two to three times as long on maps of 32 MiB in bfloat16 (two threads of an Intel Xeon): 2 % of
    a training step.
    """

    def __init__(self) -> None:
        super().__init__(0.2)

    def forward(self, input: Float[Tensor, "*maps"]) -> Float[Tensor, "*maps"]:
        """Of the same shape."""
        result: Tensor = _Leaky.apply(input, self.negative_slope)
        return result


class FrameEncoder(nn.Module):
    """Frames -> features, element by element (no step sees another).

    Strided 4x4 convolutions with batch norm and leaky ReLU (0.2), then one that covers the rest of
    the map, batch norm and tanh. With ``filters=64`` and 64x64 frames this is the released encoder.
    """

    def __init__(self, shape: tuple[int, ...], width: int, filters: int = 64) -> None:
        super().__init__()
        channels, *sides = shape
        times = halvings(*sides)
        self.padded = tuple(padded_side(side, times) for side in sides)
        layers: list[nn.Module] = []
        for level in range(times):
            out = filters * 2**level
            layers += [Halving(channels, out, normed=True), nn.BatchNorm2d(out), Leaky()]
            channels = out
        rest = tuple(side // 2**times for side in self.padded)
        layers += [MapToVector(channels, width, rest), VectorNorm(width), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.width = width

    def forward(
        self, x: Float[Tensor, "batch time channels height width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time features"]:
        """Features of every frame; zero, and kept out of the batch statistics, where ``valid`` is false."""
        frames = x.flatten(0, 1) if valid is None else x[valid]
        bottom, right = (self.padded[0] - x.shape[-2], self.padded[1] - x.shape[-1])
        if bottom or right:
            frames = pad(frames, (0, right, 0, bottom))
        features = self.layers(frames.contiguous(memory_format=torch.channels_last)).flatten(1)
        if valid is None:
            return features.unflatten(0, x.shape[:2])
        full = features.new_zeros(*x.shape[:2], self.width)
        full[valid] = features
        return full


class FrameDecoder(nn.Module):
    """Codes -> frames in [0, 1], the mirror image of `FrameEncoder` with a sigmoid at its end."""

    def __init__(self, width: int, shape: tuple[int, ...], filters: int = 64) -> None:
        super().__init__()
        channels, *sides = shape
        times = halvings(*sides)
        self.shape = shape
        rest = tuple(padded_side(side, times) // 2**times for side in sides)
        out = filters * 2 ** (times - 1)
        layers: list[nn.Module] = [VectorToMap(width, out, rest), nn.BatchNorm2d(out), Leaky()]
        for level in reversed(range(times - 1)):
            wide, out = out, filters * 2**level
            layers += [Doubling(wide, out, normed=True), nn.BatchNorm2d(out), Leaky()]
        layers += [Doubling(out, channels), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)

    def forward(
        self, codes: Float[Tensor, "batch time code"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch time channels height width"]:
        """Frames of every step; zero where ``valid`` is false."""
        inputs = codes.flatten(0, 1) if valid is None else codes[valid]
        frames = self.layers(inputs[:, :, None, None].contiguous(memory_format=torch.channels_last))
        frames = frames[..., : self.shape[1], : self.shape[2]].float()
        if valid is None:
            return frames.unflatten(0, codes.shape[:2])
        full = frames.new_zeros(*codes.shape[:2], *self.shape)
        full[valid] = frames
        return full
