from __future__ import annotations

import pytest
import torch
from torch import nn

from seqdis.errors import DataError
from seqdis.nn.frames import FrameDecoder, FrameEncoder, Leaky, VectorNorm, halvings, padded_side
from seqdis.nn.products import Doubling, Halving, MapToVector, VectorToMap


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("sides", "times"),
    [((8, 8), 1), ((15, 8), 1), ((16, 16), 2), ((31, 40), 2), ((32, 32), 3), ((64, 64), 4), ((256, 300), 4)],
)
def test_halvings_leave_a_short_side_of_four_to_seven_pixels(sides: tuple[int, int], times: int) -> None:
    assert halvings(*sides) == times
    assert times == 4 or 4 <= min(sides) // 2**times < 8


def test_frames_that_are_too_small_are_refused() -> None:
    with pytest.raises(DataError, match="frames are 7x20 pixels; sides of at least 8"):
        halvings(7, 20)


def test_sides_are_padded_to_what_halves_evenly() -> None:
    assert [padded_side(side, 2) for side in (16, 17, 19, 20)] == [16, 20, 20, 20]


@pytest.mark.parametrize("sides", [(8, 8), (10, 13), (16, 24), (33, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_is_encoded_and_decoded(sides: tuple[int, int], channels: int) -> None:
    shape = (channels, *sides)
    encoder, decoder = FrameEncoder(shape, 6, filters=2), FrameDecoder(5, shape, filters=2)
    features = encoder(draw(2, 3, *shape))
    assert features.shape == (2, 3, 6)
    assert features.abs().max() <= 1
    frames = decoder(draw(2, 3, 5))
    assert frames.shape == (2, 3, *shape)
    assert 0 <= frames.min() <= frames.max() <= 1


def test_a_frame_sees_no_other_frame() -> None:
    encoder = FrameEncoder((1, 8, 8), 4, filters=2).eval()
    x = draw(2, 3, 1, 8, 8)
    other = x.clone()
    other[0, 1] = 0
    before, after = encoder(x), encoder(other)
    assert not torch.allclose(before[0, 1], after[0, 1])
    before[0, 1] = after[0, 1] = 0
    assert torch.allclose(before, after, atol=1e-6)


def test_absent_frames_are_zero_and_stay_out_of_the_batch_statistics() -> None:
    x, valid = draw(3, 4, 1, 8, 8), torch.ones(3, 4, dtype=torch.bool)
    valid[0, 2:] = False
    loud = torch.where(valid[:, :, None, None, None], x, 1e6)
    encoders = []
    for frames in (x, loud):
        torch.manual_seed(0)
        encoder = FrameEncoder((1, 8, 8), 4, filters=2).train()
        features = encoder(frames, valid)
        assert (features[~valid] == 0).all()
        encoders.append((features, encoder.state_dict()))
    assert torch.equal(encoders[0][0], encoders[1][0])
    assert all(torch.equal(value, encoders[1][1][name]) for name, value in encoders[0][1].items())


def test_absent_frames_are_decoded_to_zero_and_change_no_other() -> None:
    decoder = FrameDecoder(5, (1, 8, 8), filters=2).train()
    codes, valid = draw(2, 3, 5), torch.tensor([[True, True, False], [True, True, True]])
    frames = decoder(codes, valid)
    assert (frames[0, 2] == 0).all()
    codes[0, 2] = 100
    assert torch.equal(frames, decoder(codes, valid))


def test_a_lone_frame_takes_the_running_statistics() -> None:
    norm = VectorNorm(3)
    reference = torch.nn.BatchNorm2d(3)
    for batch in (draw(4, 3, 1, 1), draw(7, 3, 1, 1, seed=1)):
        assert torch.equal(norm(batch), reference(batch))
    one = draw(1, 3, 1, 1, seed=2)
    assert torch.equal(norm(one), reference.eval()(one))
    assert torch.equal(norm.running_mean, reference.running_mean)
    encoder = FrameEncoder((1, 8, 8), 4, filters=2).train()
    assert torch.isfinite(encoder(draw(1, 1, 1, 8, 8))).all()


def both_ways(filters: int) -> tuple[FrameEncoder, FrameDecoder]:
    torch.manual_seed(0)
    return FrameEncoder((3, 16, 16), 8, filters).train(), FrameDecoder(8, (3, 16, 16), filters).train()


def loss_and_gradients(encoder: FrameEncoder, decoder: FrameDecoder, bfloat16: bool) -> dict[str, torch.Tensor]:
    x = draw(8, 4, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        frames = decoder(encoder(x))
    loss = (frames - x).pow(2).sum()
    loss.backward()
    found = {"loss": loss.detach()}
    for part, module in (("encoder", encoder), ("decoder", decoder)):
        found |= {f"{part}.{name}": value.grad for name, value in module.named_parameters()}
    return found


def with_torchs_layers(modules: tuple[FrameEncoder, FrameDecoder]) -> tuple[FrameEncoder, FrameDecoder]:
    own = {MapToVector: nn.Conv2d, Halving: nn.Conv2d, VectorToMap: nn.ConvTranspose2d, Doubling: nn.ConvTranspose2d}
    for layer in (layer for module in modules for layer in module.modules()):
        layer.__class__ = own.get(type(layer), type(layer))
    return modules


def test_bfloat16_strays_from_float32_no_further_than_torchs_own_layers_do() -> None:
    # One rounding is 2**-9 = 0.2 % of a value; gradients pass up to eleven layers, and batch norms that
    # subtract means: they end 0.2 % (last layer) to 14 % (first) away, with torch's own layers as with ours.
    exact = loss_and_gradients(*both_ways(128), False)
    ours = loss_and_gradients(*both_ways(128), True)
    torchs = loss_and_gradients(*with_torchs_layers(both_ways(128)), True)
    assert abs(ours["loss"] / exact["loss"] - 1) < 1e-3
    compared = 0
    for name, expected in exact.items():
        if expected.norm() < 1e-2:  # biases before a batch norm have no gradient but rounding
            continue
        compared += 1
        assert ours[name].dtype == torch.float32
        away = (ours[name] - expected).norm() / expected.norm()
        assert away < 1.2 * (torchs[name] - expected).norm() / expected.norm() + 1e-3, name
        assert away < 0.2, name
    assert compared > 15


def test_float32_is_that_of_torchs_own_layers_but_for_rounding() -> None:
    ours, torchs = both_ways(4), with_torchs_layers(both_ways(4))
    one, other = loss_and_gradients(*ours, False), loss_and_gradients(*torchs, False)
    for name, expected in other.items():
        assert torch.allclose(one[name], expected, rtol=1e-4, atol=1e-3), name


def test_channels_last_weights_change_no_number_but_by_rounding() -> None:
    plain, moved = both_ways(4), both_ways(4)
    for module in moved:
        module.to(memory_format=torch.channels_last)
    one, other = loss_and_gradients(*plain, False), loss_and_gradients(*moved, False)
    assert not moved[0].layers[0].weight.is_contiguous()
    for name, expected in one.items():
        assert torch.allclose(other[name], expected, rtol=1e-4, atol=1e-3), name


def test_weights_keep_the_names_and_shapes_of_torchs_layers() -> None:
    encoder, decoder = both_ways(4)
    shapes = {name: tuple(value.shape) for name, value in encoder.state_dict().items() if "weight" in name}
    assert shapes == {
        "layers.0.weight": (4, 3, 4, 4), "layers.1.weight": (4,), "layers.3.weight": (8, 4, 4, 4),
        "layers.4.weight": (8,), "layers.6.weight": (8, 8, 4, 4), "layers.7.weight": (8,),
    }  # fmt: skip
    shapes = {name: tuple(value.shape) for name, value in decoder.state_dict().items() if "weight" in name}
    assert shapes == {
        "layers.0.weight": (8, 8, 4, 4), "layers.1.weight": (8,), "layers.3.weight": (8, 4, 4, 4),
        "layers.4.weight": (4,), "layers.6.weight": (4, 3, 4, 4),
    }  # fmt: skip


def test_leaky_equals_torchs_own_and_leaves_its_input_alone() -> None:
    maps = draw(2, 3, 4, 4).double().requires_grad_()
    before = maps.detach().clone()
    found, expected = Leaky()(maps), nn.functional.leaky_relu(maps, 0.2)
    assert torch.equal(found, expected)
    assert torch.equal(maps, before)
    gradient = draw(2, 3, 4, 4).double()
    one, other = (torch.autograd.grad(value, maps, gradient)[0] for value in (found, expected))
    assert torch.equal(one, other)
    assert torch.autograd.gradcheck(Leaky(), maps)
