from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from seqdis.errors import DataError
from seqdis.factors import Factors, Gaussian
from seqdis.methods import DSVAE
from seqdis.methods.dsvae import DSVAENetwork
from seqdis.nn.network import Progress
from seqdis.sequences import Batch, DataSpec
from seqdis.training import Training

POSTERIORS = ["full", "factorised", "shared"]
SPEC = DataSpec(kind="spectrogram", shape=(5,), length=6)
ROWS = 4


def network(**more) -> DSVAENetwork:
    torch.manual_seed(1)
    sizes = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 6, "hidden_dim": 5}
    net = DSVAE(**sizes | more).build(SPEC).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    return net


def batch(**more) -> Batch:
    return Batch(x=torch.rand(ROWS, 6, 5, generator=torch.Generator().manual_seed(0)), **more)


def loss_of(net: DSVAENetwork, one: Batch, seed: int = 0):
    return net(one, Progress(generator=torch.Generator().manual_seed(seed)))


def normal(q: Gaussian) -> Normal:
    assert q.logvar is not None
    return Normal(q.mean, torch.exp(0.5 * q.logvar))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_loss_is_the_evidence_bound(posterior: str, layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without noise; the prior goes step by step, as its formula is written."""
    monkeypatch.setattr(Gaussian, "sample", lambda self, generator=None: self.mean)
    net, one = network(posterior=posterior, prior_layers=layers, static_weight=0.3, dynamic_weight=0.7), batch()
    terms, found = loss_of(net, one), net.encode(one)
    code, state, kl = torch.zeros(ROWS, 1, 2), None, torch.zeros(ROWS)
    for step in range(6):
        hidden, state = net.dynamic_prior.rnn(code, state)
        prior = normal(net.dynamic_prior.gaussian(hidden[:, 0]))
        kl = kl + kl_divergence(normal(found.dynamic.map(lambda values, step=step: values[:, step])), prior).sum(1)
        code = found.dynamic.mean[:, step : step + 1]
    error = (net.decode(found.mean()) - one.x).square().sum((1, 2)).mean()
    static = kl_divergence(normal(found.static), Normal(0.0, 1.0)).sum(1).mean()
    assert terms.values["reconstruction"].item() == pytest.approx(error.item(), rel=1e-5)
    assert terms.values["kl_static"].item() == pytest.approx(static.item(), rel=1e-5)
    assert terms.values["kl_dynamic"].item() == pytest.approx(kl.mean().item(), rel=1e-4)
    assert terms.total.item() == pytest.approx((error + 0.3 * static + 0.7 * kl.mean()).item(), rel=1e-5)


def test_a_prior_on_its_own_path_never_sees_the_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gaussian, "sample", lambda self, generator=None: self.mean)
    net, one = network(prior_path="own"), batch()
    found = net.encode(one)
    code, state, kl = torch.zeros(1, 1, 2), None, torch.zeros(ROWS)
    for step in range(6):
        hidden, state = net.dynamic_prior.rnn(code, state)
        prior = net.dynamic_prior.gaussian(hidden[:, 0])
        posterior = normal(found.dynamic.map(lambda values, step=step: values[:, step]))
        kl = kl + kl_divergence(posterior, normal(prior)).sum(1)
        code = prior.mean.unsqueeze(1)
    assert loss_of(net, one).values["kl_dynamic"].item() == pytest.approx(kl.mean().item(), rel=1e-4)


def test_the_full_posterior_reads_dynamic_codes_beside_the_static_sample() -> None:
    net, one = network(), batch()
    elements = net.body.elements(one)
    static = net.heads.static(elements)
    drawn = net.draw(one, torch.Generator().manual_seed(3))
    again = torch.Generator().manual_seed(3)
    sample = static.sample(again)
    dynamic = net.heads.dynamic(elements, sample)
    assert torch.equal(drawn.static, sample)
    assert torch.equal(drawn.dynamic, dynamic.sample(again))
    assert not torch.allclose(dynamic.mean, net.encode(one).dynamic.mean, atol=1e-3)
    assert torch.equal(net.encode(one).dynamic.mean, net.heads.dynamic(elements, static.mean).mean)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_static_code_sees_all_elements_and_factorised_dynamic_codes_their_own(posterior: str) -> None:
    net, one = network(posterior=posterior), batch()
    x = one.x.clone()
    x[:, 3] += 1
    before, after = net.encode(one), net.encode(Batch(x=x))
    assert ((before.static.mean - after.static.mean).abs().amax(-1) > 1e-6).all()
    moved = ((before.dynamic.mean - after.dynamic.mean).abs().amax((0, 2)) > 1e-6).tolist()
    assert moved == ([False, False, False, True, False, False] if posterior == "factorised" else [True] * 6)


@pytest.mark.parametrize("prior_path", ["posterior", "own"])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_what_lies_in_the_padding_changes_no_term(posterior: str, prior_path: str) -> None:
    one = batch(lengths=torch.tensor([6, 3, 1, 4]))
    x = one.x.clone()
    x[~one.valid_steps()] = 7.0
    net = network(posterior=posterior, prior_path=prior_path)
    before, after = loss_of(net, one).values, loss_of(net, Batch(x=x, lengths=one.lengths)).values
    assert all(torch.allclose(value, after[name], atol=1e-5) for name, value in before.items())


def test_published_settings_are_the_re_implementations() -> None:
    given = DSVAE.published("sprites")
    assert (given.static_dim, given.dynamic_dim, given.hidden_dim, given.prior_layers) == (256, 32, 512, 1)
    assert (given.static_weight, given.dynamic_weight, given.posterior) == (1.0, 1.0, "full")
    assert (given.training.lr, given.training.batch_size, given.training.max_epochs) == (2e-4, 25, 200)


def test_a_single_element_is_refused() -> None:
    with pytest.raises(DataError, match=r"sequences of 4 step\(s\) make 1 of the windows of 4 steps"):
        DSVAE(window=4).build(DataSpec(kind="series", shape=(3,), length=4))


def test_it_learns_what_stays() -> None:
    """Swapped sequences take their level from one and their wave from the other."""
    draw = np.random.default_rng(0)
    level, phase = draw.normal(size=(160, 1, 1)), draw.uniform(0, 2 * np.pi, size=(160, 1, 1))
    wave = np.sin(np.arange(12)[:, None] / 2 + phase + np.arange(3))
    x = (level + 0.5 * wave + 0.05 * draw.normal(size=(160, 12, 3))).astype(np.float32)
    sizes = {"static_dim": 4, "dynamic_dim": 2, "feature_dim": 16, "hidden_dim": 16, "window": 3}
    weights = {"static_weight": 0.1, "dynamic_weight": 0.5}
    test, mates = x[128:], x[128:][::-1]
    found = []
    for seed in range(3):
        training = Training(max_epochs=15, batch_size=16, lr=1e-2, seed=seed)
        model = DSVAE(**sizes, **weights, training=training).fit(x[:128])
        swapped = model.swap(test, mates).mean((1, 2))
        kept, taken = (np.corrcoef(swapped, of.mean((1, 2)))[0, 1] for of in (test, mates))
        found.append([model.history_[-1]["train"]["total"] / model.history_[0]["train"]["total"], kept, taken])
    total, kept, taken = np.median(found, axis=0)
    assert total < 0.6
    assert kept > 0.7
    assert taken < 0.4


def test_samples_of_both_codes_are_decoded_together() -> None:
    net = network()
    drawn = net.draw(batch(lengths=torch.tensor([6, 3, 1, 4])), torch.Generator().manual_seed(0))
    assert isinstance(drawn, Factors)
    assert net.decode(drawn)[1, 3:].abs().max() == 0
