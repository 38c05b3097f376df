from __future__ import annotations

import pytest
import torch

from seqdis.methods import DSVAE
from seqdis.nn.codec import codec_of
from seqdis.sequences import Batch, DataSpec

SPECS = {
    "series": DataSpec(kind="series", shape=(3,), length=9),
    "spectrogram": DataSpec(kind="spectrogram", shape=(5,), length=9),
    "image": DataSpec(kind="image", shape=(1, 8, 8), length=9),
}
KINDS = list(SPECS)


def codec(kind: str):
    torch.manual_seed(1)
    return codec_of(DSVAE(feature_dim=6, filters=2, window=4), SPECS[kind], 5).eval()


def batch(kind: str, **more) -> Batch:
    return Batch(x=torch.rand(3, 9, *SPECS[kind].shape, generator=torch.Generator().manual_seed(0)), **more)


@pytest.mark.parametrize(("kind", "stride", "count"), [("series", 4, 3), ("spectrogram", 1, 9), ("image", 1, 9)])
def test_elements_are_vectors_of_frames_or_windows_apart(kind: str, stride: int, count: int) -> None:
    net, one = codec(kind), batch(kind)
    assert net.stride == stride
    values = net.elements(one).values
    assert values.shape == (3, count, 6)
    x = one.x.clone()
    x[:, stride : 2 * stride] += 1
    moved = (net.elements(Batch(x=x)).values - values).abs().amax((0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_decoded_element_by_element(kind: str) -> None:
    net, codes = codec(kind), torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    plain = net.observe(codes).mean
    assert plain.shape == (2, 3 * net.stride, *SPECS[kind].shape)
    changed = codes.clone()
    changed[:, 1] += 1
    moved = (net.observe(changed).mean - plain).abs().flatten(2).amax((0, 2)) > 1e-6
    assert moved.unflatten(0, (3, -1)).any(1).tolist() == [False, True, False]


@pytest.mark.parametrize("kind", ["spectrogram", "image"])
def test_frames_that_are_not_there_are_zero_on_both_sides(kind: str) -> None:
    net, mask = codec(kind), torch.ones(3, 9, dtype=torch.bool)
    mask[1, 4] = False
    assert not net.elements(batch(kind, mask=mask)).values[1, 4].any()
    frames = net.observe(torch.randn(3, 9, 5), mask).mean
    assert not frames[1, 4].any()
    assert frames[1, 5].any()


def test_a_hidden_step_of_a_window_counts_as_zeros() -> None:
    net, mask = codec("series"), torch.ones(3, 9, 3, dtype=torch.bool)
    mask[:, 5] = False
    one = batch("series", mask=mask)
    x = one.x.clone()
    x[:, 5] = 9.0
    assert torch.equal(net.elements(one).values, net.elements(Batch(x=x, mask=mask)).values)
    assert not torch.allclose(net.elements(one).values, net.elements(batch("series")).values)
