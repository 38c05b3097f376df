from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from seqdis.nn import products
from seqdis.nn.products import Doubling, Halving, MapToVector, VectorToMap, by_products, double, halve, patches


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def leaves(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    return [draw(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes)]


@pytest.fixture(autouse=True, params=[False, True], ids=["no tiles", "tiles"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of small maps, whatever this processor has."""
    monkeypatch.setattr(products, "TILES", request.param)


def test_patches_by_hand() -> None:
    maps = torch.arange(1.0, 9.0).reshape(1, 2, 2, 2)  # two channels: 1 2 / 3 4 and 5 6 / 7 8
    (patch,) = patches(maps).reshape(-1, 4, 4, 2)
    assert patch[..., 0].tolist() == [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]
    assert patch[..., 1].tolist() == [[0, 0, 0, 0], [0, 5, 6, 0], [0, 7, 8, 0], [0, 0, 0, 0]]
    assert patches(draw(3, 5, 8, 4)).shape == (3 * 4 * 2, 16 * 5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_halving_and_doubling_equal_torchs_own_convolutions_in_double(layout: torch.memory_format) -> None:
    maps, weight, bias = leaves((2, 3, 6, 4), (5, 3, 4, 4), (5,))
    upward = draw(2, 5, 3, 2, seed=7).contiguous(memory_format=layout)
    maps = maps.contiguous(memory_format=layout)
    for ours, plain, inputs, gradient in (
        (halve, conv2d, (maps, weight, bias), upward),
        (double, conv_transpose2d, (upward.requires_grad_(), weight, bias[:3]), maps.detach()),
    ):
        expected = plain(*inputs, stride=2, padding=1)
        found = ours(*inputs)
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)
        pairs = zip(*(torch.autograd.grad(value, inputs, gradient) for value in (found, expected)), strict=True)
        for number, (one, other) in enumerate(pairs):
            assert torch.allclose(one, other, rtol=0, atol=1e-12), number


def test_maps_of_any_size_equal_torchs_own() -> None:
    for side in (2, 4, 8, 16, 32):
        for ours, plain, shape in ((halve, conv2d, (3, 2, 4, 4)), (double, conv_transpose2d, (2, 3, 4, 4))):
            inputs = draw(2, 2, side, side), draw(*shape, seed=1), draw(3, seed=2)
            assert torch.allclose(ours(*inputs), plain(*inputs, stride=2, padding=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [8, 16, 32])
@pytest.mark.parametrize("channels", [2, 16])
def test_gradients_of_maps_of_any_size_equal_torchs_own(side: int, channels: int) -> None:
    for ours, plain, maps in (
        (halve, conv2d, (2, channels, side, side)),
        (double, conv_transpose2d, (2, channels, side // 2, side // 2)),
    ):
        inputs = leaves(maps, (channels, channels, 4, 4), (channels,))
        values = ours(*inputs), plain(*inputs, stride=2, padding=1)
        gradient = draw(*values[0].shape, seed=7)
        pairs = zip(*(torch.autograd.grad(value, inputs, gradient) for value in values), strict=True)
        for number, (one, other) in enumerate(pairs):
            assert torch.allclose(one, other, rtol=0, atol=1e-11), number


def test_gradients_agree_with_finite_differences() -> None:
    assert torch.autograd.gradcheck(halve, leaves((1, 2, 4, 2), (3, 2, 4, 4), (3,)))
    assert torch.autograd.gradcheck(double, leaves((1, 3, 2, 1), (3, 2, 4, 4), (2,)))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_layers_of_whole_maps_equal_torchs_own(layout: torch.memory_format) -> None:
    for ours, plain, shape in (
        (MapToVector(3, 5, (4, 6)), torch.nn.Conv2d(3, 5, (4, 6)), (7, 3, 4, 6)),
        (VectorToMap(3, 5, (4, 6)), torch.nn.ConvTranspose2d(3, 5, (4, 6)), (7, 3, 1, 1)),
    ):
        plain.load_state_dict(ours.state_dict())
        ours.double().to(memory_format=layout)
        plain.double()
        inputs = draw(*shape).contiguous(memory_format=layout)
        found, expected = ours(inputs), plain(inputs)
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)
        weights = draw(*found.shape, seed=1)
        for value in (found, expected):
            (value * weights).sum().backward()
        for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
            assert torch.allclose(one.grad, other.grad, rtol=0, atol=1e-12)


def test_products_are_chosen_only_where_they_were_measured_to_win() -> None:
    maps = torch.zeros(1, 3, 2, 2)
    assert not by_products(maps)  # float32
    with torch.autocast("cpu", torch.bfloat16):
        assert by_products(maps)
        assert not by_products(maps.to("meta"))
    with torch.autocast("cpu", torch.float16):
        assert not by_products(maps)


def test_maps_that_need_no_gradient_get_none() -> None:
    maps, weight, bias = leaves((1, 2, 4, 2), (3, 2, 4, 4), (3,))
    halve(maps.detach(), weight, bias).sum().backward()
    expected = torch.autograd.grad(conv2d(maps.detach(), weight, bias, 2, 1).sum(), [weight, bias])
    assert torch.allclose(weight.grad, expected[0])
    assert torch.allclose(bias.grad, expected[1])


@pytest.mark.parametrize("layer", [Halving, Doubling])
def test_a_bias_that_batch_norm_takes_away_has_no_gradient_and_all_others_stay(layer: type[Halving | Doubling]) -> None:
    torch.manual_seed(0)
    module, norm = layer(4, 6), torch.nn.BatchNorm2d(6)
    maps = draw(3, 4, 8, 8, dtype=torch.float32)

    def gradients(normed: bool) -> dict[str, torch.Tensor | None]:
        module.normed = normed
        module.zero_grad()
        norm.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            out = norm(module(maps))
        (out.float() * draw(*out.shape, seed=1, dtype=torch.float32)).sum().backward()
        named = [*module.named_parameters(), *norm.named_parameters("norm")]
        return {name: value.grad if value.grad is None else value.grad.clone() for name, value in named}

    own, without = gradients(normed=False), gradients(normed=True)
    assert own["bias"].norm() < 0.03 * own["weight"].norm()  # rounding, else zero
    assert without.pop("bias") is None
    assert all(torch.equal(own[name], value) for name, value in without.items())
    module.eval()
    norm.eval()
    assert gradients(normed=True)["bias"].norm() > 1


@pytest.mark.parametrize("layer", [Halving, Doubling])
def test_layers_stray_from_float32_no_further_than_torchs_own_in_bfloat16(
    layer: type[Halving | Doubling], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module = layer(32, 32)
    maps = draw(4, 32, 4, 4, dtype=torch.float32).requires_grad_()

    def gradients(*, bfloat16: bool, by: str = "ConvolutionBackward0") -> list[torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            out = module(maps.contiguous(memory_format=torch.channels_last))
        assert out.grad_fn is not None
        assert out.grad_fn.name() == by
        weights = draw(*out.shape, seed=1, dtype=torch.float32)
        return [out.float(), *torch.autograd.grad(out, [maps, *module.parameters()], weights.to(out.dtype))]

    name = {Halving: "_HalveBackward", Doubling: "_DoubleBackward"}[layer]
    exact, ours = gradients(bfloat16=False), gradients(bfloat16=True, by=name)
    monkeypatch.setattr(products, "by_products", lambda input: False)
    plain = gradients(bfloat16=True)
    for value, reference, expected in zip(ours, plain, exact, strict=True):
        allowed = (reference - expected).norm() * 1.1 + 1e-6 * expected.norm()
        assert (value - expected).norm() <= allowed
        assert allowed < 0.01 * expected.norm()
