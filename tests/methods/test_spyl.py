from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import cosine_similarity

from seqdis.errors import DataError, SettingsError
from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.hyperparameters import from_dict, to_dict, validate
from seqdis.losses import mutual_information
from seqdis.methods import SPYL
from seqdis.methods.spyl import PAPER, REFERENCE, SPYLNetwork
from seqdis.nn import contrast
from seqdis.nn.network import Progress
from seqdis.sequences import Batch, DataSpec
from seqdis.training import Training

SPECS = {
    "series": DataSpec(kind="series", shape=(3,), length=12),
    "spectrogram": DataSpec(kind="spectrogram", shape=(5,), length=6),
    "image": DataSpec(kind="image", shape=(1, 8, 8), length=6),
}
KINDS = list(SPECS)
ROWS = 6


def network(kind: str = "series", spread: float = 0.3, **more) -> SPYLNetwork:
    torch.manual_seed(1)
    sizes = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 6, "hidden_dim": 5, "filters": 2, "window": 3}
    net = SPYL(**sizes | more).build(SPECS[kind]).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, spread)
    return net


def batch(kind: str = "series", n: int = ROWS, **more) -> Batch:
    spec, draw = SPECS[kind], torch.Generator().manual_seed(0)
    return Batch(x=torch.rand(n, spec.length, *spec.shape, generator=draw), **more)


