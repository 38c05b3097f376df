from __future__ import annotations

import pytest
import torch

from seqdis.nn import series
from seqdis.nn.series import StepEncoder, WindowDecoder, WindowDynamicHead, WindowStaticHead, informative_steps


@pytest.mark.parametrize(
    ("features", "observed", "readable"),
    [
        (10, 4, True),
        (10, 3, False),
        (10, 0, False),
        (6, 3, True),
        (6, 2, False),
        (2, 2, True),
        (2, 1, False),
        (1, 1, True),
        (1, 0, False),
    ],
)
def test_steps_with_too_few_values_are_not_read(features: int, observed: int, readable: bool) -> None:
    # Of ten values, fewer than int(0.7 * 10) = 7 may be missing.
    mask = torch.arange(features)[None, None] < observed
    assert informative_steps(mask).tolist() == [[readable]]


def test_the_published_step_encoder() -> None:
    encoder = StepEncoder(10, 32)
    shapes = [tuple(value.shape) for name, value in encoder.named_parameters() if "weight" in name]
    assert shapes == [(32, 10), (64, 32), (32, 64)]
    x = torch.randn(2, 3, 10)
    assert torch.allclose(encoder(x)[1, 2], encoder(x[1, 2]), atol=1e-6)
    assert encoder(x).min() >= 0


def test_windows_never_see_each_other() -> None:
    head, windows = WindowDynamicHead(6, 2), torch.randn(2, 3, 4, 6)
    other = windows.clone()
    other[0, 1] = 0
    difference = (head(windows).mean - head(other).mean).abs().amax(-1) > 1e-7
    assert difference.tolist() == [[False, True, False], [False, False, False]]
    assert head(windows).mean.shape == (2, 3, 2)


def test_the_dynamic_head_reads_every_step_of_a_window() -> None:
    head, windows = WindowDynamicHead(6, 2), torch.randn(1, 1, 4, 6)
    for step in range(4):
        other = windows.clone()
        other[0, 0, step] += 1
        assert not torch.allclose(head(windows).mean, head(other).mean)


def test_the_static_head_reads_every_step_of_its_window() -> None:
    head, window = WindowStaticHead(6, 3), torch.randn(2, 4, 6)
    assert head(window).mean.shape == (2, 3)
    for step in range(4):
        other = window.clone()
        other[0, step] += 1
        assert not torch.allclose(head(window).mean[0], head(other).mean[0])
        assert torch.allclose(head(window).mean[1], head(other).mean[1])


@pytest.mark.parametrize("floor", [0.0, 0.05, 0.4])
def test_scales_lie_between_the_floor_and_one_half(floor: float) -> None:
    decoder = WindowDecoder(3, 2, 4, hidden=6, scale_floor=floor)
    codes = 1e3 * torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for bias in (-200.0, 0.0, 200.0):
            decoder.scale.bias.fill_(bias)
            mean, scale = decoder(codes)
            assert mean.shape == scale.shape == (5, 12, 2)
            assert floor <= scale.min() <= scale.max() <= 0.5
    assert scale.max() == pytest.approx(0.5)


def test_decoder_noise_follows_its_generator_and_is_off_without_one() -> None:
    decoder, codes = WindowDecoder(3, 2, 4, hidden=6), torch.randn(2, 3, 3)

    def seeded(n: int) -> torch.Tensor:
        return decoder(codes, torch.Generator().manual_seed(n))[0]

    assert torch.equal(decoder(codes)[0], decoder(codes)[0])
    assert torch.equal(seeded(1), seeded(1))
    assert not torch.equal(seeded(1), seeded(2))
    assert not torch.equal(seeded(1), decoder(codes)[0])


def test_a_window_is_decoded_from_its_code_alone() -> None:
    decoder, codes = WindowDecoder(3, 2, 4, hidden=6), torch.randn(1, 3, 3)
    other = codes.clone()
    other[0, 1] += 1
    moved = (decoder(codes)[0] - decoder(other)[0])[0].abs().amax(-1) > 1e-7
    assert moved.tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_many_rows_pass_a_stack_as_few_do(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 30, 4, 5, generator=torch.Generator().manual_seed(0))
    layers, found = StepEncoder(5, 8).layers, {}
    for limit in (1, 10_000):
        monkeypatch.setattr(series, "MANY_ROWS", limit)
        given = x.clone().requires_grad_()
        layers.zero_grad()
        out = series.through(layers, given)
        out.square().sum().backward()
        found[limit] = [out.detach(), given.grad, *(weight.grad.clone() for weight in layers.parameters())]
    assert found[1][0].shape == (2, 30, 4, 8)
    assert found[1][0].max() > 0
    for fast, plain in zip(found[1], found[10_000], strict=True):
        assert torch.allclose(fast, plain, atol=1e-5)


def test_the_dynamic_head_is_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    head, windows = WindowDynamicHead(6, 2), torch.randn(3, 5, 4, 6)
    whole = head(windows)
    monkeypatch.setattr(series, "CACHED_WINDOWS", 4)
    assert torch.allclose(head(windows).mean, whole.mean, atol=1e-6)
    assert torch.allclose(head(windows).logvar, whole.logvar, atol=1e-6)
