"""Convolutions of frames as matrix products, where those are faster at equal numbers.

Weights keep the names and shapes of torch's layers. What each replacement gains is in
``benchmarks/results/video_speed.json``. Weight gradients of bfloat16 convolutions have another reason
too: torch's threads spin there while they wait for one another. For 128 to 256 channels (256 frames, two
threads of an AMD EPYC) they take 58 ms of processor time alone and 838 beside busy processes; the same as
a product takes 47 and 46. On processors with matrix tiles (AMX) small maps of many channels are products
forward, too, and large maps are torch's convolutions backward again: there copying patches takes longer
than what products save, and maps this large do not make threads wait; what that gains is the last line of
``benchmarks/results/video_speed_tiles.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear
from torch.nn.grad import conv2d_weight


class MapToVector(nn.Conv2d):
    """A convolution whose kernel covers the whole map: one product, frames times weights."""

    def forward(self, input: Float[Tensor, "frames channels height width"]) -> Float[Tensor, "frames out 1 1"]:
        """One vector per frame."""
        return linear(_rows(input, 1), _rows(self.weight, 1), self.bias)[:, :, None, None]


class VectorToMap(nn.ConvTranspose2d):
    """A transposed convolution of 1x1 maps: one product, frames times weights."""

    def forward(self, input: Float[Tensor, "frames channels 1 1"]) -> Float[Tensor, "frames out height width"]:  # type: ignore[override]
        """One map per frame."""
        assert self.bias is not None
        sides = self.weight.shape[2:]
        maps = linear(input.flatten(1), _rows(self.weight, 1).t(), self.bias.repeat(sides.numel()))
        return maps.unflatten(1, (*sides, self.out_channels)).permute(0, 3, 1, 2)


class Halving(nn.Conv2d):
    """The 4x4 convolution of stride 2; its weight gradient is a product where `by_products` says so.

    ``normed`` says that batch norm follows, see `_bfloat16`.
    """

    def __init__(self, channels: int, out: int, *, normed: bool = False) -> None:
        super().__init__(channels, out, 4, 2, 1)
        self.normed = normed

    def forward(self, input: Float[Tensor, "frames channels height width"]) -> Float[Tensor, "frames out rows columns"]:
        """Maps of half the sides."""
        if not by_products(input):
            return super().forward(input)
        return halve(*_bfloat16(input, self))


class Doubling(nn.ConvTranspose2d):
    """The transposed 4x4 convolution of stride 2; both gradients are products where `by_products` says so.

    ``normed`` says that batch norm follows, see `_bfloat16`.
    """

    def __init__(self, channels: int, out: int, *, normed: bool = False) -> None:
        super().__init__(channels, out, 4, 2, 1)
        self.normed = normed

    def forward(self, input: Float[Tensor, "frames channels rows columns"]) -> Float[Tensor, "frames out height width"]:  # type: ignore[override]
        """Maps of twice the sides."""
        if not by_products(input):
            return super().forward(input)
        return double(*_bfloat16(input, self))


TILES = hasattr(torch.cpu, "get_capabilities") and bool(torch.cpu.get_capabilities().get("amx_bf16"))
"""Whether the processor multiplies bfloat16 matrices in tiles; older PyTorch does not say and counts as no."""


def by_products(input: Tensor) -> bool:
    """Whether products are faster, at least of gradients: bfloat16 on a CPU."""
    bfloat16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
    return bfloat16 and input.device.type == "cpu"


def patches(maps: Float[Tensor, "frames channels height width"]) -> Float[Tensor, "places patch"]:
    """The 4x4 patches that a convolution of stride 2 and padding 1 sees: ``patch = (row, column, channel)``."""
    frames, channels, height, width = maps.shape
    padded = maps.new_zeros(frames, height + 2, width + 2, channels)
    padded[:, 1:-1, 1:-1] = maps.permute(0, 2, 3, 1)
    frame, row, column, _ = padded.stride()
    # Channels last: four neighbouring pixels of a row lie side by side, one run of memory per patch row.
    runs = padded.as_strided((frames, height // 2, width // 2, 4, 4 * channels), (frame, 2 * row, 2 * column, row, 1))
    return runs.reshape(-1, 16 * channels)


class _Halve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if not TILES or maps.shape[2] > 16:
            ctx.save_for_backward(weight, maps)
            return conv2d(maps, weight, bias, 2, 1)
        seen = patches(maps)
        ctx.save_for_backward(weight, maps, seen)  # the weights' gradient needs the patches again
        return _maps(torch.addmm(bias, seen, _rows(weight, 1).t()), [side // 2 for side in maps.shape[2:]])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        weight, maps, *seen = ctx.saved_tensors
        (gradient,) = gradients
        of_maps = _up(gradient, weight, None) if ctx.needs_input_grad[0] else None
        of_bias = _of_bias(gradient) if ctx.needs_input_grad[2] else None
        return of_maps, _of_weight(gradient, maps, weight, *seen), of_bias


class _Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(maps, weight)
        return _up(maps, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        maps, weight = ctx.saved_tensors
        (gradient,) = gradients
        seen = patches(gradient) if _patches_pay(gradient) else None
        if seen is None:
            of_maps = conv2d(gradient, weight, None, 2, 1)
        else:
            of_maps = _maps(seen @ _rows(weight, 1).t(), maps.shape[2:])
        of_bias = _of_bias(gradient) if ctx.needs_input_grad[2] else None
        return of_maps, _of_weight(maps, gradient, weight, seen), of_bias


def halve(maps: Tensor, weight: Float[Tensor, "out channels 4 4"], bias: Tensor) -> Tensor:
    """``conv2d(maps, weight, bias, stride=2, padding=1)``; sides must be even."""
    return _Halve.apply(maps, weight, bias)


def double(maps: Tensor, weight: Float[Tensor, "channels out 4 4"], bias: Tensor) -> Tensor:
    """``conv_transpose2d(maps, weight, bias, stride=2, padding=1)``."""
    return _Double.apply(maps, weight, bias)


def _patches_pay(large: Tensor) -> bool:
    """Whether weight gradients are faster with `patches`; with tiles, copying large maps takes too long."""
    return not TILES or large.shape[2] < 32


def _of_weight(small: Tensor, large: Tensor, weight: Tensor, seen: Tensor | None = None) -> Tensor:
    """Gradient of the weights between small and large maps, by whichever way is faster for maps of this size.

    ``seen`` are the large maps' patches, where they are at hand.
    """
    if seen is None and not _patches_pay(large):
        return conv2d_weight(large, weight.shape, small, 2, 1)
    seen = patches(large) if seen is None else seen
    # Turned in memory first: a product that turns rows as it goes takes half as long again.
    return _kernels(_rows(small, 3).t().contiguous() @ seen, weight)


def _of_bias(gradient: Tensor) -> Tensor:
    """Sums over frames and pixels; of many channels as a product, which takes half the time of ``sum``."""
    rows = _rows(gradient, 3)
    return rows.sum(0) if rows.shape[1] < 16 else rows.new_ones(1, len(rows)).mm(rows)[0]


def _up(maps: Tensor, weight: Float[Tensor, "channels out 4 4"], bias: Tensor | None) -> Tensor:
    """``conv_transpose2d``, by whichever way is faster for maps of this size."""
    if not TILES or maps.shape[2] > 4:
        return conv_transpose2d(maps, weight, bias, 2, 1)
    frames, channels, height, width = maps.shape
    out = weight.shape[1]
    # An output pixel sees 2x2 inputs; which of the 4x4 weights meet them follows from its row and column being odd or
    # even: four products, of four sets of patches, in one batch. Row 2i + odd sees padded row i + odd + k through
    # weight row 3 - odd - 2k.
    padded = maps.new_zeros(frames, height + 2, width + 2, channels)
    padded[:, 1:-1, 1:-1] = maps.permute(0, 2, 3, 1)
    frame, row, column, _ = padded.stride()
    sizes, strides = (2, 2, frames, height, width, 2, 2 * channels), (row, column, frame, row, column, row, 1)
    seen = padded.as_strided(sizes, strides).reshape(4, -1, 4 * channels)
    kernels = weight.flip((2, 3)).reshape(channels, out, 2, 2, 2, 2).permute(3, 5, 2, 4, 0, 1)
    kernels = kernels.reshape(4, 4 * channels, out)
    made = torch.bmm(seen, kernels) if bias is None else torch.baddbmm(bias, seen, kernels)
    whole = made.view(2, 2, frames, height, width, out).permute(2, 3, 0, 4, 1, 5)
    return whole.reshape(frames, 2 * height, 2 * width, out).permute(0, 3, 1, 2)


def _maps(rows: Tensor, sides: Sequence[int]) -> Tensor:
    """Maps of a matrix whose rows run over frames and pixels."""
    return rows.unflatten(0, (-1, *sides)).permute(0, 3, 1, 2)


def _rows(maps: Tensor, axes: int) -> Tensor:
    """Maps as a matrix, channels last: its rows run over frames (1) or over frames and pixels (3)."""
    last = maps.permute(0, 2, 3, 1)
    return last.flatten(1) if axes == 1 else last.flatten(0, 2)


def _kernels(matrix: Tensor, like: Tensor) -> Tensor:
    return matrix.unflatten(1, (4, 4, like.shape[1])).permute(0, 3, 1, 2)


def _bfloat16(input: Tensor, layer: Halving | Doubling) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, weights and bias of a layer.

    Batch norm takes a bias before it away again, so its gradient is zero but for rounding, and is not computed, which
    saves 4 % of a training step (two threads of an Intel Xeon). Once the norm uses its running statistics, it is.
    """
    assert layer.bias is not None
    bias = layer.bias.detach() if layer.normed and layer.training else layer.bias
    return input.bfloat16(), layer.weight.bfloat16(), bias.bfloat16()
