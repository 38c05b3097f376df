"""What is special to R-WAE: aggregated penalties, two objectives, and an action code that sees dynamics only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from seqdis.errors import CapabilityError, DataError, SettingsError
from seqdis.factors import Factors
from seqdis.inputs import as_sequences
from seqdis.losses import LossTerms
from seqdis.methods import RWAE
from seqdis.nn.aggregate import KernelPenalty
from seqdis.nn.network import Progress
from seqdis.sequences import Batch
from seqdis.testing import check_method
from seqdis.training import Training
from seqdis.training.engine import Store

QUICK = Training(max_epochs=2, batch_size=8)
SMALL = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 8, "hidden_dim": 8, "critic_dim": 8, "filters": 4}
X = np.random.default_rng(0).normal(size=(24, 12, 3)).astype(np.float32)
BATCH = Batch(x=torch.from_numpy(X))


def network(**changes):
    torch.manual_seed(0)
    return RWAE(**SMALL, **changes).build(as_sequences(X).spec)


def progress(epoch: int = 0, epochs: int = 1) -> Progress:
    return Progress(epoch, epochs, 0, torch.Generator().manual_seed(0))


def test_the_plainest_variant_keeps_the_contracts_too() -> None:
    plainest = RWAE(**SMALL, penalty="gan", history="marginal", feedback=False, decoder_rnn=False, training=QUICK)
    check_method(plainest, modalities=("series",))


# Learning


def toy(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A level that stays and a wave of random phase and pace: (n, 24, 2), (n,)."""
    draw = np.random.default_rng(seed)
    level = draw.uniform(-1, 1, size=(n, 1, 1))
    pace = draw.choice([0.5, 1.6], size=(n, 1, 1))
    phase = draw.uniform(0, 2 * np.pi, size=(n, 1, 1)) + 1.5 * np.arange(2)
    x = level + np.sin(pace * np.arange(24)[:, None] + phase) + draw.normal(0, 0.05, size=(n, 24, 2))
    return x.astype(np.float32), level[:, 0, 0]


TOY = {"static_dim": 3, "dynamic_dim": 3, "feature_dim": 32, "hidden_dim": 32}
LONGER = Training(max_epochs=32, batch_size=32, lr=3e-3)


def distance_to_prior(model: RWAE, x: np.ndarray) -> dict[str, float]:
    """Kernel discrepancies of sampled codes from draws of the prior: static, and per step summed."""
    data = model._input(x)
    draw, terms = torch.Generator().manual_seed(0), LossTerms()
    found = model.network_.draw(Store(data, model.spec_).take(torch.arange(len(x))), draw)
    KernelPenalty("imq", 1.0, 1.0)(terms, found, model.network_.prior(len(x), 6, draw))
    return {name: value.item() for name, value in terms.values.items()}


