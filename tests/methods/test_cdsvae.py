from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity, leaky_relu

from seqdis.errors import SettingsError
from seqdis.hyperparameters import from_dict, to_dict, validate
from seqdis.inputs import as_sequences
from seqdis.losses import mutual_information
from seqdis.methods import CDSVAE
from seqdis.methods.cdsvae import CDSVAENetwork
from seqdis.nn import augment, contrast
from seqdis.nn.network import Progress
from seqdis.sequences import Batch, DataSpec
from seqdis.training import Training

SPECS = {
    "series": DataSpec(kind="series", shape=(3,), length=12),
    "spectrogram": DataSpec(kind="spectrogram", shape=(5,), length=6),
    "image": DataSpec(kind="image", shape=(3, 8, 8), length=6),
}
ROWS = 5


def network(kind: str = "image", spread: float = 0.4, **more) -> CDSVAENetwork:
    torch.manual_seed(1)
    sizes = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 6, "hidden_dim": 5, "filters": 2, "window": 3}
    net = CDSVAE(**sizes | more).build(SPECS[kind]).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, spread)
    return net


def batch(kind: str = "image", n: int = ROWS, **more) -> Batch:
    spec, draw = SPECS[kind], torch.Generator().manual_seed(0)
    return Batch(x=torch.rand(n, spec.length, *spec.shape, generator=draw), **more)


def loss_of(net: CDSVAENetwork, one: Batch, seed: int = 0):
    return net(one, Progress(generator=torch.Generator().manual_seed(seed)))


def test_the_released_model_has_its_size() -> None:
    net = CDSVAE.published("sprites", "reference").build(DataSpec(kind="image", shape=(3, 64, 64), length=8))
    assert sum(parameter.numel() for parameter in net.parameters()) == 11_031_683


def test_published_settings_are_those_stated() -> None:
    videos = {"sprites": (256, 32, 128), "mug": (256, 64, 16), "letters": (256, 32, 64), "jester": (256, 64, 16)}
    sizes = videos | {"timit": (256, 64, 10)}
    for preset, names in {"paper": list(sizes), "reference": ["sprites"]}.items():
        assert list(CDSVAE.presets()[preset]) == names
        for name in names:
            given = CDSVAE.published(name, preset)
            validate(given)
            assert from_dict(CDSVAE, to_dict(given)) == given
            assert (given.static_dim, given.dynamic_dim, given.training.batch_size) == sizes[name]
            assert (given.content_weight, given.motion_weight, given.mutual_weight) == (10, 10, 1)
            assert (given.static_weight, given.dynamic_weight, given.temperature) == (1, 1, 0.5)
            assert (given.training.lr, given.training.max_epochs, given.variant) == (1e-3, 100, preset)


def test_contrast_is_the_loop_over_both_codes_of_all_sequences() -> None:
    draw = torch.Generator().manual_seed(0)
    one, other = torch.randn(ROWS, 3, generator=draw), torch.randn(ROWS, 3, generator=draw)
    codes, total = torch.cat([one, other]), 0.0
    for row in range(2 * ROWS):
        alike = [math.exp(float(cosine_similarity(codes[row], each, dim=0)) / 0.3) for each in codes]
        total -= math.log(alike[(row + ROWS) % (2 * ROWS)] / (sum(alike) - alike[row]))
    assert contrast.nt_xent(one, other, 0.3).item() == pytest.approx(total / (2 * ROWS), rel=1e-5)
    assert contrast.nt_xent(one[:1], other[:1], 0.3).item() == 0  # nothing to be told apart from


