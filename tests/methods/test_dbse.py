from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from seqdis.errors import DataError, SettingsError
from seqdis.evaluation.published import published
from seqdis.factors import Gaussian
from seqdis.hyperparameters import from_dict, signature, to_dict, validate
from seqdis.inputs import as_sequences
from seqdis.losses import kl_gaussian
from seqdis.methods import DBSE, dbse
from seqdis.methods.dbse import PAPER, REFERENCE, DBSENetwork
from seqdis.nn.network import Progress
from seqdis.sequences import Batch, DataSpec
from seqdis.testing import check_method
from seqdis.training import Training

SPECS = {
    "series": DataSpec(kind="series", shape=(3,), length=12),
    "spectrogram": DataSpec(kind="spectrogram", shape=(5,), length=6),
    "image": DataSpec(kind="image", shape=(1, 8, 8), length=6),
}
WINDOW = {"series": 3, "spectrogram": 1, "image": 1}
KINDS = list(SPECS)


def small(**more) -> DBSE:
    sizes = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 6, "hidden_dim": 5, "filters": 2, "window": 3}
    return DBSE(**sizes | more)


def network(kind: str, **more) -> DBSENetwork:
    torch.manual_seed(1)
    net = small(**more).build(SPECS[kind]).eval()
    for parameter in net.parameters():  # video weights start at 0.01, where every code is nearly zero
        torch.nn.init.normal_(parameter, 0, 0.3)
    return net


def batch(kind: str, seed: int = 0, **more) -> Batch:
    spec, draw = SPECS[kind], torch.Generator().manual_seed(seed)
    return Batch(x=torch.rand(2, spec.length, *spec.shape, generator=draw), **more)


def moved(net: DBSENetwork, one: Batch, element: int) -> tuple[list[bool], list[list[bool]]]:
    """Which static codes, and which dynamic ones, move when one element of every sequence changes."""
    step = net.stride
    x = one.x.clone()
    x[:, element * step : (element + 1) * step] = 1 - x[:, element * step : (element + 1) * step]
    other = Batch(x=x, mask=one.mask, lengths=one.lengths)
    with torch.no_grad():
        before, after = net.encode(one).mean(), net.encode(other).mean()
    static = (before.static - after.static).abs().amax(-1) > 1e-6
    dynamic = (before.dynamic - after.dynamic).abs().amax(-1) > 1e-6
    return static.tolist(), dynamic.tolist()


