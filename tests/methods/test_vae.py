from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from seqdis.errors import SettingsError
from seqdis.factors import Factors, Gaussian
from seqdis.hyperparameters import from_dict, to_dict, validate
from seqdis.losses import gaussian_nll
from seqdis.methods import VAE
from seqdis.methods.vae import PUBLISHED
from seqdis.nn.network import Network, Progress
from seqdis.sequences import Batch, DataSpec
from seqdis.training import Training

SPECS = {
    "series": DataSpec(kind="series", shape=(3,), length=12),
    "spectrogram": DataSpec(kind="spectrogram", shape=(5,), length=4),
    "image": DataSpec(kind="image", shape=(1, 8, 8), length=4),
}
KINDS = list(SPECS)


def network(kind: str, form: str = "plain", **more) -> Network:
    torch.manual_seed(1)
    net = VAE(code_dim=2, feature_dim=6, hidden_dim=5, filters=2, window=3, form=form, **more).build(SPECS[kind]).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    return net


def batch(kind: str, **more) -> Batch:
    spec, draw = SPECS[kind], torch.Generator().manual_seed(0)
    return Batch(x=torch.rand(3, spec.length, *spec.shape, generator=draw), **more)


def moved(net: Network, kind: str, element: int) -> list[bool]:
    """Which dynamic codes move when one element changes."""
    one, step = batch(kind), net.stride
    x = one.x.clone()
    x[:, element * step : (element + 1) * step] = 1 - x[:, element * step : (element + 1) * step]
    before, after = net.encode(one), net.encode(Batch(x=x))
    return ((before.dynamic.mean - after.dynamic.mean).abs().amax((0, 2)) > 1e-6).tolist()


# The plain form


@pytest.mark.parametrize("kind", KINDS)
def test_plain_codes_see_their_own_element_alone(kind: str) -> None:
    assert moved(network(kind), kind, 2) == [False, False, True, False]


