from __future__ import annotations

import sys

import pytest
import torch

from seqdis.errors import SettingsError
from seqdis.methods import DSVAE
from seqdis.nn import augment
from seqdis.nn.codec import codec_of
from seqdis.nn.elements import Features
from seqdis.sequences import Batch, DataSpec


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def video(channels: int = 3, n: int = 4) -> torch.Tensor:
    return torch.rand(n, 5, channels, 8, 8, generator=draws(9))


def test_shuffling_keeps_each_sequences_own_elements_and_leaves_padding_at_the_end() -> None:
    lengths = torch.tensor([6, 3, 1])
    values = torch.arange(36.0).reshape(3, 6, 2)
    found = augment.shuffled(Features(values, None, lengths), draws())
    assert found.lengths is lengths
    for row, length in enumerate(lengths.tolist()):
        assert torch.equal(found.values[row, :length].sort(0).values, values[row, :length])
        assert torch.equal(found.values[row, length:].sort(0).values, values[row, length:])
    orders = {tuple(augment.shuffled(Features(values), draws(seed)).values[0, :, 0].tolist()) for seed in range(20)}
    assert len(orders) > 15


def test_shuffled_features_are_those_of_the_shuffled_video() -> None:
    """In training, too: batch norms see the same frames."""
    codec = codec_of(DSVAE(feature_dim=4, filters=2), DataSpec(kind="image", shape=(3, 8, 8), length=5), 3).train()
    x = video()
    features = codec.elements(Batch(x=x))
    found = augment.shuffled(features, draws()).values
    order = (found.unsqueeze(2) - features.values.unsqueeze(1)).abs().sum(-1).argmin(2)
    assert not torch.equal(order, torch.arange(5).expand(4, 5))
    moved = x.gather(1, order[..., None, None, None].expand_as(x))
    assert torch.allclose(codec.elements(Batch(x=moved)).values, found, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_all_frames_of_a_sequence_change_alike_and_sequences_do_not(channels: int) -> None:
    still = video(channels)[:1, :1].expand(8, 5, -1, -1, -1)
    found = augment.distorted(still, draws())
    assert found.shape == still.shape
    assert 0 <= found.min() <= found.max() <= 1
    assert torch.equal(found, found[:, :1].expand_as(found))
    assert len({tuple(each.flatten().tolist()) for each in found[:, 0]}) > 5
    assert torch.equal(found, augment.distorted(still, draws()))


def test_by_no_chance_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "CHANCES", dict.fromkeys(augment.CHANCES, 0.0))
    assert torch.equal(augment.distorted(video(), draws()), video())


def chance_of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "CHANCES", {each: float(each == name) for each in augment.CHANCES})


def test_grey_is_the_luma_of_all_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    chance_of("gray", monkeypatch)
    x = video()
    luma = 0.299 * x[:, :, 0] + 0.587 * x[:, :, 1] + 0.114 * x[:, :, 2]
    assert torch.allclose(augment.distorted(x, draws()), luma.unsqueeze(2).expand_as(x), atol=1e-5)


def test_jitter_of_one_channel_is_a_gain_and_a_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    chance_of("jitter", monkeypatch)
    x, again = video(1), draws()
    gain, contrast = (0.2 + 1.6 * torch.rand(4, generator=again)[:, None, None, None, None] for _ in range(2))
    bright = (gain * x).clamp(0, 1)
    mean = bright.mean((2, 3, 4), keepdim=True)
    expected = (contrast * bright + (1 - contrast) * mean).clamp(0, 1)
    assert torch.allclose(augment.distorted(x, draws()), expected, atol=1e-6)


def test_the_hue_turns_by_up_to_a_fifth_of_the_circle(monkeypatch: pytest.MonkeyPatch) -> None:
    chance_of("jitter", monkeypatch)
    monkeypatch.setattr(augment, "JITTER", 0.0)
    red = torch.zeros(200, 1, 3, 2, 2)
    red[:, :, 0] = 1.0
    found = augment.distorted(red, draws())[:, 0, :, 0, 0]
    assert found.max(1).values.min() > 0.999  # value and saturation stay
    assert found.min(1).values.max() < 1e-3
    # Red stays the largest within a sixth of the circle; beyond, green or blue is, with red 0.8 at a fifth.
    assert found[:, 0].min().item() == pytest.approx(0.8, abs=0.05)
    assert (found[:, 1] > 0.5).sum() > 40
    assert (found[:, 2] > 0.5).sum() > 40


def test_blur_keeps_the_mean_of_the_inside_and_lessens_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    chance_of("blur", monkeypatch)
    x = torch.zeros(6, 2, 1, 9, 9)
    x[:, :, :, 4, 4] = 1.0
    found = augment.distorted(x, draws())
    assert torch.allclose(found.sum((2, 3, 4)), torch.ones(6, 2), atol=1e-5)
    assert (found[..., 3:6, 3:6].sum((2, 3, 4)) > 0.999).all()
    assert found[..., 4, 4].min() < 0.5


def test_without_kornia_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(SettingsError, match=r"need kornia: pip install 'seqdis\[video\]'"):
        augment.distorted(video(), draws())