def loss_of(net: DBSENetwork, one: Batch, seed: int = 0, epoch: int = 0):
    with torch.no_grad():
        return net(one, Progress(epoch=epoch, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture
def no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Posterior samples are their means."""
    monkeypatch.setattr(Gaussian, "sample", lambda self, generator=None: self.mean)


# Size


@pytest.mark.parametrize(
    ("name", "spec", "parameters"),
    [
        ("sprites", DataSpec(kind="image", shape=(3, 64, 64), length=8), 14_900_163),
        ("mug", DataSpec(kind="image", shape=(3, 64, 64), length=15), 8_784_515),
        ("mortality", DataSpec(kind="series", shape=(10,), length=80), 88_548),
        ("icu-unit", DataSpec(kind="series", shape=(10,), length=80), 88_548),
        ("air-quality", DataSpec(kind="series", shape=(10,), length=672), 88_548),
        ("etth1", DataSpec(kind="series", shape=(6,), length=672), 88_156),
        ("timit", DataSpec(kind="spectrogram", shape=(201,), length=20), 3_045_169),
    ],
)
def test_released_models_have_their_size(name: str, spec: DataSpec, parameters: int) -> None:
    net = DBSE.published(name, "reference").build(spec)
    assert sum(p.numel() for p in net.parameters()) == parameters


# The anchor


ANCHORS = [
    *[("first", [0, 0]), ("middle", [2, 1]), ("last", [3, 1]), ("random_per_batch", [0, 0])],
    *[(0, [0, 0]), (1, [1, 1]), (3, [3, 1])],
]


@pytest.mark.parametrize(("anchor", "expected"), ANCHORS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_static_code_sees_the_anchor_alone(kind: str, anchor, expected: list[int]) -> None:
    net, step = network(kind, anchor=anchor), WINDOW[kind]
    spec = SPECS[kind]
    one = Batch(x=batch(kind).x[:, : 4 * step], lengths=torch.tensor([4 * step, 2 * step]))
    assert spec.length // step >= 4
    seen = [[row for row in range(2) if moved(net, one, element)[0][row]] for element in range(4)]
    assert seen == [[row for row in range(2) if expected[row] == element] for element in range(4)]


def test_a_random_anchor_is_fixed_by_the_seed() -> None:
    def anchor(seed: int) -> int:
        net = network("image", anchor="random_per_run", training=Training(seed=seed))
        (element,) = [element for element in range(6) if any(moved(net, batch("image"), element)[0])]
        return element

    drawn = [anchor(seed) for seed in range(30)]
    assert drawn == [anchor(seed) for seed in range(30)]
    assert set(drawn) == set(range(6))


def test_a_missing_anchor_frame_gives_way_to_the_nearest_observed_one() -> None:
    whole = batch("image")
    mask = torch.ones(whole.x.shape[:2], dtype=torch.bool)
    mask[0, :2] = False
    net = network("image", anchor="first")
    gaps = Batch(x=torch.where(mask[:, :, None, None, None], whole.x, 0.0), mask=mask)
    seen = [[row for row in range(2) if moved(net, gaps, element)[0][row]] for element in range(2, 4)]
    assert seen == [[0], []]


@pytest.mark.parametrize("kind", KINDS)
def test_a_random_anchor_per_batch_reaches_every_element_in_training(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[list[int]] = []
    errors = "series_errors" if kind == "series" else "frame_errors"
    real: Callable = getattr(dbse, errors)
    monkeypatch.setattr(
        dbse, errors, lambda o, b, index, *more: taken.append(index.tolist()) or real(o, b, index, *more)
    )
    net = network(kind, anchor="random_per_batch")
    for seed in range(40):
        loss_of(net, batch(kind), seed)
    assert {index[0] for index in taken} == set(range(net.elements))
    assert all(len(set(index)) == 1 for index in taken)
    loss_of(net, batch(kind), 3)
    assert taken[-1] == taken[3]
    short = batch(kind, lengths=torch.tensor([SPECS[kind].length, 1]))
    for seed in range(5):
        loss_of(net, short, seed)
    assert all(index[1] == 0 for index in taken[-5:])


@pytest.mark.parametrize("kind", KINDS)
def test_without_subtraction_the_anchor_reaches_no_dynamic_code(kind: str) -> None:
    static, dynamic = moved(network(kind, anchor=1, subtract=False), batch(kind), 1)
    assert static == [True, True]
    assert not np.any(dynamic)
    static, dynamic = moved(network(kind, anchor=1), batch(kind), 1)
    assert static == [True, True]
    assert np.all(np.delete(dynamic, 1, axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_subtraction_removes_what_all_elements_share(kind: str) -> None:
    changes = {}
    for subtract in (True, False):
        net = network(kind, subtract=subtract)
        codes = []
        for offset in (0.0, 0.7):
            shifted = net.body.encoder.register_forward_hook(lambda *call, offset=offset: call[-1] + offset)
            with torch.no_grad():
                codes.append(net.encode(batch(kind)).mean())
            shifted.remove()
        changes[subtract] = (codes[0].dynamic - codes[1].dynamic).abs().max().item()
        assert not torch.allclose(codes[0].static, codes[1].static)
    assert changes[True] < 1e-6 < 1e-3 < changes[False]


def test_windows_subtract_step_by_step() -> None:
    net = network("series", anchor=1)
    features = net.body.features(batch("series"))
    _, rest = net._split(features, torch.tensor([1, 1]))
    values = features.values
    assert torch.equal(rest.values[:, 0, 2], values[:, 0, 2] - values[:, 1, 2])


def test_the_recurrent_spectrogram_encoder_leaks_every_frame_into_the_static_code() -> None:
    net = network("spectrogram", spectrogram_encoder="recurrent")
    assert all(moved(net, batch("spectrogram"), element)[0] == [True, True] for element in range(6))


@pytest.mark.parametrize("kind", ["image", "spectrogram"])
def test_causal_codes_see_no_later_frame(kind: str) -> None:
    _, causal = moved(network(kind, causal=True), batch(kind), 3)
    assert causal == [[False] * 3 + [True] * 3] * 2
    _, both = moved(network(kind), batch(kind), 3)
    assert both == [[True] * 6] * 2


# The loss


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_has_four_weighted_terms(kind: str) -> None:
    weights = {"sequence_weight": 2.0, "anchor_weight": 0.3, "static_weight": 0.5, "dynamic_weight": 0.7}
    terms = loss_of(network(kind, **weights), batch(kind))
    assert list(terms.values) == ["reconstruction", "reconstruction_anchor", "kl_static", "kl_dynamic"]
    assert list(terms.weights.values()) == [2.0, 0.3, 0.5, 0.7]
    assert all(value > 0 for value in terms.values.values())
    expected = sum(terms.weights[name] * value.item() for name, value in terms.values.items())
    assert terms.total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_ablation_without_anchor_loss_drops_that_term_alone(kind: str) -> None:
    full, ablated = loss_of(network(kind), batch(kind)), loss_of(network(kind, anchor_loss=False), batch(kind))
    assert set(full.values) - set(ablated.values) == {"reconstruction_anchor"}
    assert all(torch.equal(value, full.values[name]) for name, value in ablated.values.items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_follows_its_generator_and_a_batch_is_the_mean_of_its_sequences(kind: str, no_noise: None) -> None:
    net, one = network(kind, anchor_fill="zeros"), batch(kind)
    alone = [loss_of(net, Batch(x=one.x[row : row + 1])).total.item() for row in range(2)]
    assert loss_of(net, one).total.item() == pytest.approx(np.mean(alone), rel=1e-5)
    noisy = network(kind)
    assert loss_of(noisy, one, 1).total == loss_of(noisy, one, 1).total
    assert loss_of(noisy, one, 1).total != loss_of(noisy, one, 2).total


def test_both_kl_weights_cycle() -> None:
    net = network("image", kl_cycle=100, static_weight=0.4, dynamic_weight=0.8)
    for epoch, share in ((0, 0.0), (25, 0.5), (50, 1.0), (99, 1.0), (100, 0.0)):
        weights = loss_of(net, batch("image"), epoch=epoch).weights
        assert (weights["kl_static"], weights["kl_dynamic"]) == (pytest.approx(0.4 * share), pytest.approx(0.8 * share))
        assert weights["reconstruction"] == 1.0


def test_weights_pass_into_the_late_ones() -> None:
    net = network("image", static_weight=2.0, dynamic_weight=0.1, late_weights=(0.02, 1.0))
    for epoch, static, dynamic in ((0, 2.0, 0.1), (12, 2.0, 0.1), (25, 0.02, 1.0), (99, 0.02, 1.0)):
        terms = net(batch("image"), Progress(epoch=epoch, epochs=100, generator=torch.Generator().manual_seed(0)))
        assert terms.weights["kl_static"] == pytest.approx(static)
        assert terms.weights["kl_dynamic"] == pytest.approx(dynamic)
    with pytest.raises(SettingsError, match=r"late_weights = \(0.1, 0.0\): expected two weights above 0"):
        network("image", late_weights=(0.1, 0.0))


def test_the_paper_splits_frames_and_the_released_code_counts_the_anchor_twice(no_noise: None) -> None:
    split = loss_of(network("image", anchor=2), batch("image")).values
    twice = loss_of(network("image", anchor=2, anchor_twice=True), batch("image")).values
    assert split["reconstruction_anchor"] == twice["reconstruction_anchor"]
    assert twice["reconstruction"].item() == pytest.approx(
        (split["reconstruction"] + split["reconstruction_anchor"]).item(), rel=1e-5
    )


def test_the_released_spectrogram_anchor_is_the_whole_segment_without_dynamics(no_noise: None) -> None:
    net, one = network("spectrogram", loss="reference", anchor_fill="zeros"), batch("spectrogram")
    with torch.no_grad():
        static = net.encode(one).mean().static
        still = net.body.observe(torch.cat([torch.zeros(2, 6, 2), static[:, None].expand(-1, 6, -1)], dim=-1)).mean
    expected = (still - one.x).square().sum((1, 2)).mean()
    assert loss_of(net, one).values["reconstruction_anchor"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("kind", ["image", "series", "spectrogram"])
def test_a_draw_fills_the_slot_of_the_anchor_as_training_does(no_noise: None, kind: str) -> None:
    one, draws = batch(kind), {}
    for fill in ("noise", "zeros"):
        net = network(kind, anchor_fill=fill, copies=3 if kind == "series" else 1).eval()
        with torch.no_grad():
            means = net.encode(one).mean()
            draws[fill] = [net.draw(one, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    for drawn in draws["zeros"]:
        torch.testing.assert_close((drawn.static, drawn.dynamic), (means.static, means.dynamic))
    first, again, other = draws["noise"]
    assert torch.equal(first.dynamic, again.dynamic)
    assert (first.dynamic[:, 0] - other.dynamic[:, 0]).abs().min() > 0
    assert torch.equal(first.static, other.static)


# Monte-Carlo copies


def posterior_of(net: DBSENetwork, one: Batch, index: list[int], seed: int = 0):
    with torch.no_grad():
        return net._posterior(net.body.features(one), torch.tensor(index), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("masked", [False, True])
def test_copies_differ_in_the_slot_of_the_anchor_alone(masked: bool) -> None:
    one = batch("series", lengths=torch.tensor([12, 7])) if masked else batch("series")
    posterior = posterior_of(network("series", copies=5), one, [1, 2])
    static, dynamic = posterior.static.mean.view(5, 2, 3), posterior.dynamic.mean.view(5, 2, 4, 2)
    assert torch.equal(static, static[:1].expand_as(static))
    spread = dynamic.std(0).amax(-1) > 1e-7
    assert spread.tolist() == [[False, True, False, False], [False, False, True, False]]
    assert (posterior.lengths is None) != masked
    single = posterior_of(network("series"), one, [1, 2])
    assert torch.allclose(single.static.mean, static[0], atol=1e-6)
    rest = torch.tensor([[0, 2, 3], [0, 1, 3]])
    for row in range(2):
        assert torch.allclose(single.dynamic.mean[row, rest[row]], dynamic[0, row, rest[row]], atol=1e-6)


@pytest.mark.parametrize("loss", ["paper", "reference"])
def test_the_loss_of_copies_is_the_mean_of_single_ones(
    loss: str, no_noise: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = batch("series", lengths=torch.tensor([12, 7]))
    fills = torch.randn(2, 5, 1, 6).expand(2, 5, 3, 6)
    chosen = [fills]
    monkeypatch.setattr(DBSENetwork, "_fill", lambda self, values, generator, copies: chosen[0])
    together = loss_of(network("series", copies=5, loss=loss), one)
    alone = []
    for copy in range(5):
        chosen[0] = fills[:, copy : copy + 1]
        alone.append(loss_of(network("series", loss=loss), one))
    for name, value in together.values.items():
        assert value.item() == pytest.approx(np.mean([terms.values[name].item() for terms in alone]), rel=1e-5)
    assert len({terms.total.item() for terms in alone}) == 5


@pytest.mark.parametrize("loss", ["paper", "reference"])
def test_without_noise_copies_change_nothing(loss: str, no_noise: None) -> None:
    one = batch("series", lengths=torch.tensor([12, 7]))
    once, five = (loss_of(network("series", loss=loss, copies=n, anchor_fill="zeros"), one) for n in (1, 5))
    for name, value in once.values.items():
        assert five.values[name].item() == pytest.approx(value.item(), rel=1e-6)


def test_the_fill_is_one_normal_vector_for_all_steps_of_a_window() -> None:
    net = network("series", copies=4)
    fill = net._fill(torch.zeros(500, 4, 3, 6), torch.Generator().manual_seed(0), net.settings.copies)
    assert fill.shape == (500, 4, 3, 6)
    assert torch.equal(fill[:, :, 0], fill[:, :, 2])
    assert fill.mean().abs() < 0.05
    assert fill.std().item() == pytest.approx(1, abs=0.05)
    zeros = network("series", anchor_fill="zeros")._fill(torch.ones(2, 4, 3, 6), None, 1)
    assert (zeros == 0).all()


# Ragged series and the released loss


@pytest.mark.parametrize("anchor", ["first", "middle", "last", 3])
@pytest.mark.parametrize(("loss", "copies"), [("paper", 1), ("reference", 1), ("reference", 3)])
def test_cropping_a_batch_to_its_longest_sequence_changes_no_loss(
    loss: str, copies: int, anchor, no_noise: None
) -> None:
    net = network("series", loss=loss, anchor=anchor, anchor_fill="zeros", copies=copies)
    x = batch("series").x.clone()
    lengths = torch.tensor([7, 4])
    seen = torch.arange(12) < lengths[:, None]
    x[~seen] = 0
    mask = seen[..., None].expand(2, 12, 3)
    whole = loss_of(net, Batch(x=x, mask=mask, lengths=lengths))
    cropped = loss_of(net, Batch(x=x[:, :7], mask=mask[:, :7], lengths=lengths))
    for name, value in whole.values.items():
        assert cropped.values[name].item() == pytest.approx(value.item(), rel=1e-5), name


def test_the_released_kl_counts_padded_windows_and_the_papers_does_not(no_noise: None) -> None:
    x = batch("series").x.clone()
    lengths = torch.tensor([7, 4])
    x[torch.arange(12) >= lengths[:, None]] = 0
    one = Batch(x=x, lengths=lengths)
    nets = {loss: network("series", loss=loss, anchor_fill="zeros") for loss in ("paper", "reference")}
    net = nets["paper"]
    features = net.body.features(one)
    posterior = posterior_of(net, one, [0, 0])
    with torch.no_grad():
        kl: Tensor = kl_gaussian(posterior.dynamic, net.dynamic_prior(posterior.dynamic.mean))
    assert features.lengths.tolist() == [3, 2]
    real = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    found = {loss: loss_of(net, one).values["kl_dynamic"].item() for loss, net in nets.items()}
    assert found["paper"] == pytest.approx((kl * real).sum(1).mean().item(), rel=1e-5)
    assert found["reference"] == pytest.approx(kl.sum(1).mean().item(), rel=1e-5)
    assert found["reference"] > found["paper"]


@pytest.mark.parametrize("length", [3, 12, 20])
def test_the_released_loss_scores_any_length(length: int) -> None:
    x = np.random.default_rng(0).normal(size=(4, 12, 3))
    model = small(loss="reference", anchor="last", training=Training(max_epochs=1)).fit(x)
    other = np.random.default_rng(1).normal(size=(4, length, 3))
    assert np.isfinite(model.score(other))


def test_scales_respect_their_floor() -> None:
    for floor in (0.0, 0.05, 0.3):
        body = network("series", scale_floor=floor).body
        scale = body.observe(100 * torch.randn(4, 4, 5)).scale
        assert floor <= scale.min() <= scale.max() <= 0.5


def test_decoder_noise_is_drawn_in_training_only() -> None:
    net, one = network("series", decoder_noise=True, anchor_fill="zeros"), batch("series")
    quiet = network("series", anchor_fill="zeros")
    assert loss_of(net, one, 1).values["reconstruction"] != loss_of(quiet, one, 1).values["reconstruction"]
    with torch.no_grad():
        codes = net.encode(one).mean()
        assert torch.equal(net.decode(codes), net.decode(codes))


# Published settings


TASKS = {
    "sprites": DataSpec(kind="image", shape=(3, 16, 16), length=8),
    "mug": DataSpec(kind="image", shape=(3, 16, 16), length=15),
    "timit": DataSpec(kind="spectrogram", shape=(201,), length=20),
    "mortality": DataSpec(kind="series", shape=(10,), length=80, missing=True),
    "icu-unit": DataSpec(kind="series", shape=(10,), length=80, missing=True),
    "air-quality": DataSpec(kind="series", shape=(10,), length=672, missing=True),
    "etth1": DataSpec(kind="series", shape=(6,), length=672),
}


@pytest.mark.parametrize("preset", ["paper", "reference"])
@pytest.mark.parametrize("name", TASKS)
def test_published_settings_are_valid_build_and_give_a_loss(name: str, preset: str) -> None:
    assert set(PAPER) == set(REFERENCE) == set(TASKS)
    model, spec = DBSE.published(name, preset), TASKS[name]
    validate(model)
    assert model.loss == preset
    assert signature(from_dict(DBSE, to_dict(model))) == signature(model)
    x = torch.rand(2, spec.length, *spec.shape)
    terms = loss_of(model.build(spec), Batch(x=x))
    assert torch.isfinite(terms.total)


SETS = {
    "sprites": "Sprites", "mug": "MUG", "timit": "TIMIT", "mortality": "PhysioNet", "icu-unit": "PhysioNet",
    "air-quality": "Air Quality", "etth1": "ETTh1",
}  # fmt: skip
# Of the released scripts: weights of sequence, anchor, static and dynamic term; learning rate, batch, size of both
# codes, widths of features and recurrence, epochs. TIMIT's batch is 32 utterances, of about 16 segments.
RELEASED = {
    "sprites": ((5, 1, 1, 1), 2e-3, 128, 256, 256, 64, 2000),
    "mug": ((87, 30, 15, 1), 1.5e-3, 64, 64, 128, 256, 2000),
    "timit": ((20, 100, 1, 1), 1e-3, 500, 128, 201, 256, 500),
    "mortality": ((90, 9, 0.2, 0.01), 1e-3, 30, 8, 32, 64, 251),
    "icu-unit": ((80, 3, 0.2, 0.2), 1e-3, 30, 8, 32, 64, 401),
    "air-quality": ((90, 20, 0.001, 0.3), 1e-3, 10, 8, 32, 64, 201),
    "etth1": ((85, 11, 0.01, 0.001), 1e-3, 10, 8, 32, 64, 301),
}


def weights_of(model: DBSE, spec: DataSpec) -> tuple[float, ...]:
    """As the paper and the scripts state them: of series they weigh averages, ours sums."""
    entries, anchor = 1, 1
    if spec.kind == "series":
        entries = spec.length * spec.shape[0]
        anchor = spec.shape[0] * (1 if model.loss == "reference" else model.window)
    return model.sequence_weight * entries, model.anchor_weight * anchor, model.static_weight, model.dynamic_weight


@pytest.mark.parametrize("name", TASKS)
def test_the_paper_presets_are_its_table_of_hyperparameters(name: str) -> None:
    def printed(key: str) -> float:
        (row,) = published(SETS[name], f"hyperparameter/{key}", "DBSE")
        return row.value

    model = DBSE.published(name)
    alpha, beta = printed("alpha"), printed("beta")
    assert weights_of(model, TASKS[name]) == pytest.approx((1, alpha, beta, beta))
    assert model.training.lr == printed("learning_rate")
    assert (model.static_dim, model.dynamic_dim) == (printed("static_dim"), printed("dynamic_dim"))
    assert model.training.batch_size == printed("batch_size") * (16 if name == "timit" else 1)
    assert (model.training.max_epochs, model.feature_dim, model.hidden_dim) == (
        RELEASED[name][6],
        *RELEASED[name][4:6],
    )
    assert (model.subtract, model.anchor, model.kl_cycle, model.copies) == (True, "first", 0, 1)


@pytest.mark.parametrize("name", TASKS)
def test_the_reference_presets_are_the_released_scripts(name: str) -> None:
    weights, lr, batch_size, size, feature_dim, hidden_dim, epochs = RELEASED[name]
    model, spec = DBSE.published(name, "reference"), TASKS[name]
    assert weights_of(model, spec) == pytest.approx(weights)
    assert (model.training.lr, model.training.batch_size, model.training.max_epochs) == (lr, batch_size, epochs)
    assert (model.static_dim, model.dynamic_dim) == (size, size)
    assert (model.feature_dim, model.hidden_dim) == (feature_dim, hidden_dim)
    assert model.subtract == (spec.kind != "series")
    assert model.anchor == {"air-quality": "last", "etth1": "middle"}.get(name, "first")
    assert model.kl_cycle == (100 if name == "mug" else 0)
    if spec.kind == "series":
        assert model.window == (4 if name in ("mortality", "icu-unit") else 24)
        assert model.copies == (10 if name in ("mortality", "icu-unit") else 15)


def test_unknown_published_settings_are_named_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match=r"published setting of DBSE \(paper\) 'sprite'\. Did you mean 'sprites'"):
        DBSE.published("sprite")
    with pytest.raises(
        SettingsError, match=r"unknown preset 'papers'\. Did you mean 'paper'\? Known: paper, reference"
    ):
        DBSE.published("sprites", "papers")


# Refusals


@pytest.mark.parametrize(
    ("kind", "wrong", "error", "words"),
    [
        ("series", {"anchor": 4}, SettingsError, r"DBSE.anchor = 4: sequences have 4 elements, 0\.\.3"),
        ("image", {"anchor": 6}, SettingsError, r"DBSE.anchor = 6: sequences have 6 elements, 0\.\.5"),
        ("image", {"anchor": -1}, SettingsError, "DBSE.anchor = -1: sequences have 6 elements"),
        ("image", {"anchor": "frist"}, SettingsError, "DBSE.anchor = 'frist': expected int or Literal"),
        ("image", {"copies": 2}, SettingsError, "DBSE.copies = 2: Monte-Carlo copies exist for series only"),
        ("spectrogram", {"copies": 2}, SettingsError, "DBSE.copies = 2"),
        ("series", {"anchor": "every"}, SettingsError, "DBSE.anchor = 'every' is for frames"),
        ("series", {"window": 12}, DataError, "12 step.* make 1 of the windows of 12 steps"),
        ("series", {"window": 24}, DataError, "Give longer sequences or a smaller `window`"),
        ("series", {"scale_floor": 0.5}, SettingsError, "DBSE.scale_floor = 0.5: expected a value at most 0.4"),
        ("series", {"window": 0}, SettingsError, "DBSE.window = 0: expected a value at least 1"),
        ("series", {"static_dim": 0}, SettingsError, "DBSE.static_dim = 0"),
        ("series", {"anchor_weight": -0.1}, SettingsError, "DBSE.anchor_weight = -0.1"),
        ("series", {"loss": "papers"}, SettingsError, "DBSE.loss = 'papers': expected Literal"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused(kind: str, wrong: dict, error: type, words: str) -> None:
    spec = SPECS[kind]
    data = as_sequences(np.random.default_rng(0).random((4, spec.length, *spec.shape)), kind=kind)
    with pytest.raises(error, match=words):
        small(**wrong).fit(data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_step_is_one_clear_data_error(kind: str) -> None:
    data = as_sequences(np.random.default_rng(0).random((4, 1, *SPECS[kind].shape)), kind=kind)
    with pytest.raises(DataError, match=r"sequences of 1 step\(s\) make 1 of the .* at least 2 are needed"):
        small().fit(data)


# Every frame as anchor


@pytest.mark.parametrize("kind", ["spectrogram", "image"])
def test_every_frame_as_anchor_averages_what_single_anchors_give(kind: str) -> None:
    whole, lengths = batch(kind), torch.tensor([6, 4])
    one = Batch(x=whole.x, lengths=lengths)
    net = network(kind, anchor="every")
    with torch.no_grad():
        found = net.encode(one)
        singles = [network(kind, anchor=k).encode(one).static for k in range(6)]
    for row, length in enumerate(lengths.tolist()):
        means = torch.stack([single.mean[row] for single in singles[:length]]).mean(0)
        variances = torch.stack([single.logvar[row].exp() for single in singles[:length]]).mean(0)
        assert torch.allclose(found.static.mean[row], means, atol=1e-5)
        assert torch.allclose(found.static.logvar[row], variances.log(), atol=1e-5)


def test_every_frame_as_anchor_forgets_the_order_in_the_static_code_only() -> None:
    net, one = network("spectrogram", anchor="every"), batch("spectrogram")
    with torch.no_grad():
        before, after = (net.encode(Batch(x=x)).mean() for x in (one.x, one.x.flip(1)))
    assert torch.allclose(before.static, after.static, atol=1e-6)
    assert not torch.allclose(before.dynamic, after.dynamic, atol=1e-3)


def test_every_frame_as_anchor_takes_from_frames_what_they_share() -> None:
    net = network("spectrogram", anchor="every")
    still = Batch(x=batch("spectrogram").x[:, :1].expand(-1, 6, -1).contiguous())
    other = Batch(x=still.x + 1)
    with torch.no_grad():
        assert torch.allclose(net.encode(still).dynamic.mean, net.encode(other).dynamic.mean, atol=1e-6)
        whole = network("spectrogram", anchor="every", subtract=False)
        assert not torch.allclose(whole.encode(still).dynamic.mean, whole.encode(other).dynamic.mean, atol=1e-3)


@pytest.mark.parametrize("kind", ["spectrogram", "image"])
def test_every_frame_as_anchor_keeps_the_contracts(kind: str) -> None:
    check_method(small(anchor="every", training=Training(max_epochs=2)), modalities=(kind,))


def test_every_frame_as_anchor_is_trained_like_one_at_random() -> None:
    losses = [
        loss_of(network("spectrogram", anchor=anchor), batch("spectrogram"), seed=5).total.item()
        for anchor in ("every", "random_per_batch", "first")
    ]
    assert losses[0] == losses[1] != losses[2]


# Short cuts


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_encoding_readable_steps_only_gives_the_same_codes(subtract: bool, masked: bool) -> None:
    net, more = network("series", subtract=subtract), {}
    if masked:
        mask = torch.rand(2, 12, SPECS["series"].shape[0], generator=torch.Generator().manual_seed(2)) < 0.6
        mask[0, 3:6] = False  # a silent window
        mask[1] = False  # a silent sequence
        more = {"mask": mask, "lengths": torch.tensor([12, 8])}
    one = batch("series", **more)
    with torch.no_grad():
        short, features = net.encode(one), net.body.features(one)
        index = net._anchor_index(features)
        static, rest = net._split(features, index)
        plain = net.body.dynamic(rest.put(index, rest.values.new_zeros(())))
    for found, expected in ((short.static, static), (short.dynamic, plain)):
        assert torch.allclose(found.mean, expected.mean, atol=1e-6)
        assert torch.allclose(found.logvar, expected.logvar, atol=1e-6)


def test_windows_of_padding_are_coded_once_and_counted_each(no_noise: None) -> None:
    net = network("series", loss="reference", anchor_fill="zeros")
    lengths = torch.tensor([4, 2])
    x = batch("series").x * (torch.arange(12) < lengths[:, None]).unsqueeze(-1)
    whole = Batch(x=x, mask=torch.ones_like(x, dtype=torch.bool) & (x != 0), lengths=lengths)
    cropped = Batch(x=x[:, :4], mask=whole.mask[:, :4], lengths=lengths)  # 2 of 4 windows are left
    found = {n: loss_of(net, one).values["kl_dynamic"].item() for n, one in (("whole", whole), ("cropped", cropped))}
    assert found["cropped"] == pytest.approx(found["whole"], rel=1e-5)
    half = network("series", loss="paper", anchor_fill="zeros")
    assert loss_of(half, cropped).values["kl_dynamic"].item() < 0.9 * found["whole"]
