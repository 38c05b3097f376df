from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import cross_entropy

from seqdis.errors import DataError, SettingsError
from seqdis.factors import Gaussian
from seqdis.hyperparameters import from_dict, to_dict, validate
from seqdis.methods import S3VAE
from seqdis.methods.s3vae import S3VAENetwork
from seqdis.nn import augment
from seqdis.nn.motion_labels import motion_labels
from seqdis.nn.network import Progress
from seqdis.sequences import Batch, DataSpec
from seqdis.training import Training

SPECS = {
    "series": DataSpec(kind="series", shape=(3,), length=12),
    "spectrogram": DataSpec(
        kind="spectrogram", shape=(5,), length=6, scale=(0.1, 1.0, 2.0, 0.5, 3.0), center=(0.0,) * 5
    ),
    "image": DataSpec(kind="image", shape=(1, 8, 8), length=6),
}
KINDS = list(SPECS)
ROWS = 5
SIGNALS = {"static_consistency", "dynamic_prediction", "mutual_information"}


def network(kind: str = "series", spread: float = 0.4, **more) -> S3VAENetwork:
    torch.manual_seed(1)
    sizes = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 6, "hidden_dim": 5, "filters": 2, "window": 3}
    net = S3VAE(**sizes | more).build(SPECS[kind]).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, spread)
    return net


def batch(kind: str = "series", n: int = ROWS, **more) -> Batch:
    spec, draw = SPECS[kind], torch.Generator().manual_seed(0)
    return Batch(x=torch.rand(n, spec.length, *spec.shape, generator=draw), **more)


def loss_of(net: S3VAENetwork, one: Batch, seed: int = 0):
    return net(one, Progress(generator=torch.Generator().manual_seed(seed)))