@pytest.mark.parametrize("kind", KINDS)
def test_plain_static_codes_are_the_mean_of_the_real_dynamic_ones(kind: str) -> None:
    net = network(kind)
    posterior = net.encode(batch(kind, lengths=torch.tensor([4, 1, 3]) * net.stride))
    draw = torch.Generator().manual_seed(0)
    many = torch.stack([posterior.sample(draw).dynamic for _ in range(4000)])
    for row, length in enumerate((4, 1, 3)):
        means = many[:, row, :length].mean(1)
        spread = torch.exp(0.5 * posterior.static.logvar[row])
        assert torch.allclose(means.std(0), spread, rtol=0.05)
        assert torch.allclose(means.mean(0), posterior.static.mean[row], atol=0.1 * spread.max().item())
    variance = posterior.dynamic.logvar[2, :3].exp()
    assert torch.allclose(posterior.static.logvar[2].exp(), variance.sum(0) / 9, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_swap_shifts_codes_to_the_others_mean(kind: str) -> None:
    net, decoded = network(kind), []
    observe = net.codec.observe
    net.codec.observe = lambda codes, valid=None: decoded.append(codes) or observe(codes, valid)
    codes = net.encode(batch(kind)).mean()
    plain = net.decode(codes)
    assert torch.allclose(decoded[-1], codes.dynamic, atol=1e-6)
    swapped = net.decode(Factors(codes.static.flip(0), codes.dynamic))
    assert torch.allclose(decoded[-1].mean(1), codes.static.flip(0), atol=1e-6)
    assert torch.allclose(decoded[-1] - codes.static.flip(0)[:, None], codes.dynamic - codes.static[:, None], atol=1e-6)
    assert torch.allclose(swapped[1], plain[1], atol=1e-6)


def test_the_plain_prior_is_normal_and_its_step_means_are_zero() -> None:
    net = network("series")
    drawn = net.prior(2000, 4, torch.Generator().manual_seed(0))
    assert drawn.dynamic.std().item() == pytest.approx(1, abs=0.03)
    assert torch.allclose(drawn.static, drawn.dynamic.mean(1))
    means = net.prior(2000, 4, torch.Generator().manual_seed(0), mean=True)
    assert torch.equal(means.static, drawn.static)
    assert not means.dynamic.any()


# The sequence form


@pytest.mark.parametrize("kind", KINDS)
def test_the_code_of_a_sequence_sees_all_of_it_and_stands_for_both(kind: str) -> None:
    net = network(kind, "sequence")
    codes = net.encode(batch(kind)).mean()
    assert torch.equal(codes.dynamic, codes.static[:, None].expand(-1, 4, -1))
    assert all(moved(net, kind, element) == [True] * 4 for element in range(4))


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_are_unrolled_from_the_static_code_alone(kind: str) -> None:
    net = network(kind, "sequence")
    codes = net.encode(batch(kind)).mean()
    plain = net.decode(codes)
    assert torch.equal(net.decode(Factors(codes.static, codes.dynamic + 1)), plain)
    assert (net.decode(Factors(codes.static + 1, codes.dynamic)) - plain).abs().max() > 1e-4
    longer = net.decode(Factors(codes.static, codes.dynamic.repeat(1, 2, 1)))
    assert torch.allclose(longer[:, : plain.shape[1]], plain, atol=1e-6)
    steps = plain.unflatten(1, (4, -1))
    assert (steps[:, 1] - steps[:, 0]).abs().max() > 1e-5


# The loss


@pytest.mark.parametrize("form", ["plain", "sequence"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kl_is_that_of_torch_distributions_over_real_elements(kind: str, form: str) -> None:
    net = network(kind, form, beta=0.7)
    one = batch(kind, lengths=torch.tensor([4, 1, 3]) * net.stride)
    posterior = net.encode(one)
    q = posterior.dynamic if form == "plain" else posterior.static
    kl = kl_divergence(Normal(q.mean, torch.exp(0.5 * q.logvar)), Normal(0.0, 1.0)).sum(-1)
    if form == "plain":
        kl = torch.stack([kl[row, :length].sum() for row, length in enumerate((4, 1, 3))])
    terms = net(one, Progress(generator=torch.Generator().manual_seed(0)))
    assert terms.values["kl"].item() == pytest.approx(kl.mean().item(), rel=1e-5)
    assert terms.weights == {"reconstruction": 1.0, "kl": 0.7}


@pytest.mark.parametrize("kind", ["spectrogram", "image"])
def test_frames_are_squared_errors_of_those_observed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gaussian, "sample", lambda self, generator=None: self.mean)
    net, mask = network(kind), torch.ones(3, 4, dtype=torch.bool)
    mask[1, 2] = False
    one = batch(kind, mask=mask)
    with torch.no_grad():
        error = (net.decode(net.encode(one).mean()) - one.x).square().flatten(2).sum(-1)
        found = net(one, Progress()).values["reconstruction"]
    assert found.item() == pytest.approx((error * mask).sum().item() / 3, rel=1e-5)


def test_published_weights_are_the_baselines_averages_in_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loss: likelihood averaged over values, KL over windows and features, both weighted 1."""
    monkeypatch.setattr(Gaussian, "sample", lambda self, generator=None: self.mean)
    method = VAE.published("mortality")
    net = method.build(DataSpec(kind="series", shape=(10,), length=80))
    one = Batch(x=torch.randn(2, 80, 10, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        q = net.encode(one).dynamic
        observed = net.codec.observe(q.mean)
        nll = gaussian_nll(one.x, observed.mean, observed.scale).mean()
        kl = kl_divergence(Normal(q.mean, torch.exp(0.5 * q.logvar)), Normal(0.0, 1.0)).sum(-1).mean() / 10
        total = net(one, Progress()).total
    assert total.item() == pytest.approx(80 * 10 * (nll + kl).item(), rel=1e-5)


def test_published_settings_are_valid() -> None:
    for name in PUBLISHED:
        method = VAE.published(name)
        validate(method)
        assert from_dict(VAE, to_dict(method)) == method
        assert (method.static_dim, method.dynamic_dim) == (8, 8)
        window, batch, epochs = (24, 10, 200) if name == "air-quality" else (4, 20, 50)
        training = method.training
        assert (method.window, training.batch_size, training.max_epochs, training.lr) == (window, batch, epochs, 1e-3)
    with pytest.raises(SettingsError, match=r"'icu'\. Did you mean 'icu-unit'"):
        VAE.published("icu")


# Learning


@pytest.mark.parametrize(("form", "least"), [("plain", 0.8), ("sequence", 0.4)])
def test_it_learns_to_reconstruct(form: str, least: float) -> None:
    draw = np.random.default_rng(0)
    level, phase = draw.normal(size=(160, 1, 1)), draw.uniform(0, 2 * math.pi, size=(160, 1, 1))
    wave = np.sin(np.arange(12)[:, None] / 2 + phase + np.arange(3))
    x = (level + 0.5 * wave + 0.05 * draw.normal(size=(160, 12, 3))).astype(np.float32)
    training = Training(max_epochs=20, batch_size=16, lr=1e-2)
    sizes = {"code_dim": 4, "feature_dim": 16, "hidden_dim": 16, "window": 3}
    model = VAE(**sizes, form=form, beta=0.1, training=training).fit(x[:128])
    test = x[128:]
    explained = 1 - (model.reconstruct(test) - test).var() / test.var()
    assert explained > least