def test_a_draw_feeds_its_own_samples_back() -> None:
    net = network().eval()
    assert net.settings.feedback
    batch = Batch(x=torch.rand(4, 6, 3, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        drawn, given = net.draw(batch, torch.Generator().manual_seed(1)).dynamic, []
        net.dynamic.second.register_forward_pre_hook(lambda layer, args: given.append(args[0]))
        again = net.draw(batch, torch.Generator().manual_seed(1)).dynamic
    assert torch.equal(drawn, again)
    fed = torch.cat(given, 1)[..., -drawn.shape[-1] :]
    assert torch.equal(fed[:, 1:], drawn[:, :-1])
    assert not fed[:, 0].any()


@pytest.fixture(scope="module")
def unpenalised() -> RWAE:
    return RWAE(**TOY, static_weight=0.0, dynamic_weight=0.0, training=LONGER).fit(toy(256, 0)[0])


@pytest.mark.parametrize(
    ("more", "shares"),  # of the distances without a penalty, static and dynamic
    [
        ({"actions": 3, "action_weight": 10.0, "confidence_weight": 1.0}, (0.2, 0.2)),
        # What critics do to the dynamic distance differs between seeds by more than it does.
        ({"penalty": "gan", "training": Training(max_epochs=64, batch_size=32, lr=1e-3)}, (0.5, None)),
    ],
    ids=["mmd", "gan"],
)
def test_it_learns_and_aggregated_posteriors_meet_the_prior(
    more: dict, shares: tuple[float, float | None], unpenalised: RWAE
) -> None:
    (x, level), (other, other_level) = toy(256, 0), toy(200, 1)
    model = RWAE(**TOY, **{"training": LONGER, **more}).fit(x)
    first, last = (model.history_[k]["train"] for k in (0, -1))
    assert last["reconstruction"] < 0.5 * first["reconstruction"]
    codes = model.encode(x).static, model.encode(other).static
    assert Ridge().fit(codes[0], level).score(codes[1], other_level) > 0.8
    near, far = distance_to_prior(model, other), distance_to_prior(unpenalised, other)
    for part, share in zip(("static", "dynamic"), shares, strict=True):
        assert share is None or near[f"mmd_{part}"] < share * far[f"mmd_{part}"]
    if "actions" in more:
        assert last["action_uniformity"] < 0.1
        assert last["action_entropy"] < 0.8 * np.log(3)


# The loss


def test_terms_are_named_and_weighted() -> None:
    weights = {"static_weight": 2.0, "dynamic_weight": 3.0, "action_weight": 4.0, "confidence_weight": 5.0}
    terms = network(actions=3, **weights)(BATCH, progress())
    expected = {"reconstruction": 1.0, "mmd_static": 2.0, "mmd_dynamic": 3.0}
    assert terms.weights == expected | {"action_uniformity": 4.0, "action_entropy": 5.0}
    terms = network(penalty="gan", **weights)(BATCH, progress())
    expected = {"reconstruction": 1.0, "adversarial_static": 2.0, "adversarial_dynamic": 3.0}
    assert terms.weights == expected | {"critic_static": 1.0, "critic_dynamic": 1.0}
    assert [name for name, whose in terms.objectives.items() if whose == "critic"] == [
        "critic_static",
        "critic_dynamic",
    ]


def test_every_parameter_has_one_objective() -> None:
    net = network(penalty="gan", actions=2)
    model, critic = ({id(value) for value in net.parameters_of(name)} for name in net.objectives)
    assert not model & critic
    assert model | critic == {id(value) for value in net.parameters()}
    assert critic == {id(value) for value in net.penalty.parameters()}
    assert (net.rate_of("model"), net.rate_of("critic")) == (1.0, 1.0)
    plain = network()
    assert plain.objectives == ("model",)
    assert len(plain.parameters_of("model")) == len(list(plain.parameters()))


@pytest.mark.parametrize("penalty", ["mmd", "gan"])
def test_the_penalties_reach_the_encoder_and_the_learned_prior(penalty: str) -> None:
    net = network(penalty=penalty)
    terms = net(BATCH, progress())
    word = "mmd" if penalty == "mmd" else "adversarial"
    for name, reached, spared in (
        (f"{word}_static", net.static, net.dynamic_prior),
        (f"{word}_dynamic", net.dynamic_prior, net.static),
        (f"{word}_dynamic", net.dynamic, net.body.decoder),
    ):
        net.zero_grad()
        terms.values[name].backward(retain_graph=True)
        assert any(value.grad is not None and value.grad.abs().max() > 0 for value in reached.parameters()), name
        assert all(value.grad is None or value.grad.abs().max() == 0 for value in spared.parameters()), name


def test_the_kernel_is_the_one_asked_for() -> None:
    terms = [network(kernel=kernel)(BATCH, progress()).values for kernel in ("imq", "rbf")]
    assert terms[0]["reconstruction"] == terms[1]["reconstruction"]
    assert terms[0]["mmd_static"] != terms[1]["mmd_static"]


def test_history_decides_what_is_compared() -> None:
    conditional, marginal = network(), network(history="marginal")
    marginal.load_state_dict(conditional.state_dict())
    one, other = conditional(BATCH, progress()).values, marginal(BATCH, progress()).values
    assert one["reconstruction"] == other["reconstruction"]
    assert one["mmd_static"] == other["mmd_static"]
    assert one["mmd_dynamic"] != other["mmd_dynamic"]


# Actions


def test_actions_travel_with_the_dynamics_in_a_swap() -> None:
    model = RWAE(**SMALL, actions=3, training=QUICK).fit(X)
    chances = model.action_probabilities(X)
    assert chances.shape == (24, 3)
    assert np.allclose(chances.sum(1), 1, atol=1e-5)
    codes, net = model.encode(X), model.network_
    hybrid = Factors(codes.static.flip(0), codes.dynamic)
    assert np.allclose(net.action(hybrid).softmax(-1).detach().numpy(), chances, atol=1e-5)
    # By hand: static, dynamic and the likeliest action through the generator, then the decoder.
    action = torch.eye(3)[torch.from_numpy(chances.argmax(1))]
    given = [codes.dynamic, *(part.unsqueeze(1).expand(-1, 3, -1) for part in (codes.static.flip(0), action))]
    expected = net.body.observe(net.to_decoder(net.generator_rnn(torch.cat(given, -1))[0])).mean
    swapped = (model.swap(X[::-1].copy(), X) - np.array(model.spec_.center)) / np.array(model.spec_.scale)
    assert np.allclose(swapped, expected.detach().numpy(), atol=1e-4)


def test_observations_go_through_the_decoders_own_recurrence() -> None:
    net = network(actions=3).eval()
    codes = Factors(torch.randn(2, net.settings.static_dim), torch.randn(2, 6, net.settings.dynamic_dim))
    with torch.no_grad():
        before = net.observe(codes).mean
        net.generator_rnn.weight_hh_l0.zero_()
        after = net.observe(codes).mean
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1:], after[:, 1:])