def loss_of(net: SPYLNetwork, one: Batch, seed: int = 0, epoch: int = 0):
    return net(one, Progress(epoch=epoch, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture
def no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples are means, static codes of the prior zero, and draws from pools go through them in order."""
    monkeypatch.setattr(Gaussian, "sample", lambda self, generator=None: self.mean)
    in_order = torch.zeros

    def prior(self, n, length, generator=None, *, mean=False) -> Factors:
        return Factors(in_order(n, 3), self.dynamic_prior.rollout(n, length, generator, mean=mean))

    def pick(pool, count, generator=None):
        return pool[:, torch.arange(count) % pool.shape[1]]

    monkeypatch.setattr(SPYLNetwork, "prior", prior)
    monkeypatch.setattr(contrast, "pick", pick)


# Size and settings


def test_the_released_model_has_its_size() -> None:
    net = SPYL.published("sprites", "reference").build(DataSpec(kind="image", shape=(3, 64, 64), length=8))
    assert sum(parameter.numel() for parameter in net.parameters()) == 11_031_683


@pytest.mark.parametrize("preset", ["paper", "reference"])
def test_published_settings_are_valid(preset: str) -> None:
    for name in {"paper": PAPER, "reference": REFERENCE}[preset]:
        method = SPYL.published(name, preset)
        validate(method)
        assert from_dict(SPYL, to_dict(method)) == method


TABLE_6 = {  # lambda 1 to 5, sizes of both codes, batch, learning rate
    "sprites": ([10, 5, 1, 5, 1], 256, 32, 100, 2e-3),
    "mug": ([5, 9, 1, 0.5, 2.5], 256, 64, 16, 1.5e-3),
    "letters": ([2.5, 1, 1, 5, 5], 256, 32, 64, 2e-3),
    "jester": ([5, 1, 1, 1, 1], 256, 64, 16, 1e-3),
    "timit": ([5, 1, 1, 0.5, 1], 256, 64, 10, 1e-3),
    "mortality": ([2.5, 7, 1, 0.1, 2.5], 12, 4, 10, 1e-3),
    "air-quality": ([2.5, 5, 1, 0.1, 2.5], 12, 4, 10, 1e-3),
}


def test_published_settings_are_the_papers() -> None:
    assert set(TABLE_6) == set(PAPER)
    names = ("reconstruction", "static", "dynamic", "contrast", "mutual")
    for name, expected in TABLE_6.items():
        given, weights = SPYL.published(name), [getattr(SPYL.published(name), f"{term}_weight") for term in names]
        found = (weights, given.static_dim, given.dynamic_dim, given.training.batch_size, given.training.lr)
        assert found == expected, name
    released = SPYL.published("sprites", "reference")
    assert (released.variant, released.warm_up, released.training.max_epochs) == ("reference", 50, 1000)


@pytest.mark.parametrize(
    ("name", "kind", "width"),
    [("mortality", "series", 10), ("air-quality", "series", 10), ("timit", "spectrogram", 201)],
)
def test_where_no_batch_norm_rescales_codes_tell_sequences_apart_from_the_start(name, kind, width) -> None:
    """Weights as small as those released for video would leave series, which no batch norm rescales, all alike."""
    method = SPYL.published(name)
    spec = DataSpec(kind=kind, shape=(width,), length=2 * method.window if kind == "series" else 8)
    x = torch.randn(8, spec.length, width, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    with torch.no_grad():
        means = method.build(spec).encode(Batch(x=x)).static.mean
    assert means.std(0).max() > 2e-3  # 1e-7 from those small weights, of spectrograms 7e-4


def test_a_single_element_is_refused() -> None:
    with pytest.raises(DataError, match=r"sequences of 4 step\(s\) make 1 of the windows of 4 steps"):
        SPYL(window=4).build(DataSpec(kind="series", shape=(3,), length=4))


def test_unknown_and_impossible_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"'sprite'\. Did you mean 'sprites'"):
        SPYL.published("sprite")
    with pytest.raises(SettingsError, match="unknown preset 'released'"):
        SPYL.published("sprites", "released")
    with pytest.raises(SettingsError, match="use variant='paper'"):
        network(variant="reference", views="reparameterised")


# Algorithm 1


def algorithm_1(net: SPYLNetwork, one: Batch, part: str, negatives: slice) -> float:
    """The loop of the paper, without noise: which view is drawn is fixed, so that each is a function of its row."""
    with torch.no_grad():
        posterior = net.encode(one)
        q, n = getattr(posterior, part), len(one)
        normals = [Normal(q.mean[row], torch.exp(0.5 * q.logvar[row])) for row in range(n)]
        arbitrary = net.prior(1, posterior.dynamic.mean.shape[1])

        def view(row: int) -> torch.Tensor:
            own = q.mean[row : row + 1]
            codes = Factors(own, arbitrary.dynamic) if part == "static" else Factors(arbitrary.static, own)
            again = net.encode(Batch(x=net.decode(codes)))
            return getattr(again, part).mean.flatten()

        total = 0.0
        for row in range(n):
            distance = [float(kl_divergence(normals[row], other).sum()) for other in normals]
            order = np.argsort(distance)
            farther, anchor = order[negatives], q.mean[row].flatten()
            alike = torch.exp(cosine_similarity(anchor, view(order[0]), dim=0) / 0.5)
            unlike = sum(
                torch.exp(cosine_similarity(anchor, view(farther[j % len(farther)]), dim=0) / 0.5) for j in range(2 * n)
            )
            total -= float(torch.log(alike / (alike + unlike)))
        return total / n


THIRDS = {"farthest": slice(4, 6), "middle": slice(2, 4), "middle+farthest": slice(2, 6)}


@pytest.mark.parametrize("draws", [0, 2])
@pytest.mark.parametrize("negatives", list(THIRDS))
def test_all_rows_at_once_are_the_loop_of_algorithm_1(negatives: str, draws: int, no_noise: None) -> None:
    # Weights and inputs this large let views differ by more than the tolerance below.
    net = network("spectrogram", spread=0.7, negatives=negatives, draws=draws)
    one = Batch(x=4 * batch("spectrogram").x - 2)
    terms = loss_of(net, one).values
    for part in ("static", "dynamic"):
        expected = algorithm_1(net, one, part, THIRDS[negatives])
        assert terms[f"contrast_{part}"].item() == pytest.approx(expected, rel=1e-4)
        for other in set(THIRDS) - {negatives}:
            assert algorithm_1(net, one, part, THIRDS[other]) != pytest.approx(expected, rel=2e-4)


def test_reparameterised_views_are_the_posteriors_own(no_noise: None) -> None:
    net, one = network(views="reparameterised", draws=0), batch()
    posterior = net.encode(one)
    codes = posterior.static.mean
    terms = loss_of(net, one).values
    net.decode = lambda factors: pytest.fail("reparameterised views were decoded")
    assert torch.equal(loss_of(net, one).values["contrast_static"], terms["contrast_static"])
    found = contrast.views(net, "static", posterior, torch.arange(ROWS), predictive=False)
    assert torch.equal(found, codes)


def test_no_gradient_flows_through_negatives(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = contrast.info_nce

    def watch(anchor, positive, negative, *more):
        seen.append((anchor.requires_grad, positive.requires_grad, negative.requires_grad))
        return real(anchor, positive, negative, *more)

    monkeypatch.setattr(contrast, "info_nce", watch)
    loss_of(network(), batch())
    loss_of(network(variant="reference"), batch())
    assert seen == [(True, True, False)] * 4


# The released variant


def test_released_views_are_own_means_against_a_bank_from_the_prior(no_noise: None) -> None:
    """Without noise the bank is one sequence, 4n times: 2n equal negatives."""
    net, one = network(variant="reference"), batch()
    with torch.no_grad():
        posterior, drawn = net.encode(one), net.prior(ROWS, 4, mean=True)
        bank = net.encode(Batch(x=net.decode(net.prior(1, 4, mean=True))))
        views = {
            "static": net.encode(Batch(x=net.decode(Factors(posterior.static.mean, drawn.dynamic)))),
            "dynamic": net.encode(Batch(x=net.decode(Factors(drawn.static, posterior.dynamic.mean)))),
        }
        for part, average in (("static", lambda code: code), ("dynamic", lambda code: code.mean(1))):
            own, view, other = (average(getattr(p, part).mean) for p in (posterior, views[part], bank))
            alike = torch.exp(2 * cosine_similarity(own, view))
            expected = -torch.log(alike / (alike + 2 * ROWS * torch.exp(2 * cosine_similarity(own, other)))).mean()
            assert loss_of(net, one).values[f"contrast_{part}"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_released_density_takes_the_variance_for_the_scale() -> None:
    one = batch()
    right, released = (network(variant=variant) for variant in ("paper", "reference"))
    posterior = right.encode(one)
    codes = posterior.sample(torch.Generator().manual_seed(0))
    wrong = [Gaussian(q.mean, 2 * q.logvar) for q in (posterior.static, posterior.dynamic)]
    expected = mutual_information(codes.static, wrong[0], codes.dynamic, wrong[1])
    with_log = loss_of(released, one).values["mutual_information"]
    assert with_log.item() == pytest.approx(expected.item() + math.log(9000), rel=1e-5)
    assert loss_of(right, one).values["mutual_information"] != expected


def test_contrast_sets_in_after_the_warm_up() -> None:
    net = network(warm_up=3)
    assert "contrast_static" not in loss_of(net, batch(), epoch=2).values
    assert "contrast_static" in loss_of(net, batch(), epoch=3).values


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_terms_have_their_weights(kind: str, variant: str) -> None:
    weights = {"reconstruction": 2.0, "static": 0.3, "dynamic": 0.5, "contrast": 0.7, "mutual": 0.9}
    net = network(kind, variant=variant, **{f"{name}_weight": value for name, value in weights.items()})
    terms = loss_of(net, batch(kind))
    assert terms.weights == {
        "reconstruction": 2.0, "kl_static": 0.3, "kl_dynamic": 0.5, "mutual_information": 0.9,
        "contrast_static": 0.7, "contrast_dynamic": 0.7,
    }  # fmt: skip
    assert all(torch.isfinite(value) for value in terms.values.values())


# What views must not touch


def running(net: SPYLNetwork) -> list[torch.Tensor]:
    return [buffer.clone() for name, buffer in net.named_buffers() if "running" in name]


def test_views_leave_the_running_statistics_alone_unless_as_released() -> None:
    moved = {}
    for name, more in {"none": {"contrast_weight": 0.0}, "paper": {}, "reference": {"variant": "reference"}}.items():
        net = network("image", **more).train()
        loss_of(net, batch("image"))
        moved[name] = running(net)
    assert all(torch.equal(a, b) for a, b in zip(moved["none"], moved["paper"], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(moved["none"], moved["reference"], strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_what_lies_in_the_padding_changes_no_term(kind: str, variant: str) -> None:
    lengths = torch.tensor([SPECS[kind].length] * 3 + [3, 6, 1])
    one = batch(kind, lengths=lengths)
    x = one.x.clone()
    x[~one.valid_steps()] = 7.0
    net = network(kind, variant=variant)
    before, after = loss_of(net, one).values, loss_of(net, Batch(x=x, lengths=lengths)).values
    assert all(torch.allclose(value, after[name], atol=1e-5) for name, value in before.items())


def test_a_batch_of_one_has_nothing_to_contrast() -> None:
    terms = loss_of(network(), batch(n=1)).values
    assert terms["contrast_static"] == terms["contrast_dynamic"] == 0
    assert terms["mutual_information"].item() == pytest.approx(0, abs=1e-6)


def test_posteriors_see_the_whole_sequence_and_the_decoder_one_element() -> None:
    net, one = network("spectrogram"), batch("spectrogram")
    x = one.x.clone()
    x[:, 3] += 1
    before, after = net.encode(one), net.encode(Batch(x=x))
    assert ((before.dynamic.mean - after.dynamic.mean).abs().amax(-1) > 1e-6).all()
    codes = Posterior.mean(before)
    dynamic = codes.dynamic.clone()
    dynamic[:, 3] += 1
    moved = (net.decode(codes) - net.decode(Factors(codes.static, dynamic))).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [False, False, False, True, False, False]


# Learning


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_it_learns_what_stays(variant: str) -> None:
    draw = np.random.default_rng(0)
    level, phase = draw.normal(size=(160, 1, 1)), draw.uniform(0, 2 * np.pi, size=(160, 1, 1))
    wave = np.sin(np.arange(12)[:, None] / 2 + phase + np.arange(3))
    x = (level + 0.5 * wave + 0.05 * draw.normal(size=(160, 12, 3))).astype(np.float32)
    sizes = {"static_dim": 4, "dynamic_dim": 2, "feature_dim": 16, "hidden_dim": 16, "window": 3, "static_weight": 1.0}
    test, mates = x[128:], x[128:][::-1]
    found = []
    for seed in range(3):  # one start in a dozen ends with codes exchanged, and which one differs between processors
        training = Training(max_epochs=18, batch_size=16, lr=1e-2, seed=seed)
        model = SPYL(**sizes, variant=variant, training=training).fit(x[:128])
        first, last = model.history_[0]["train"], model.history_[-1]["train"]
        swapped = model.swap(test, mates).mean((1, 2))
        kept, taken = (np.corrcoef(swapped, of.mean((1, 2)))[0, 1] for of in (test, mates))
        found.append([last["total"] / first["total"], last["contrast_static"] / first["contrast_static"], kept, taken])
    total, contrast, kept, taken = np.median(found, axis=0)
    assert total < 0.5
    assert contrast < 0.8
    assert kept > 0.75
    assert taken < 0.4
