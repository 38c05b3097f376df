"""Views of the same sequence that keep one factor: steps in another order, or colours that are distorted."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from seqdis.errors import SettingsError
from seqdis.nn.elements import Features

JITTER, HUE = 0.8, 0.2
"""Brightness, contrast and saturation are multiplied by 0.2 to 1.8; hue turns by up to a fifth of the circle."""
CHANCES = {"jitter": 0.8, "gray": 0.2, "blur": 0.5}
SIGMAS = (0.1, 2.0)
"""Width of the blur, in pixels."""


def shuffled(elements: Features, generator: torch.Generator | None = None) -> Features:
    """Elements of every sequence in a random order of its own, padding left at the end.

    Of frames that are encoded one by one these are the features of the shuffled sequence.
    """
    batch, count = elements.values.shape[:2]
    key = torch.rand(batch, count, generator=generator, device=elements.values.device)
    if elements.lengths is not None:
        key = key + (torch.arange(count, device=key.device) >= elements.lengths[:, None])
    order = key.argsort(1)
    return Features(elements.values.gather(1, order[..., None].expand_as(elements.values)), None, elements.lengths)


@torch.no_grad()
def distorted(
    x: Float[Tensor, "batch time channels height width"], generator: torch.Generator | None = None
) -> Float[Tensor, "batch time channels height width"]:
    """Video in [0, 1] with other colours, drawn once per sequence: all its frames change alike, what moves stays.

    Colour jitter, grey and blur, each applied by chance. Images without three channels have no hue and no saturation.
    The transformations are kornia's; the draws are ours, so that they follow the generator on its device.

    Raises
    ------
    SettingsError
        kornia is not installed.
    """
    kornia = _kornia()
    count, time, channels = x.shape[:3]

    def uniform(low: float, high: float) -> Tensor:
        drawn = torch.rand(count, generator=generator, device=x.device)
        return (low + (high - low) * drawn).repeat_interleave(time)

    def by_chance(name: str, changed: Tensor, frames: Tensor) -> Tensor:
        return torch.where(uniform(0.0, 1.0)[:, None, None, None] < CHANCES[name], changed, frames)

    with torch.autocast(x.device.type, enabled=False):
        frames = x.float().flatten(0, 1)
        enhance, low, high = kornia.enhance, 1.0 - JITTER, 1.0 + JITTER
        jittered = enhance.adjust_brightness_accumulative(frames, uniform(low, high))
        jittered = enhance.adjust_contrast_with_mean_subtraction(jittered, uniform(low, high))
        if channels == 3:
            jittered = enhance.adjust_saturation_with_gray_subtraction(jittered, uniform(low, high))
            jittered = enhance.adjust_hue(jittered, 2.0 * torch.pi * uniform(-HUE, HUE))
        frames = by_chance("jitter", jittered, frames)
        if channels == 3:
            frames = by_chance("gray", kornia.color.rgb_to_grayscale(frames).expand_as(frames), frames)
        sigma = uniform(*SIGMAS)[:, None].expand(-1, 2)
        frames = by_chance("blur", kornia.filters.gaussian_blur2d(frames, (3, 3), sigma), frames)
        return frames.unflatten(0, (count, time)).clamp(0.0, 1.0)


def _kornia() -> Any:
    try:
        import kornia
    except ImportError as error:
        raise SettingsError("views of video with other colours need kornia: pip install 'seqdis[video]'") from error
    return kornia
