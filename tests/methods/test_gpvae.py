"""What is special to GP-VAE: a joint posterior along time, its exact KL, and one kind of code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from seqdis.errors import SettingsError
from seqdis.factors import Factors
from seqdis.hyperparameters import from_dict, to_dict, validate
from seqdis.methods import GPVAE
from seqdis.methods.gpvae import PAPER, REFERENCE, GPVAENetwork
from seqdis.nn.gaussian_process import covariance, share_out
from seqdis.nn.network import Progress
from seqdis.sequences import Batch, DataSpec
from seqdis.testing import check_method
from seqdis.training import Training

SPECS = {
    "series": DataSpec(kind="series", shape=(3,), length=12),
    "spectrogram": DataSpec(kind="spectrogram", shape=(5,), length=4),
    "image": DataSpec(kind="image", shape=(1, 8, 8), length=4),
}
KINDS = list(SPECS)
SMALL = {"code_dim": 3, "feature_dim": 6, "filters": 2, "window": 3}
COUNTS = (4, 1, 3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(kind: str = "series", **changes: object) -> GPVAENetwork:
    torch.manual_seed(1)
    net = GPVAE(**SMALL | changes).build(SPECS[kind]).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    return net


def batch(kind: str = "series", rows: int = 3, **more) -> Batch:
    spec = SPECS[kind]
    return Batch(x=torch.rand(rows, spec.length, *spec.shape, generator=generator()), **more)


def gappy(kind: str) -> Batch:
    """Ragged, with missing values or frames, zero where nothing was observed."""
    spec, window = SPECS[kind], SMALL["window"] if kind == "series" else 1
    lengths = torch.tensor([11, 3, 8]) if kind == "series" else torch.tensor(COUNTS)
    assert tuple((-(-lengths // window)).tolist()) == COUNTS
    shape = (3, spec.length, *spec.shape) if kind == "series" else (3, spec.length)
    mask = torch.rand(shape, generator=generator(3)) > 0.3
    mask[:, 0] = True
    mask &= (torch.arange(spec.length) < lengths[:, None]).reshape(3, -1, *[1] * (len(shape) - 2))
    wide = mask.reshape(*mask.shape, *[1] * (2 + len(spec.shape) - mask.ndim))
    return Batch(x=batch(kind).x * wide, mask=mask, lengths=lengths)


def test_a_variant_keeps_the_contracts() -> None:
    other = {"band": "signed", "reduction": "mean", "likelihood": "unit", "context": 2, "kernels": ("rbf", "cauchy")}
    check_method(GPVAE(**SMALL, **other, training=Training(max_epochs=2, batch_size=8)), modalities=("series",))


# Codes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("context", "reached"), [(1, [2]), (3, [1, 2, 3]), (2, [1, 2])])
def test_codes_see_as_many_elements_as_are_in_their_context(kind: str, context: int, reached: list[int]) -> None:
    net, one = network(kind, context=context), batch(kind)
    x = one.x.clone()
    x[:, 2 * net.stride : 3 * net.stride] = 1 - x[:, 2 * net.stride : 3 * net.stride]
    moved = (net.encode(one).dynamic.mean - net.encode(Batch(x=x)).dynamic.mean).abs().amax((0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == reached


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("band", ["softplus", "signed"])
@torch.no_grad()
def test_draws_are_paths_of_the_joint_posterior_and_encode_has_their_spread(kind: str, band: str) -> None:
    net, copies = network(kind, band=band), 3000
    given = gappy(kind)
    for row, count in enumerate(COUNTS):
        lengths = given.lengths[row : row + 1]
        one = Batch(x=given.x[row : row + 1], mask=given.mask[row : row + 1], lengths=lengths)
        # The same sequence many times over costs an image codec more than all else.
        joint = net._posterior(one)[0]
        drawn = joint.sample(generator(5), copies)[:, :count]
        posterior = net.encode(one)
        assert torch.equal(net.draw(one, generator(5)).dynamic, joint.sample(generator(5)))
        found = net.draw(one, generator(5))
        torch.testing.assert_close(found.static, found.dynamic[:, :count].mean(1))
        torch.testing.assert_close(posterior.static.mean, posterior.dynamic.mean[:, :count].mean(1))
        of_elements = torch.exp(0.5 * posterior.dynamic.logvar[0, :count])
        torch.testing.assert_close(drawn.std(0), of_elements, rtol=0.06, atol=0)
        of_means = torch.exp(0.5 * posterior.static.logvar[0])
        torch.testing.assert_close(drawn.mean(1).std(0), of_means, rtol=0.06, atol=0)


@torch.no_grad()
def test_a_band_moves_neighbouring_draws_against_each_other_and_the_ablation_does_not() -> None:
    for banded in (True, False):
        net = network(banded=banded)
        joint = net._posterior(batch(rows=1))[0]
        deviation = joint.sample(generator(2), 4000) - joint.mean
        together = (deviation[:, 1:] * deviation[:, :-1]).mean() / deviation.square().mean()
        assert together < -0.2 if banded else together.abs() < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_a_swap_shifts_codes_to_the_others_mean(kind: str) -> None:
    net, decoded = network(kind), []
    observe = net.codec.observe
    net.codec.observe = lambda codes, valid=None: decoded.append(codes) or observe(codes, valid)
    codes = net.encode(batch(kind)).mean()
    plain = net.decode(codes)
    torch.testing.assert_close(decoded[-1], codes.dynamic)
    swapped = net.decode(Factors(codes.static.flip(0), codes.dynamic))
    torch.testing.assert_close(decoded[-1].mean(1), codes.static.flip(0))
    torch.testing.assert_close(decoded[-1] - codes.static.flip(0)[:, None], codes.dynamic - codes.static[:, None])
    torch.testing.assert_close(swapped[1], plain[1])


def test_samples_follow_the_processes_and_their_mean_is_the_static_code() -> None:
    net = network(kernel_scales=3, cauchy_variance=0.5)
    static, dynamic = net.prior(50_000, 4, generator())
    for dim in range(3):
        expected = covariance("cauchy", 4, 2.0 / 2**dim, sigma=0.5).float()
        assert (torch.cov(dynamic[..., dim].T) - expected).abs().max() < 0.02
    torch.testing.assert_close(static, dynamic.mean(1))
    means = net.prior(5, 4, generator(), mean=True)
    torch.testing.assert_close(means.static, means.dynamic.mean(1))
    assert (means.dynamic[:, 0] == 0).all()


# The loss


def band_of(net: GPVAENetwork, features: torch.Tensor, dim: int) -> torch.Tensor:
    """``B`` of one dimension, entry by entry, in float64."""
    raw, size = net.head.band(features).double(), len(features)
    band = torch.zeros(size, size, dtype=torch.float64)
    for t in range(size):
        band[t, t] = 1 + math.log1p(math.exp(raw[t, dim]))
        if t + 1 < size and net.settings.banded:
            band[t, t + 1] = math.log1p(math.exp(raw[t, net.settings.code_dim + dim]))
    return band


def reference_loss(net: GPVAENetwork, given: Batch, seed: int) -> dict[str, float]:
    """The terms with dense matrices, every sequence cut to its length, on the same draws."""
    settings, count = net.settings, net.elements
    noise = torch.randn(1, len(given), settings.code_dim, count, 1, generator=generator(seed))[0, ..., 0].double()
    sums = {"reconstruction": 0.0, "kl": 0.0}
    for row, real in enumerate(COUNTS):
        length = int(given.lengths[row])
        x, mask = given.x[row, :length], given.mask[row, :length]
        features = net.codec.elements(Batch(x=x[None], mask=mask[None])).values[0]
        if net.neighbours is not None:
            features = net.neighbours(features[None])[0]
        kl, path = 0.0, []
        owners = share_out(settings.code_dim, settings.kernels, settings.kernel_scales)
        for dim, (kernel, halvings) in enumerate(owners):
            band, mean = band_of(net, features, dim), net.head.mean(features)[:, dim].double()
            q = MultivariateNormal(mean, torch.linalg.inv(band @ band.T))
            matrix = covariance(kernel, real, settings.length_scale / 2**halvings, sigma=settings.cauchy_variance)
            kl += float(kl_divergence(q, MultivariateNormal(torch.zeros(real).double(), matrix)))
            path.append(mean + torch.linalg.inv(band).T @ noise[row, dim, :real])
        observed = net.codec.observe(torch.stack(path, 1).float()[None])
        if observed.scale is not None and settings.likelihood == "predicted":
            error = -Normal(observed.mean[0, :length], observed.scale[0, :length]).log_prob(x)
        else:
            error = (observed.mean[0, :length] - x).square()
        sums["reconstruction"] += float(error[mask].sum())
        sums["kl"] += kl * (float(mask.float().mean()) if settings.reduction == "mean" else 1.0)
    return {name: value / len(given) for name, value in sums.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changes", [{"banded": True, "context": 3}, {"banded": False, "context": 1}], ids=str)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@torch.no_grad()
def test_the_loss_is_that_of_dense_gaussians_one_sequence_at_a_time(kind: str, changes: dict, reduction: str) -> None:
    net, given = network(kind, **changes, reduction=reduction, kernels=("cauchy", "rbf"), beta=0.7), gappy(kind)
    terms = net(given, Progress(generator=generator(5)))
    expected = reference_loss(net, given, 5)
    assert {name: float(value) for name, value in terms.values.items()} == pytest.approx(expected, rel=1e-3)
    values = math.prod((SPECS[kind].length, *SPECS[kind].shape))
    half = 1.0 if kind == "series" else 0.5
    weights = {"sum": (half, 0.7), "mean": (half / values, 0.7 / (4 * 3))}[reduction]
    assert tuple(terms.weights.values()) == pytest.approx(weights)


@torch.no_grad()
def test_a_unit_variance_is_half_the_squared_error_of_observed_values() -> None:
    net, given = network(likelihood="unit"), gappy("series")
    terms = net(given, Progress(generator=generator(5)))
    assert terms.weights["reconstruction"] == 0.5
    assert float(terms.values["reconstruction"]) == pytest.approx(reference_loss(net, given, 5)["reconstruction"], 1e-4)


@torch.no_grad()
def test_the_baselines_averages_of_whole_series() -> None:
    """Its loss: likelihood averaged over values; KL over windows and dimensions."""
    net = GPVAE.published("mortality", "reference").build(DataSpec(kind="series", shape=(10,), length=80))
    one = Batch(x=torch.randn(2, 80, 10, generator=generator()))
    q = net._posterior(one)[0]
    observed = net.codec.observe(q.sample(generator(5)))
    nll = -Normal(observed.mean, observed.scale).log_prob(one.x).mean()
    kl = net.dynamic_prior.kl(q).sum(1).mean() / (20 * 8)
    assert float(net(one, Progress(generator=generator(5))).total) == pytest.approx(float(nll + kl), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_trained_but_the_scales_of_a_unit_variance(kind: str) -> None:
    for likelihood in ("predicted", "unit"):
        net = network(kind, likelihood=likelihood).train()
        net(gappy(kind), Progress(generator=generator())).total.backward()
        idle = {name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()}
        expected = {"codec.decoder.rnn.weight_ih_l0"} if kind == "series" else set()  # it reads zeros
        if kind == "series" and likelihood == "unit":
            expected |= {"codec.decoder.scale.weight", "codec.decoder.scale.bias"}
        assert idle == expected


def test_the_kl_reaches_the_encoder_alone() -> None:
    net = network()
    net(gappy("series"), Progress(generator=generator())).values["kl"].backward()
    reached = {
        name.split(".")[0] + "." + name.split(".")[1] for name, p in net.named_parameters() if p.grad is not None
    }
    assert reached == {"codec.encoder", "codec.rnn", "neighbours.convolution", "head.mean", "head.band"}


def test_long_sequences_keep_losses_and_gradients_finite() -> None:
    spec = DataSpec(kind="series", shape=(3,), length=600)
    for lengths in (None, torch.tensor([600, 5])):
        net = GPVAE(**SMALL, length_scale=20.0).build(spec)
        terms = net(Batch(x=torch.randn(2, 600, 3, generator=generator()), lengths=lengths), Progress())
        terms.total.backward()
        assert torch.isfinite(terms.total)
        assert all(torch.isfinite(value.grad).all() for value in net.parameters())


# Settings

SETTINGS = (
    *("code_dim", "window", "context", "kernels", "kernel_scales", "length_scale", "cauchy_variance"),
    *("band", "beta", "reduction", "likelihood"),
)
TRAINING = ("batch_size", "max_epochs", "lr", "gradient_clip")
CAUCHY = ("cauchy",)
TABLE = {
    ("paper", "mortality"): (
        (35, 1, 24, CAUCHY, 1, 7.0, 1.005, "sigmoid", 0.2, "sum", "unit"), (64, 40, 1e-3, 1e4), 128
    ),
    ("paper", "sprites"): ((256, 1, 3, CAUCHY, 1, 2.0, 1.0, "softplus", 0.1, "sum", "unit"), (64, 20, 1e-3, 1e4), 256),
    ("reference", "mortality"): (
        (8, 4, 1, CAUCHY, 4, 2.0, 1.0, "softplus", 1.0, "mean", "predicted"), (20, 50, 1e-3, 0.0), 32
    ),
    ("reference", "icu-unit"): (
        (8, 4, 1, CAUCHY, 4, 2.0, 1.0, "softplus", 1.0, "mean", "predicted"), (20, 50, 1e-3, 0.0), 32
    ),
    ("reference", "air-quality"): (
        (8, 24, 1, CAUCHY, 4, 2.0, 1.0, "softplus", 1.0, "mean", "predicted"), (10, 100, 1e-3, 0.0), 32
    ),
}  # fmt: skip


@pytest.mark.parametrize(("preset", "name"), TABLE)
def test_published_settings_are_the_tables(preset: str, name: str) -> None:
    method = GPVAE.published(name, preset)
    row, training, width = TABLE[preset, name]
    assert tuple(getattr(method, field) for field in SETTINGS) == row
    assert tuple(getattr(method.training, field) for field in TRAINING) == training
    assert (method.feature_dim, method.banded, method.static_dim) == (width, True, method.dynamic_dim)
    assert preset == "paper" or method.scale_floor == 0
    assert from_dict(GPVAE, to_dict(method)) == method


def test_no_other_setting_is_published() -> None:
    assert {(preset, name) for preset, rows in GPVAE.presets().items() for name in rows} == set(TABLE)
    assert GPVAE.presets() == {"paper": PAPER, "reference": REFERENCE}
    with pytest.raises(SettingsError, match=r"'hmnist'"):
        GPVAE.published("hmnist")


def test_dimensions_share_the_length_scales() -> None:
    net = GPVAE.published("air-quality", "reference").build(DataSpec(kind="series", shape=(10,), length=672))
    assert net.elements == 28
    assert net.dynamic_prior.group.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert net.dynamic_prior.kernels == [("cauchy", halvings) for halvings in range(4)]


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"GPVAE.kernels = \(\)"):
        GPVAE(kernels=()).build(SPECS["series"])
    for changes, words in (
        ({"kernels": ("diffusion",)}, "diffusion"),
        ({"band": "tanh"}, "band = 'tanh'"),
        ({"reduction": "max"}, "reduction = 'max'"),
        ({"context": 0}, "context = 0"),
        ({"length_scale": 0.0}, "length_scale = 0.0"),
    ):
        with pytest.raises(SettingsError, match=words):
            validate(GPVAE(**changes))


# Learning


def waves(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 24, 3): a level and a slow wave; and which pairs of steps were seen, eight of ten."""
    draw = np.random.default_rng(seed)
    level, phase = draw.normal(size=(n, 1, 1)), draw.uniform(0, 2 * np.pi, size=(n, 1, 1))
    x = level + np.sin(np.arange(24)[:, None] / 4 + phase + np.arange(3)) + draw.normal(0, 0.1, (n, 24, 3))
    seen = np.repeat(draw.random((n, 12, 1)) > 0.2, 2, axis=1) & np.ones_like(x, dtype=bool)
    return x.astype(np.float32), seen


def test_it_learns_to_reconstruct_fills_gaps_and_swaps_levels() -> None:
    (train, train_seen), (x, seen) = waves(160, 0), waves(60, 1)
    training = Training(max_epochs=20, batch_size=16, lr=1e-2, gradient_clip=10.0)
    sizes = {"code_dim": 3, "feature_dim": 16, "window": 2, "length_scale": 3.0, "kernel_scales": 1, "beta": 0.1}
    model = GPVAE(**sizes, training=training).fit(np.where(train_seen, train, np.nan))
    error = np.square(model.reconstruct(np.where(seen, x, np.nan)) - x) / x.var()
    assert error[seen].mean() < 0.35
    assert error[~seen].mean() < 0.6  # windows of which nothing was seen
    others = np.roll(np.arange(60), 1)
    height = model.swap(x, x[others]).mean((1, 2))
    level = x.mean((1, 2))
    assert np.corrcoef(height, level)[0, 1] > 0.9
    assert abs(np.corrcoef(height, level[others])[0, 1]) < 0.3