@pytest.fixture
def no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples are means, and another order is the reverse one."""
    monkeypatch.setattr(Gaussian, "sample", lambda self, generator=None: self.mean)
    monkeypatch.setattr(augment, "shuffled", lambda found, generator: type(found)(found.values.flip(1)))


# Settings


def test_published_settings_are_those_stated() -> None:
    stated = {"sprites": (256, 32, 12.5), "mug": (256, 64, 100 / 15), "timit": (256, 64, 5)}
    assert list(S3VAE.presets()) == ["paper"]
    assert list(S3VAE.presets()["paper"]) == list(stated)
    for name, expected in stated.items():
        given = S3VAE.published(name)
        validate(given)
        assert from_dict(S3VAE, to_dict(given)) == given
        assert (given.static_dim, given.dynamic_dim, given.prediction_weight) == pytest.approx(expected)
        assert (given.consistency_weight, given.mutual_weight, given.margin) == (1000, 1, 1)
        assert (given.reconstruction_weight, given.static_weight, given.dynamic_weight) == (0.5, 1, 1)
        assert (given.training.lr, given.training.batch_size, given.labels) == (1e-3, 16, "auto")
        assert (given.feature_dim, given.hidden_dim, given.filters, given.moving_cells) == (128, 256, 64, 3)


def test_a_single_element_is_refused() -> None:
    with pytest.raises(DataError, match=r"sequences of 4 step\(s\) make 1 of the windows of 4 steps"):
        S3VAE(window=4).build(DataSpec(kind="series", shape=(3,), length=4))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"margin": 0.0}, "margin"),
        ({"moving_cells": 10}, "moving_cells"),
        ({"silent_share": 1.0}, "silent_share"),
        ({"labels": "flow"}, "labels"),
        ({"distances": "cosine"}, "distances"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting: dict, expected: str) -> None:
    with pytest.raises(SettingsError, match=rf"S3VAE\.{expected}"):
        validate(S3VAE(**setting))


# The three signals


@pytest.mark.parametrize("kind", KINDS)
def test_static_codes_are_compared_with_the_reverse_and_another_sequence(
    kind: str, no_noise: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Samples beside the means: between samples, distances stay.
    monkeypatch.setattr(Gaussian, "sample", lambda self, generator=None: self.mean + 2)
    net, one = network(kind, spread=0.7, margin=0.3), batch(kind)
    one = Batch(x=3 * one.x - 1)  # so that sequences differ by more than the tolerance below
    with torch.no_grad():
        own = net.encode(one).static.mean
        # Of windows the elements are reversed, not their steps.
        steps = one.x.unflatten(1, (-1, net.stride)).flip(1).flatten(1, 2)
        reverse = net.encode(Batch(x=steps)).static.mean
    assert not torch.allclose(own, reverse, atol=1e-3)
    found = set()
    for seed in range(12):
        value = loss_of(net, one, seed).values["static_consistency"].item()
        expected = []
        for turn in range(1, ROWS):
            near = [math.dist(own[row].tolist(), reverse[row].tolist()) for row in range(ROWS)]
            far = [math.dist(own[row].tolist(), own[(row + turn) % ROWS].tolist()) for row in range(ROWS)]
            expected.append(np.mean([max(a - b + 0.3, 0.0) for a, b in zip(near, far, strict=True)]))
        matches = [turn for turn, each in enumerate(expected) if value == pytest.approx(each, abs=1e-5)]
        assert len(matches) == 1
        found.update(matches)
    assert len(found) > 1  # the other sequence is drawn


def test_samples_or_means_are_compared() -> None:
    one, values = batch(n=2), {}  # of two, the other sequence is no matter of chance
    for distances in ("samples", "means"):
        net = network(distances=distances, margin=5.0)
        values[distances] = loss_of(net, one).values["static_consistency"].item()
        with torch.no_grad():  # all certain: samples are means
            net.heads.static.logvar.weight.zero_()
            net.heads.static.logvar.bias.fill_(-60.0)
        values[f"{distances}, certain"] = loss_of(net, one).values["static_consistency"].item()
    assert values["means, certain"] == pytest.approx(values["means"])
    assert values["samples, certain"] == pytest.approx(values["means"], rel=1e-4)
    assert values["samples"] != pytest.approx(values["means"], rel=1e-3)


@pytest.mark.parametrize("ragged", [False, True])
def test_both_orders_in_one_call_are_two_calls(ragged: bool) -> None:
    net = network("spectrogram")
    lengths = torch.tensor([6, 2, 4, 1, 6]) if ragged else None
    elements = net.body.elements(batch("spectrogram", lengths=lengths))
    together, again = net._posterior(elements, torch.Generator().manual_seed(3))
    shuffled = augment.shuffled(elements, torch.Generator().manual_seed(3))
    apart, other = net.heads(elements), net.heads(shuffled)
    for moment in ("mean", "logvar"):
        torch.testing.assert_close(getattr(together.static, moment), getattr(apart.static, moment))
        torch.testing.assert_close(getattr(together.dynamic, moment), getattr(apart.dynamic, moment))
        torch.testing.assert_close(getattr(again, moment), getattr(other.static, moment))
    assert together.lengths is lengths


@pytest.mark.parametrize("kind", KINDS)
def test_dynamic_codes_are_asked_for_the_labels_of_their_elements(kind: str, no_noise: None) -> None:
    net, one = network(kind), batch(kind)
    scale = torch.tensor(SPECS[kind].scale)
    labels = motion_labels(one, kind, window=net.stride, scale=scale)
    told = net.predictor(net.encode(one).dynamic.mean)
    classes, total = labels.target.shape[-1], 0.0
    for row, element, question in np.argwhere(labels.known.numpy()):
        logits = told[row, element, question * classes : (question + 1) * classes]
        total += cross_entropy(logits, labels.target[row, element, question]).item()
    assert loss_of(net, one).values["dynamic_prediction"].item() == pytest.approx(total / ROWS, rel=1e-4)


def test_labels_follow_their_settings_and_the_units_of_the_data() -> None:
    """Loudness is that of the stored magnitudes, of which the network sees standardised ones."""
    one, image = batch("spectrogram"), batch("image")
    base = loss_of(network("spectrogram"), one).values["dynamic_prediction"]
    plain = network("spectrogram")
    plain.scale.fill_(1.0)
    assert loss_of(plain, one).values["dynamic_prediction"] != base
    assert loss_of(network("spectrogram", silent_share=0.8), one).values["dynamic_prediction"] != base
    cells = [loss_of(network("image", moving_cells=k), image).values["dynamic_prediction"] for k in (3, 1)]
    assert cells[0] != cells[1]


def test_the_bound_and_what_codes_share_are_the_plain_formulas(no_noise: None) -> None:
    net, one = network("spectrogram", spread=0.7), batch("spectrogram")
    for head in (net.heads.static, net.heads.dynamic):  # certain enough for codes to share something
        torch.nn.init.constant_(head.logvar.bias, -4.0)
    terms = loss_of(net, one).values
    with torch.no_grad():
        posterior = net.encode(one)
        static = Normal(posterior.static.mean, (0.5 * posterior.static.logvar).exp())
        dynamic = Normal(posterior.dynamic.mean, (0.5 * posterior.dynamic.logvar).exp())
        prior = net.dynamic_prior(posterior.dynamic.mean)
        kl = kl_divergence(dynamic, Normal(prior.mean, (0.5 * prior.logvar).exp())).sum() / ROWS
        error = (net.decode(posterior.mean()) - one.x).square().sum() / ROWS
        standard = kl_divergence(static, Normal(torch.zeros(3), torch.ones(3))).sum() / ROWS
        shared = 0.0
        for t in range(6):
            a = static.log_prob(static.mean[:, None]).sum(-1)
            steps = Normal(dynamic.mean[:, t], dynamic.stddev[:, t])
            b = steps.log_prob(steps.mean[:, None]).sum(-1)
            entropies = [-(each.exp().mean(1).log()).mean() for each in (a, b, a + b)]
            shared += (entropies[0] + entropies[1] - entropies[2]) / 6
    assert terms["reconstruction"].item() == pytest.approx(error.item(), rel=1e-4)
    assert terms["kl_static"].item() == pytest.approx(standard.item(), rel=1e-4)
    assert terms["kl_dynamic"].item() == pytest.approx(kl.item(), rel=1e-4)
    assert terms["mutual_information"].item() == pytest.approx(shared.item(), rel=1e-4)
    assert shared > 0.01


# Switches


def test_terms_have_their_weights() -> None:
    weights = dict(
        zip(("reconstruction", "static", "dynamic", "consistency", "prediction", "mutual"), range(2, 8), strict=True)
    )
    terms = loss_of(network(**{f"{name}_weight": float(value) for name, value in weights.items()}), batch())
    assert terms.weights == {
        "reconstruction": 2, "kl_static": 3, "kl_dynamic": 4,
        "static_consistency": 5, "dynamic_prediction": 6, "mutual_information": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "off"),
    [
        ({}, set()),
        ({"consistency_weight": 0.0}, {"static_consistency"}),
        ({"labels": "none"}, {"dynamic_prediction"}),
        ({"prediction_weight": 0.0}, {"dynamic_prediction"}),
        ({"mutual_weight": 0.0}, {"mutual_information"}),
        ({"consistency_weight": 0.0, "labels": "none", "mutual_weight": 0.0}, SIGNALS),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_signals_are_switched_apart(kind: str, more: dict, off: set[str]) -> None:
    net = network(kind, **more)
    terms = loss_of(net, batch(kind)).values
    assert set(terms) == {"reconstruction", "kl_static", "kl_dynamic"} | (SIGNALS - off)
    assert all(torch.isfinite(value) for value in terms.values())
    assert (net.predictor is None) == ("dynamic_prediction" in off)


# What each signal teaches


def test_gradients_go_where_they_should() -> None:
    def reached(term: str) -> set[str]:
        net = network()
        loss_of(net, batch()).values[term].backward()
        parts = {"body.encoder", "body.decoder", "dynamic_prior", "heads.static", "heads.dynamic", "predictor"}
        moved = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        return {part for part in parts if any(name.startswith(f"{part}.") for name in moved)}

    assert reached("static_consistency") == {"body.encoder", "heads.static"}
    assert reached("dynamic_prediction") == {"body.encoder", "heads.dynamic", "predictor"}
    assert reached("mutual_information") == {"body.encoder", "heads.static", "heads.dynamic"}


def test_all_three_codes_of_a_triplet_are_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    net, one = network(margin=20.0), batch()
    own, again = net._posterior(net.body.elements(one), torch.Generator().manual_seed(0))
    own.static.mean.retain_grad()
    again.mean.retain_grad()
    net._consistency(own.static.mean, own.static, again, torch.Generator().manual_seed(0)).backward()
    near = own.static.mean.grad + again.mean.grad
    assert again.mean.grad.abs().sum() > 0
    assert near.abs().sum() > 1e-3  # what is left of the pull is the push away from others
    torch.testing.assert_close(near.sum(0), torch.zeros(3), atol=1e-5, rtol=0)  # both sides of which are pushed


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_in_the_padding_changes_no_term(kind: str) -> None:
    lengths = torch.tensor([SPECS[kind].length] * 2 + [3, 6, 1])
    one = batch(kind, lengths=lengths)
    x = one.x.clone()
    x[~one.valid_steps()] = 7.0
    net = network(kind)
    before, after = loss_of(net, one).values, loss_of(net, Batch(x=x, lengths=lengths)).values
    assert set(before) > SIGNALS
    assert all(torch.allclose(value, after[name], atol=1e-5) for name, value in before.items())


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_behind_a_mask_asks_nothing(kind: str) -> None:
    one = batch(kind)
    mask = torch.ones(one.x.shape if kind == "series" else one.x.shape[:2], dtype=torch.bool)
    mask[0] = False
    net = network(kind)
    net.predictor.weight.data.zero_()
    net.predictor.bias.data.zero_()
    whole, other = (
        loss_of(net, one).values,
        loss_of(net, Batch(x=one.x * mask.view(*mask.shape, *[1] * (one.x.ndim - mask.ndim)), mask=mask)).values,
    )
    # Of a map that knows nothing the error is the number of questions times one logarithm.
    share = other["dynamic_prediction"] / whole["dynamic_prediction"]
    assert share.item() == pytest.approx(1 - 1 / ROWS, rel=1e-4)


def test_a_batch_of_one_has_no_other_sequence() -> None:
    net = network().train()
    terms = loss_of(net, batch(n=1))
    assert terms.values["static_consistency"] == 0
    terms.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


# Learning


def test_labels_teach_dynamic_codes_what_the_bound_leaves_to_none() -> None:
    """A level that stays, and moves without pattern: after so few epochs the bound alone has found the level only."""
    draw = np.random.default_rng(0)
    level, move = draw.normal(size=(128, 1, 1)), draw.normal(size=(128, 4, 1))
    move -= move.mean(1, keepdims=True)
    x = level + move.repeat(3, 1) * np.array([1, -1, 0.5]) + 0.1 * draw.normal(size=(128, 12, 3))
    sizes = {"static_dim": 4, "dynamic_dim": 2, "feature_dim": 32, "hidden_dim": 32, "window": 3}
    model = S3VAE(**sizes, training=Training(max_epochs=18, batch_size=16, lr=2e-2)).fit(x[:96])
    test, mates = x[96:], x[96:][::-1]
    swapped = model.swap(test, mates)
    kept = np.corrcoef(swapped.mean((1, 2)), test.mean((1, 2)))[0, 1]
    moves = [(each - each.mean(1, keepdims=True))[..., 0].ravel() for each in (swapped, mates)]
    first, last = model.history_[0]["train"], model.history_[-1]["train"]
    assert last["static_consistency"] < 0.9 * first["static_consistency"]
    assert last["dynamic_prediction"] < 0.3 * first["dynamic_prediction"]
    assert kept > 0.85
    assert np.corrcoef(*moves)[0, 1] > 0.6  # 0.0 with labels="none"