def test_no_label_is_read() -> None:
    one = RWAE(**SMALL, actions=2, training=QUICK).fit(X)
    other = RWAE(**SMALL, actions=2, training=QUICK).fit(X, np.arange(24))
    assert all(
        torch.equal(value, other.network_.state_dict()[name]) for name, value in one.network_.state_dict().items()
    )


def test_training_draws_actions_that_grow_colder_and_evaluation_takes_the_likeliest() -> None:
    net = network(actions=3)
    logits = torch.zeros(500, 3)
    sure = [net._drawn_action(logits, progress(epoch, 5)).amax(-1).mean().item() for epoch in range(5)]
    assert sure == sorted(sure)
    assert sure[-1] - sure[0] > 0.1
    net.eval()
    assert set(net._drawn_action(torch.randn(20, 3), progress()).flatten().tolist()) == {0.0, 1.0}


def test_actions_that_are_not_there_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"RWAE\.actions = 1"):
        RWAE(actions=1).fit(X)
    with pytest.raises(CapabilityError, match=r"RWAE\.actions = 0"):
        RWAE(**SMALL, training=QUICK).fit(X).action_probabilities(X)


# Settings


@pytest.mark.parametrize(("dataset", "dims"), [("sprites", (256, 32)), ("mug", (256, 64)), ("timit", (256, 64))])
def test_settings_for_published_tables(dataset: str, dims: tuple[int, int]) -> None:
    method = RWAE.published(dataset)
    assert (method.static_dim, method.dynamic_dim) == dims
    assert method.training.batch_size >= 64  # kernel estimates are noise in small batches


def test_an_unknown_published_setting_lists_the_known() -> None:
    with pytest.raises(SettingsError, match=r"unknown published setting of RWAE 'etth1'.*mug, sprites, timit"):
        RWAE.published("etth1")


def test_a_single_element_is_refused() -> None:
    with pytest.raises(DataError, match=r"sequences of 4 step\(s\) make 1 of the windows of 4 steps"):
        RWAE(**SMALL, window=4).fit(X[:, :4])
