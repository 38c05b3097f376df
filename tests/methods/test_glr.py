"""What is special to GLR: skipped steps, random stretches, Gaussian-process codes, counterfactuals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from seqdis.errors import CapabilityError, DataError, SettingsError
from seqdis.factors import Gaussian
from seqdis.inputs import as_sequences
from seqdis.losses import gaussian_nll
from seqdis.methods import GLR
from seqdis.methods.glr import GLRNetwork, SkippingEncoder
from seqdis.nn.elements import fold_windows
from seqdis.nn.gaussian_process import covariance, share_out
from seqdis.nn.network import Progress
from seqdis.sequences import Batch, DataSpec
from seqdis.testing import check_method
from seqdis.training import Training

LAYERS = {"static_layers": (8, 6), "dynamic_layers": (8,), "decoder_layers": (8, 6)}
SMALL = {"static_dim": 3, "dynamic_dim": 2, **LAYERS, "training": Training(max_epochs=2, batch_size=8)}
SPEC = DataSpec(kind="series", shape=(3,), length=12)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(spec: DataSpec = SPEC, **changes: object) -> GLRNetwork:
    torch.manual_seed(0)
    return GLR(**SMALL | changes).build(spec)


def ragged_batch(spec: DataSpec = SPEC) -> Batch:
    draw = generator(7)
    mask = torch.rand(5, spec.length, spec.shape[0], generator=draw) > 0.3
    lengths = torch.tensor([12, 5, 8, 12, 3])
    mask &= (torch.arange(spec.length) < lengths[:, None]).unsqueeze(-1)
    return Batch(x=torch.randn(mask.shape, generator=draw) * mask, mask=mask, lengths=lengths)


def test_variants_keep_the_contracts() -> None:
    kernels = ("exponential", "periodic", "cauchy", "rbf")
    check_method(GLR(**SMALL, kernels=kernels, kernel_scales=1, copies=2, scale_floor=0.0, stretch=1.0))


# The encoders.


def test_the_encoder_reads_what_is_left_when_the_other_steps_are_deleted() -> None:
    torch.manual_seed(0)
    encoder, x = SkippingEncoder(3, (5, 4), 2), torch.randn(3, 7, 3)
    readable = torch.tensor([[0, 1, 1, 0, 1, 0, 0], [1] * 7, [0] * 7], dtype=torch.bool)
    given = encoder(x, readable)
    cell = nn.LSTMCell(3, 5)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, name).data.copy_(getattr(encoder.rnn, f"{name}_l0"))
    for row in range(3):
        state = torch.zeros(1, 5), torch.zeros(1, 5)
        for step in range(7):
            if readable[row, step]:
                state = cell(x[row : row + 1, step], state)
        torch.testing.assert_close(given[row : row + 1], encoder.layers(state[0]))
    torch.testing.assert_close(
        encoder(x, readable & (torch.arange(7) < 3), 3)[0], encoder(x[:, :3], readable[:, :3])[0]
    )


def test_stretches_start_everywhere_and_never_leave_the_sequence() -> None:
    net = network(stretch=0.5)  # 6 of 12 steps
    valid = (torch.arange(12) < torch.tensor([[12], [8], [6], [4]])).repeat(400, 1)
    inside = net._stretch(valid, generator())
    assert not (inside & ~valid).any()
    assert inside.sum(1).tolist() == [6, 6, 6, 4] * 400
    assert (inside[:, 1:] & ~inside[:, :-1]).sum(1).max() <= 1  # in one piece
    starts = inside.byte().argmax(1).view(-1, 4)
    assert [sorted(set(column.tolist())) for column in starts.T] == [[*range(7)], [0, 1, 2], [0], [0]]
    assert torch.bincount(starts[:, 0]).min() > 400 / 7 / 2


def test_training_reads_the_static_code_from_a_stretch_and_encoding_from_the_whole() -> None:
    net, x = network(stretch=0.25), torch.randn(1, 12, 3, generator=generator())
    seen: list[torch.Tensor] = []
    net.static_encoder.register_forward_hook(lambda module, given, out: seen.append(given[1].sum(1)))
    net.encode(Batch(x=x))
    net(Batch(x=x), Progress(generator=generator()))
    assert [count.tolist() for count in seen] == [[12], [3], [3]]  # the last is the counterfactual's


def test_a_draw_is_a_path_of_the_banded_gaussian() -> None:
    net, copies = network(), 4000
    one = Batch(x=torch.rand(1, SPEC.length, *SPEC.shape, generator=generator()))
    with torch.no_grad():
        posterior = net._dynamic(fold_windows(one, net.stride))
        drawn = net.draw(Batch(x=one.x.expand(copies, -1, -1)), generator(1)).dynamic
        expected = (posterior.factor @ posterior.factor.mT)[0]
    found = torch.stack([torch.cov(drawn[..., dim].T) for dim in range(drawn.shape[-1])])
    scale = expected.diagonal(dim1=-2, dim2=-1).sqrt()
    neighbours = (expected / scale.unsqueeze(-1) / scale.unsqueeze(-2)).diagonal(offset=1, dim1=-2, dim2=-1)
    assert neighbours.mean() < -0.2
    torch.testing.assert_close(found, expected, atol=0.06, rtol=0.1)


def test_window_codes_do_not_see_other_windows() -> None:
    net, x = network(), torch.randn(2, 12, 3, generator=generator())
    other = x.clone()
    other[:, 4:8] += 1.0
    moved = (net.encode(Batch(x=x)).dynamic.mean - net.encode(Batch(x=other)).dynamic.mean).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [False, True, False]


# The loss.


def reference_loss(net: GLRNetwork, batch: Batch, seed: int) -> dict[str, float]:
    """The loss with dense matrices, sequence by sequence, on the same draws."""
    settings, draw = net.settings, generator(seed)
    batch_size, time, features = batch.x.shape
    copies, windows, dims = settings.copies, -(-time // net.stride), settings.dynamic_dim
    rand = torch.rand(batch_size, generator=draw)
    static_noise = torch.randn(copies * batch_size, settings.static_dim, generator=draw)
    noise = torch.randn(copies, batch_size, dims, windows, 1, generator=draw)
    planted = torch.randn(copies * batch_size, settings.static_dim, generator=draw)
    value_noise = torch.randn(copies * batch_size, time, features, generator=draw)
    rand_again = torch.rand(copies * batch_size, generator=draw)

    def static_mean(x: torch.Tensor, row: int, keep: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        length = int(batch.lengths[row])
        start = int(share * (max(0, length - net.stretch) + 1))
        cut = slice(start, min(start + net.stretch, length))
        chosen = x[cut][keep[cut]]
        return net.static_encoder(chosen[None], torch.ones(1, len(chosen), dtype=torch.bool))[0]

    sums = dict.fromkeys(("reconstruction", "kl_static", "kl_dynamic", "counterfactual"), 0.0)
    for row in range(batch_size):
        length, mask = int(batch.lengths[row]), batch.mask[row]
        keep = mask.sum(1) > 3 - 2  # int(0.7 * 3) = 2 missing are too many
        mean = static_mean(batch.x[row], row, keep, rand[row])
        sums["kl_static"] += 0.5 * float(mean.square().sum())
        only = Batch(x=batch.x[row : row + 1], mask=mask[None], lengths=batch.lengths[row : row + 1])
        q = net._dynamic(fold_windows(only, net.stride))
        real = -(-length // net.stride)
        for dim, (kernel, halvings) in enumerate(share_out(dims, settings.kernels, settings.kernel_scales)):
            matrix = covariance(kernel, windows, settings.length_scale / 2**halvings, sigma=settings.cauchy_variance)
            factor = q.factor[0, dim].double()
            dense = torch.distributions.MultivariateNormal(
                q.mean[0, :real, dim].double(), (factor @ factor.T)[:real, :real]
            )
            prior = torch.distributions.MultivariateNormal(torch.zeros(real).double(), matrix[:real, :real])
            share = mask.sum() / (length * features)
            sums["kl_dynamic"] += float(torch.distributions.kl_divergence(dense, prior) * share)
        for copy in range(copies):
            place = copy * batch_size + row
            code = mean + static_noise[place]
            path = q.mean[0] + (q.factor[0] @ noise[copy, row])[..., 0].T
            for which, static in (("reconstruction", code), ("counterfactual", planted[place])):
                joint = torch.cat([path, static.expand(windows, -1)], 1)[None]
                x_mean, x_scale = (values[0, :time] for values in net.decoder(joint))
                if which == "reconstruction":
                    sums[which] += float(gaussian_nll(batch.x[row], x_mean, x_scale)[mask].sum()) / copies
                    continue
                drawn = x_mean + x_scale * value_noise[place]
                again = static_mean(drawn, row, torch.ones(time, dtype=torch.bool), rand_again[place])
                at = torch.distributions.Normal(again, 1.0)
                log_ratio = (at.log_prob(code) - at.log_prob(static)).clamp(max=settings.log_ratio_limit)
                sums[which] += float(log_ratio.exp().mean()) / copies
    return {name: value / batch_size for name, value in sums.items()}


@pytest.mark.parametrize("copies", [1, 3])
@torch.no_grad()
def test_the_loss_is_that_of_dense_gaussians_one_sequence_at_a_time(copies: int) -> None:
    net, batch = network(copies=copies, kernel_scales=2, stretch=0.5), ragged_batch()
    terms = net(batch, Progress(generator=generator(5)))
    expected = reference_loss(net, batch, 5)
    assert {name: float(value) for name, value in terms.values.items()} == pytest.approx(expected, rel=1e-3)
    # The authors' reductions: means over T * F = 36 values, and over 3 windows of 2 dimensions.
    assert terms.weights == pytest.approx(
        {"reconstruction": 1 / 36, "kl_static": 0.1, "kl_dynamic": 0.1 / 6, "counterfactual": 1.0}
    )


def test_the_counterfactual_ratio_by_hand() -> None:
    net = network(log_ratio_limit=3.0)
    net.static_encoder.register_forward_hook(lambda module, given, out: torch.tensor([[1.0, 0.0, 0.0]]))
    code, path, valid = torch.tensor([[1.0, 2.0, 0.0]]), torch.zeros(1, 3, 2), torch.ones(1, 12, dtype=torch.bool)
    planted = torch.randn(1, 3, generator=generator(3))
    logs = 0.5 * (torch.tensor([(planted[0, 0] - 1) ** 2, planted[0, 1] ** 2 - 4, planted[0, 2] ** 2]))
    given = net._counterfactual(code, path, valid, generator(3))
    assert float(given) == pytest.approx(float(logs.clamp(max=3).exp().mean()), rel=1e-5)


def test_a_static_code_that_follows_the_planted_one_costs_little() -> None:
    net = network()
    code, path, valid = torch.full((64, 3), 3.0), torch.zeros(64, 3, 2), torch.ones(64, 12, dtype=torch.bool)
    deaf = net._counterfactual(code, path, valid, generator(3))
    planted = torch.randn(64, 3, generator=generator(3))
    net.static_encoder.register_forward_hook(lambda module, given, out: planted)
    followed = net._counterfactual(code, path, valid, generator(3))
    assert followed < 0.1
    net.static_encoder.register_forward_hook(lambda module, given, out: code)
    assert net._counterfactual(code, path, valid, generator(3)) > 10 * max(followed, deaf)


def test_without_its_weight_the_counterfactual_is_not_computed() -> None:
    assert "counterfactual" not in network(counterfactual_weight=0.0)(ragged_batch(), Progress()).values


@pytest.mark.parametrize("windows", [64, 256])
def test_long_sequences_keep_losses_and_gradients_finite(windows: int) -> None:
    spec = DataSpec(kind="series", shape=(3,), length=4 * windows)
    net = network(spec, length_scale=20.0)
    terms = net(Batch(x=torch.randn(2, spec.length, 3, generator=generator())), Progress(generator=generator()))
    terms.total.backward()
    assert torch.isfinite(terms.total)
    assert all(torch.isfinite(value.grad).all() for value in net.parameters())


# The prior and the whole.


def test_samples_follow_the_processes_and_the_static_prior() -> None:
    net = network(kernels=("rbf",), kernel_scales=1)
    static, dynamic = net.prior(100_000, 5, generator())
    assert (torch.cov(static.T) - torch.eye(3)).abs().max() < 0.02
    for dim in range(2):
        assert (torch.cov(dynamic[..., dim].T) - covariance("rbf", 5, 2.0)).abs().max() < 0.02
    unit = net.encode(Batch(x=torch.randn(2, 12, 3))).static
    assert isinstance(unit, Gaussian)
    assert (unit.logvar == 0).all()


def level_and_steps(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 24, 3): a level of -1 or 1 for the whole sequence, and another height in every window of four steps."""
    draw = np.random.default_rng(seed)
    level = draw.choice([-1.0, 1.0], size=(n, 1, 1))
    heights = draw.normal(size=(n, 6, 1)).repeat(4, axis=1)
    x = level + heights * np.array([1.0, 0.5, -1.0]) + draw.normal(0, 0.1, (n, 24, 3))
    return x.astype(np.float32), level[:, 0, 0]


