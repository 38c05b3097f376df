from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, conv3d, leaky_relu

from seqdis.nn.video_critics import ClipCritic, FrameCritic

FRAME = (3, 64, 64)


def frames(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def count(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def layer_inputs(critic: FrameCritic | ClipCritic, x: torch.Tensor) -> list[torch.Tensor]:
    """What every block is given."""
    seen: list[torch.Tensor] = []
    hooks = [
        block.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
        for block in critic.layers.blocks
    ]
    critic(x, torch.Generator().manual_seed(0))
    for hook in hooks:
        hook.remove()
    return seen


def test_published_sizes() -> None:
    """Kernels of 4, channels 3-64-128-256(-512)-1, batch norm between the first and the last layer, no bias."""
    frame, clip = FrameCritic(FRAME), ClipCritic(FRAME, 16, classes=6)
    maps = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 1)
    assert count(frame) == maps + 2 * (128 + 256)
    maps = 64 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * (1 + 6))
    assert count(clip) == maps + 2 * (128 + 256 + 512)
    assert frame.eval()(frames(2, *FRAME)).shape == (2, 4, 4)


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        (16, [16, 13, 10, 7, 4]),  # as published
        (8, [8, 7, 6, 5, 4]),
        (15, [15, 14, 11, 8, 5]),
        (20, [20, 17, 14, 11, 8]),
        (3, [8, 7, 6, 5, 4]),
        (1, [8, 7, 6, 5, 4]),
    ],
)
def test_clips_of_any_length_leave_four_steps_or_more(steps: int, left: list[int]) -> None:
    critic = ClipCritic(FRAME, steps, filters=2, classes=3)
    x = frames(1, steps, *FRAME)
    assert [seen.shape[2] for seen in layer_inputs(critic, x)] == left
    odds, logits = critic(x)
    assert (odds.shape, logits.shape) == ((1,), (1, 3))


def test_what_is_left_of_a_long_clip_is_averaged_and_of_a_short_one_filled_with_black() -> None:
    """Frames of 8x8: one layer, then all that is left."""
    short, long = ClipCritic((1, 8, 8), 3, filters=2).eval(), ClipCritic((1, 8, 8), 11, filters=2).eval()
    first, last = (list(short.parameters())[k] for k in (0, 1))
    long.load_state_dict(
        {name: short.state_dict()[old] for old, name in zip(short.state_dict(), long.state_dict(), strict=True)}
    )

    def plain(x: torch.Tensor, padding: int) -> torch.Tensor:
        maps = conv3d((2 * x - 1).transpose(1, 2), first, stride=(1, 2, 2), padding=(padding, 1, 1))
        return leaky_relu(maps, 0.2)

    x = frames(2, 11, 1, 8, 8)
    maps = plain(x, 0)  # 8 steps: four pairs
    expected = conv3d((maps[:, :, 0::2] + maps[:, :, 1::2]) / 2, last).flatten()
    torch.testing.assert_close(long(x)[0], expected)
    filled = torch.cat([x[:, :3], torch.zeros(2, 2, 1, 8, 8)], dim=1)
    torch.testing.assert_close(short(x[:, :3])[0], conv3d(plain(filled, 1), last).flatten())


def test_the_frame_critic_by_plain_calls() -> None:
    critic = FrameCritic((3, 32, 32), filters=4)
    x, seen = frames(5, 3, 32, 32), 2 * frames(5, 3, 32, 32) - 1
    maps = [layer for layer in critic.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in maps] == [4, 8, 1]
    seen = leaky_relu(conv2d(seen, maps[0].weight, stride=2, padding=1), 0.2)
    seen = leaky_relu(batch_norm(conv2d(seen, maps[1].weight, stride=2, padding=1), None, None, training=True), 0.2)
    torch.testing.assert_close(critic(x), conv2d(seen, maps[2].weight, stride=2, padding=1)[:, 0])


@pytest.mark.parametrize("critic", [FrameCritic((3, 16, 16), 4, 0.3), ClipCritic((3, 16, 16), 6, 4, 0.3)])
def test_every_layer_sees_noise_in_training_only(critic: FrameCritic | ClipCritic) -> None:
    x = frames(32, 3, 16, 16) if isinstance(critic, FrameCritic) else frames(8, 6, 3, 16, 16)
    noisy, again = layer_inputs(critic, x), layer_inputs(critic, x)
    assert all(torch.equal(one, other) for one, other in zip(noisy, again, strict=True))
    centred = 2 * x - 1
    added = noisy[0] - (centred if x.ndim == 4 else centred.transpose(1, 2))
    assert abs(added.mean()) < 0.02
    assert added.std().item() == pytest.approx(0.3, rel=0.05)
    # Of the second layer: what the first gives for its input as it was seen, and noise anew.
    before = critic.layers.blocks[0](noisy[0])
    assert (noisy[1] - before).std().item() == pytest.approx(0.3, rel=0.05)
    critic.eval()
    assert torch.equal(layer_inputs(critic, x)[0], centred if x.ndim == 4 else centred.transpose(1, 2))


@pytest.mark.parametrize("sides", [(8, 8), (12, 20), (70, 64)])
def test_frames_of_other_sizes(sides: tuple[int, int]) -> None:
    assert FrameCritic((1, *sides), 2)(frames(1, 1, *sides)).ndim == 3
    assert ClipCritic((1, *sides), 5, 2)(frames(1, 5, 1, *sides))[0].shape == (1,)
