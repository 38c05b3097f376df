"""Critics that tell real video from generated: one sees single frames, the other whole clips.

Not to be confused with those of `seqdis.nn.adversary`, which compare samples of codes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from seqdis.nn.frames import halvings

REACH = 4
"""Steps and pixels that a kernel sees along each axis."""


class NoisyLayers(nn.Module):
    """Blocks in a row; in training each sees its input with Gaussian noise added.

    Noise on real and generated video alike keeps a critic from a certainty that teaches nothing.

    Parameters
    ----------
    blocks : list of modules
    noise : float
        Standard deviation of the noise; 0: none.
    """

    def __init__(self, blocks: list[nn.Module], noise: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.noise = noise

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the last block returns; noise is drawn from ``generator``."""
        for block in self.blocks:
            if self.training and self.noise:
                drawn = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
                x = torch.add(x, drawn, alpha=self.noise)
            x = block(x)
        return x


class FrameCritic(nn.Module):
    """Frames -> log-odds that patches of them are real.

    Strided 4x4 convolutions without biases, batch norm between the first and the last, leaky ReLU (0.2). Each
    log-odds sees a patch only: 46 pixels wide in frames of 64x64, which have 4x4 of them.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width).
    filters : int
        Channels of the first layer; every other one but the last doubles them.
    noise : float
        See `NoisyLayers`; frames go from -1 to 1.
    """

    def __init__(self, shape: tuple[int, ...], filters: int = 64, noise: float = 0.0) -> None:
        super().__init__()
        channels, *sides = shape
        levels = max(2, halvings(*sides))
        blocks: list[nn.Module] = []
        for level in range(levels - 1):
            out = filters * 2**level
            layers: list[nn.Module] = [nn.Conv2d(channels, out, REACH, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(out)] if level else []
            blocks.append(nn.Sequential(*layers, nn.LeakyReLU(0.2, inplace=True)))
            channels = out
        blocks.append(nn.Conv2d(channels, 1, REACH, 2, 1, bias=False))
        self.layers = NoisyLayers(blocks, noise)

    def forward(
        self, frames: Float[Tensor, "batch channels height width"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch rows columns"]:
        """Log-odds of every patch of frames in [0, 1], float32 even under autocast."""
        maps: Tensor = self.layers(2.0 * frames - 1.0, generator)
        return maps[:, 0].float()


class ClipCritic(nn.Module):
    """Clips -> log-odds that they are real, and logits of the action they show.

    Convolutions over time, height and width, as those of `FrameCritic` in the two latter, then one that covers all
    that is left. As published, time is not padded: 16 frames of 64x64 pixels become 4 maps of 4x4. Shorter clips
    are padded by one step in as few first layers as leave 4, and filled up at their ends where all layers are not
    enough; what is left of longer ones is averaged down to 4.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width).
    steps : int
        Frames of a clip.
    filters : int
        Channels of the first layer; every other one doubles them.
    noise : float
        See `NoisyLayers`; frames go from -1 to 1.
    classes : int
        Actions to tell apart.
    """

    def __init__(
        self, shape: tuple[int, ...], steps: int, filters: int = 64, noise: float = 0.0, classes: int = 0
    ) -> None:
        super().__init__()
        channels, *sides = shape
        levels = halvings(*sides)
        lost = REACH - 1  # steps that a layer without padding takes away; padding gives two back
        self.missing = max(0, REACH + levels * (lost - 2) - steps)
        left = steps + self.missing - levels * lost
        padded = max(0, -((left - REACH) // 2))
        left += 2 * padded
        blocks: list[nn.Module] = []
        for level in range(levels):
            out = filters * 2**level
            spread = (int(level < padded), 1, 1)
            layers: list[nn.Module] = [nn.Conv3d(channels, out, REACH, (1, 2, 2), spread, bias=False)]
            layers += [nn.BatchNorm3d(out)] if level else []
            blocks.append(nn.Sequential(*layers, nn.LeakyReLU(0.2, inplace=True)))
            channels = out
        rest = (REACH, *(side // 2**levels for side in sides))
        whole = nn.Conv3d(channels, 1 + classes, rest, bias=False)
        blocks.append(whole if left == REACH else nn.Sequential(nn.AdaptiveAvgPool3d(rest), whole))
        self.steps = steps
        self.layers = NoisyLayers(blocks, noise)

    def forward(
        self, clips: Float[Tensor, "batch steps channels height width"], generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch classes"]]:
        """Log-odds and logits of clips in [0, 1], float32 even under autocast."""
        if self.missing:
            clips = pad(clips, (0, 0, 0, 0, 0, 0, 0, self.missing))
        out: Tensor = self.layers((2.0 * clips - 1.0).transpose(1, 2), generator)
        out = out.flatten(1).float()
        return out[:, 0], out[:, 1:]