def test_it_learns_to_reconstruct_and_swaps_what_stays() -> None:
    (train, _), (x, level) = level_and_steps(160, 0), level_and_steps(60, 1)
    sizes = {"static_dim": 1, "static_layers": (16, 16), "dynamic_layers": (16, 16), "decoder_layers": (16, 16)}
    training = Training(max_epochs=40, batch_size=16, lr=1e-2, gradient_clip=1.0)
    prior = {"kernel_scales": 1, "length_scale": 0.25}  # what the windows add is white
    model = GLR(**sizes, **prior, dynamic_dim=2, counterfactual_weight=5.0, training=training).fit(train)
    assert np.square(model.reconstruct(x) - x).mean() < 0.1 * x.var()
    others = np.roll(np.arange(60), 1)
    swapped = model.swap(x, x[others])
    height = (swapped[..., 0] + swapped[..., 2]).mean(1) / 2  # what the windows add cancels
    assert np.corrcoef(height, level)[0, 1] > 0.9
    assert abs(np.corrcoef(height, level[others])[0, 1]) < 0.3


def test_an_interrupted_fit_goes_on_to_the_same_weights(tmp_path) -> None:
    x = np.random.default_rng(0).normal(size=(16, 12, 3)).astype(np.float32)
    method = GLR(**SMALL | {"training": Training(max_epochs=4, batch_size=8, save_seconds=0)})

    def stop(done: int, total: int, record: dict | None) -> None:
        if record is not None and record["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method.replace().fit(x, out=tmp_path / "run", watch=stop)
    resumed, whole = method.replace().fit(x, out=tmp_path / "run"), method.replace().fit(x)
    for name, value in whole.network_.state_dict().items():
        torch.testing.assert_close(resumed.network_.state_dict()[name], value, rtol=0, atol=0, msg=name)


# Settings.


def test_published_settings_have_the_sizes_of_the_paper() -> None:
    stays = GLR.published("mortality").build(DataSpec(kind="series", shape=(10,), length=80))
    assert (stays.windows, stays.stretch) == (20, 48)
    assert [layer.out_features for layer in stays.decoder.layers if isinstance(layer, nn.Linear)] == [64, 32]
    months = GLR.published("air-quality").build(DataSpec(kind="series", shape=(10,), length=672))
    assert (months.windows, months.stretch, months.settings.copies) == (28, 201, 15)
    assert months.dynamic_prior.kernels == share_out(8, ("cauchy", "rbf"), 4)
    assert (months.decoder.rnn.hidden_size, months.decoder.mean.in_features) == (64, 32)
    for name, batch, epochs in (("mortality", 20, 201), ("icu-unit", 20, 201), ("air-quality", 10, 251)):
        found = GLR.published(name)
        assert (found.training.batch_size, found.training.max_epochs, found.training.lr) == (batch, epochs, 1e-3)
        assert (found.static_dim, found.dynamic_dim, found.dynamic_weight, found.cauchy_variance) == (8, 8, 0.1, 0.5)
        assert (found.length_scale, found.kernel_scales, found.counterfactual_weight) == (2.0, 4, 1.0)
    with pytest.raises(SettingsError, match="air-quality"):
        GLR.published("sprites")


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"kernels = \(\)"):
        GLR(kernels=()).build(SPEC)
    with pytest.raises(SettingsError, match=r"static_layers = \(8, 0\)"):
        GLR(static_layers=(8, 0)).build(SPEC)
    with pytest.raises(SettingsError, match=r"decoder_layers = \(\)"):
        GLR(decoder_layers=()).build(SPEC)
    with pytest.raises(DataError, match="12 step"):
        GLR(window=12).build(SPEC)
    with pytest.raises(CapabilityError, match=r"GLR is for data of kind series.*image"):
        GLR().fit(as_sequences(np.zeros((4, 5, 3, 8, 8), dtype=np.uint8), kind="image"))