@pytest.mark.parametrize("variant", ["paper", "reference"])
def test_terms_compare_the_means_of_a_sequence_and_of_its_views(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With views that are fixed: frames backwards, and the negative of the colours."""
    monkeypatch.setattr(augment, "shuffled", lambda found, generator: type(found)(found.values.flip(1)))
    monkeypatch.setattr(augment, "distorted", lambda x, generator: 1 - x)
    net, one = network(variant=variant, temperature=0.7), batch()
    terms, own = loss_of(net, one), net.encode(one)
    backwards, negative = net.encode(Batch(x=one.x.flip(1))), net.encode(Batch(x=1 - one.x))
    static = contrast.nt_xent(own.static.mean, backwards.static.mean, 0.7)
    dynamic = contrast.nt_xent(own.dynamic.mean.flatten(1), negative.dynamic.mean.flatten(1), 0.7)
    assert terms.values["contrast_static"].item() == pytest.approx(static.item(), rel=1e-4)
    assert terms.values["contrast_dynamic"].item() == pytest.approx(dynamic.item(), rel=1e-4)
    assert static.item() != pytest.approx(dynamic.item(), rel=1e-3)


def test_the_released_variant_rectifies_the_static_posterior_and_clips_what_codes_share() -> None:
    one = batch("spectrogram")
    right, released = (network("spectrogram", variant=variant) for variant in ("paper", "reference"))
    plain, leaky = right.encode(one), released.encode(one)
    for moment in ("mean", "logvar"):
        assert torch.equal(leaky_relu(getattr(plain.static, moment), 0.2), getattr(leaky.static, moment))
        assert torch.equal(getattr(plain.dynamic, moment), getattr(leaky.dynamic, moment))
    for net, posterior, population in ((right, plain, None), (released, leaky, 9000)):
        codes = posterior.sample(torch.Generator().manual_seed(0))
        expected = mutual_information(
            codes.static, posterior.static, codes.dynamic, posterior.dynamic, None, population
        )
        assert loss_of(net, one).values["mutual_information"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "more", "views"),
    [
        ("image", {}, {"contrast_static", "contrast_dynamic"}),
        ("spectrogram", {}, {"contrast_static"}),
        ("series", {}, set()),
        ("series", {"content_view": "shuffle"}, {"contrast_static"}),
        ("image", {"content_view": "none"}, {"contrast_dynamic"}),
        ("image", {"motion_view": "none"}, {"contrast_static"}),
        ("image", {"content_weight": 0.0, "motion_weight": 0.0}, set()),
    ],
)
def test_codes_are_contrasted_where_there_is_a_view(kind: str, more: dict, views: set[str]) -> None:
    terms = loss_of(network(kind, **more), batch(kind)).values
    assert {name for name in terms if "contrast" in name} == views
    assert all(torch.isfinite(value) for value in terms.values())


def test_other_colours_of_what_has_none_are_refused() -> None:
    with pytest.raises(SettingsError, match="motion_view = 'colours': these data are a series; use 'auto' or 'none'"):
        network("series", motion_view="colours")


def test_terms_have_their_weights() -> None:
    weights = {"static": 0.3, "dynamic": 0.5, "content": 0.7, "motion": 0.9, "mutual": 1.1}
    terms = loss_of(network(**{f"{name}_weight": value for name, value in weights.items()}), batch())
    assert terms.weights == {
        "reconstruction": 1.0, "kl_static": 0.3, "kl_dynamic": 0.5, "mutual_information": 1.1,
        "contrast_static": 0.7, "contrast_dynamic": 0.9,
    }  # fmt: skip


def running(net: CDSVAENetwork) -> list[torch.Tensor]:
    return [buffer.clone() for name, buffer in net.named_buffers() if "running" in name]


def test_views_leave_the_running_statistics_alone_unless_as_released() -> None:
    moved = {}
    for name, more in {"none": {"motion_view": "none"}, "paper": {}, "reference": {"variant": "reference"}}.items():
        net = network(**more).train()
        loss_of(net, batch())
        moved[name] = running(net)
    assert all(torch.equal(a, b) for a, b in zip(moved["none"], moved["paper"], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(moved["none"], moved["reference"], strict=True))


@pytest.mark.parametrize("kind", list(SPECS))
def test_what_lies_in_the_padding_changes_no_term(kind: str) -> None:
    lengths = torch.tensor([SPECS[kind].length] * 2 + [3, 6, 1])
    one = batch(kind, lengths=lengths)
    x = one.x.clone()
    x[~one.valid_steps()] = 0.7
    net = network(kind)
    before, after = loss_of(net, one).values, loss_of(net, Batch(x=x, lengths=lengths)).values
    assert all(torch.allclose(value, after[name], atol=1e-5) for name, value in before.items())


def test_a_batch_of_one_has_nothing_to_contrast() -> None:
    terms = loss_of(network(), batch(n=1)).values
    assert terms["contrast_static"] == terms["contrast_dynamic"] == 0


def test_it_learns_what_stays() -> None:
    """Tones that stay, and a louder one that wanders: swaps take each from its own donor."""
    draw = np.random.default_rng(0)
    shape = draw.uniform(size=(160, 1, 6))
    place = draw.integers(0, 6, size=(160, 8))
    x = (0.5 * shape + 0.5 * np.eye(6)[place]).astype(np.float32)
    sizes = {"static_dim": 6, "dynamic_dim": 3, "feature_dim": 16, "hidden_dim": 16}
    weights = {"static_weight": 0.05, "dynamic_weight": 0.05, "content_weight": 0.5, "mutual_weight": 0.1}
    model = CDSVAE(**sizes, **weights, training=Training(max_epochs=12, batch_size=16, lr=1e-2))
    model.fit(as_sequences(x[:128], kind="spectrogram"))
    stays, moves = 0.5 * shape[128:], 0.5 * np.eye(6)[place[128:]]
    swapped = model.swap(*(as_sequences(part.copy(), kind="spectrogram") for part in (x[128:], x[128:][::-1])))
    right, wrong = (np.square(swapped - true).mean() for true in (stays + moves[::-1], stays[::-1] + moves))
    first, last = model.history_[0]["train"], model.history_[-1]["train"]
    assert right < 0.5 * wrong
    assert last["contrast_static"] < 0.9 * first["contrast_static"]
