"""Every method of the shelf keeps every contract; every contract catches a method that breaks it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import seqdis.methods
from seqdis.errors import CapabilityError, SeqdisError, SettingsError
from seqdis.estimator import Disentangler
from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.hyperparameters import hyperparameters, validate
from seqdis.losses import LossTerms
from seqdis.methods import CDSVAE, DBME, DBSE, DSVAE, FHVAE, GLR, GPVAE, RWAE, S3VAE, SKD, SPYL, VAE, MoCoGAN
from seqdis.nn.network import Progress
from seqdis.sequences import Batch, DataSpec, Sequences
from seqdis.testing import CONTRACTS, MODALITIES, Case, Contract, check_method
from seqdis.training import Training
from tiny import Tiny, TinyNetwork

QUICK = Training(max_epochs=2, batch_size=8)
SMALL = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 8, "hidden_dim": 8, "training": QUICK}

# One entry per method and variant whose code differs; sizes as small as they go.
METHODS: dict[str, Disentangler] = {
    "dbse": DBSE(**SMALL, filters=4),
    "dbse as released": DBSE(
        **SMALL, filters=4, loss="reference", anchor="last", spectrogram_encoder="recurrent",
        subtract=False, decoder_noise=True, anchor_twice=True,
    ),
    "dbme": DBME(**SMALL),
    "dsvae": DSVAE(**SMALL, filters=4),
    "dsvae, factorised": DSVAE(**SMALL, filters=4, posterior="factorised", prior_path="own"),
    "c-dsvae": CDSVAE(**SMALL, filters=4),
    "c-dsvae as released": CDSVAE(
        **SMALL | {"training": QUICK.replace(lr=1e-2)}, filters=4, variant="reference", released_start=True
    ),
    "s3vae": S3VAE(**SMALL, filters=4),
    "spyl": SPYL(**SMALL, filters=4),
    # Its first weights of 0.01 need longer steps to get anywhere in a few epochs.
    "spyl as released": SPYL(
        **SMALL | {"training": QUICK.replace(lr=1e-2)}, filters=4, variant="reference", released_start=True
    ),
    "vae": VAE(code_dim=3, feature_dim=8, hidden_dim=8, filters=4, training=QUICK),
    "vae of sequences": VAE(code_dim=3, feature_dim=8, hidden_dim=8, filters=4, training=QUICK, form="sequence"),
    "rwae": RWAE(**SMALL, filters=4, actions=3),
    "rwae with critics": RWAE(**SMALL, filters=4, penalty="gan", critic_dim=8),
    "mocogan": MoCoGAN(static_dim=3, dynamic_dim=4, actions=2, filters=4, critic_filters=4, training=QUICK),
    "fhvae": FHVAE(**SMALL, filters=4),
    "fhvae with a table": FHVAE(**SMALL, filters=4, layers=2, centers="table", deviations=True, offsets=True),
    "glr": GLR(
        static_dim=3, dynamic_dim=2, static_layers=(8, 8), dynamic_layers=(8,), decoder_layers=(8, 8), training=QUICK
    ),
    "gp-vae": GPVAE(code_dim=3, feature_dim=8, filters=4, training=QUICK),
    "skd": SKD(
        latent_dim=5, static_modes=2, hidden_dim=8, filters=4,
        training=Training(max_epochs=3, batch_size=8, lr=1e-2),
    ),
}  # fmt: skip
PAIRS = [(name, kind) for name, method in METHODS.items() for kind in MODALITIES if kind in method.kinds]


@functools.cache
def case_of(name: str, kind: str) -> Case:
    return Case(METHODS[name], kind)


def test_every_method_is_examined() -> None:
    assert set(seqdis.methods.__all__) == {type(method).__name__ for method in METHODS.values()}


@pytest.mark.parametrize("method", [getattr(seqdis.methods, name) for name in seqdis.methods.__all__])
def test_all_known_settings_are_valid_and_the_first_preset_is_the_default(method: type[Disentangler]) -> None:
    for preset, rows in method.presets().items():
        for name in rows:
            validate(method.published(name, preset))
    first, rows = next(iter(method.presets().items()))
    name = next(iter(rows))
    assert method.published(name) == method.published(name, first)
    with pytest.raises(SettingsError, match=rf"unknown preset 'printed'.*{first}"):
        method.published(name, "printed")


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_contract(name: str, kind: str, contract) -> None:
    contract(case_of(name, kind))


def test_copies_keep_the_contracts_of_series() -> None:
    check_method(DBSE(**SMALL, copies=3, anchor="random_per_batch"), modalities=("series",))


def test_causal_dynamics_keep_the_contracts_of_frames() -> None:
    check_method(DBSE(**SMALL, filters=4, causal=True, anchor="middle"), modalities=("image",))


def test_a_deterministic_method_keeps_them() -> None:
    check_method(Tiny(training=QUICK), modalities=("series", "spectrogram"))


# Methods that break one promise each: `Tiny` with other members of its network or of itself.


def broken(network: dict[str, Any], **members: Any) -> Tiny:
    """A method named ``Latest``; tests put it where pickle and `seqdis.load` look for it."""
    if network:
        made = type("Network", (TinyNetwork,), network)
        members["build"] = lambda self, spec: made(self, spec)
    return hyperparameters(type("Latest", (Tiny,), {"__module__": __name__, **members}))(training=QUICK)


def static_mean(change: Callable[[Tensor, Batch], Tensor]) -> dict[str, Any]:
    """A network whose static mean is ``change(mean, batch)``."""

    def encode(self: TinyNetwork, batch: Batch) -> Posterior:
        right = TinyNetwork.encode(self, batch)
        return Posterior(Gaussian(change(right.static.mean, batch)), right.dynamic, right.lengths)

    return {"encode": encode}


def loss(change: Callable[[TinyNetwork, LossTerms, Batch, Progress], LossTerms]) -> dict[str, Any]:
    """A network whose loss is ``change(network, right terms, batch, progress)``."""

    def forward(self: TinyNetwork, batch: Batch, progress: Progress) -> LossTerms:
        return change(self, TinyNetwork.forward(self, batch, progress), batch, progress)

    return {"forward": forward}


def one_length_only(self: TinyNetwork, factors: Factors) -> Tensor:
    if factors.dynamic.shape[1] != self.spec.length:
        raise RuntimeError("shapes do not match")
    return TinyNetwork.decode(self, factors)


def keep_count(network: TinyNetwork, terms: LossTerms, *_: Any) -> LossTerms:
    network.count = getattr(network, "count", 0) + 1  # not in the state that is saved
    return terms


def overwrite(self: Tiny, X: Sequences, y: None = None) -> float:
    X.x[:] = 0
    return 0.0


def counted(self: TinyNetwork, batch: Batch) -> Posterior:
    right = TinyNetwork.encode(self, batch)
    return Posterior(right.static.map(lambda mean: mean + getattr(self, "count", 0)), right.dynamic, right.lengths)


def refuse(self: Tiny, X: Any, y: None = None) -> float:
    raise CapabilityError("no")


def double_the_size(self: Tiny) -> None:
    self.static_dim = 2 * self.static_dim


def any_prior(self: TinyNetwork, n: int, length: int, generator: Any = None, *, mean: bool = False) -> Factors:
    return TinyNetwork.prior(self, n, length, None)


SHARED: list[TinyNetwork] = []  # what a method must not do: keep a network between fits


def shared_network(self: Tiny, spec: DataSpec) -> TinyNetwork:
    if not SHARED:
        SHARED.append(TinyNetwork(self, spec))
    return SHARED[0]


BREAKS = {
    "parameters_round_trip": broken({}, __post_init__=double_the_size),
    "unfitted_says_so": broken({}, score=lambda self, X, y=None: 0.0),
    "loss_falls": broken(
        loss(lambda net, terms, batch, now: terms.add("rising", 0 * net.out.bias.sum() + now.epoch, 9.0))
    ),
    "codes_have_their_shapes": broken(static_mean(lambda mean, batch: torch.cat([mean, mean], dim=1))),
    "same_input_gives_the_same_codes": broken(static_mean(lambda mean, batch: mean + torch.rand(()))),
    "swap_with_itself_is_reconstruction": broken({}, swap=lambda self, a, b: self.reconstruct(a)[::-1]),
    "batch_mates_never_change_a_code": broken(static_mean(lambda mean, batch: mean + batch.x.mean())),
    "chunk_borders_never_change_a_code": broken(static_mean(lambda mean, batch: mean + batch.index[:1, None])),
    "padding_never_changes_a_code": broken(static_mean(lambda mean, batch: mean + batch.x.shape[1])),
    "masked_values_never_change_a_code": broken(
        static_mean(lambda mean, batch: mean if batch.mask is None else mean + torch.rand(()))
    ),
    "other_lengths_work_or_raise": broken({"decode": one_length_only}),
    "save_and_load_keep_the_codes": broken({"encode": counted} | loss(keep_count)),
    "seed_fixes_the_weights": broken(
        loss(lambda net, terms, *_: terms.add("noise", (net.out.bias * torch.randn(net.out.bias.shape)).sum()))
    ),
    "fit_starts_from_scratch": broken({}, build=shared_network),
    "input_is_never_modified": broken({}, score=overwrite),
    "last_batch_of_one_is_fitted": broken(
        loss(lambda net, terms, batch, _: terms if len(batch) > 1 else terms.add("lone", net.out.bias.sum() / 0))
    ),
    "transform_is_encode_in_columns": broken({}, transform=lambda self, X: Tiny.transform(self, X)[:, ::-1]),
    "swapping_every_mode_gives_the_other": broken(
        {},
        multi_factor=True,
        spectrum=lambda self: (np.ones(2), np.ones(2, dtype=bool)),
        swap_modes=lambda self, into, of, modes: self.reconstruct(into),
    ),
    "samples_have_their_shapes": broken({"prior": any_prior}),
    "capability_flags_are_kept": broken({}, score=refuse),
}  # fmt: skip


def publish(method: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "Latest", type(method), raising=False)


def test_every_contract_is_broken_once() -> None:
    assert set(BREAKS) == {contract.__name__ for contract in CONTRACTS}


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_a_broken_promise_is_caught(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    SHARED.clear()
    contract(Case(Tiny(training=QUICK), "series"))
    method = BREAKS[contract.__name__]
    publish(method, monkeypatch)
    with pytest.raises((AssertionError, RuntimeError, ValueError, SeqdisError)):
        contract(Case(method, "series"))


def test_a_game_need_not_lose_less_but_all_its_players_move(monkeypatch: pytest.MonkeyPatch) -> None:
    loss_falls = next(contract for contract in CONTRACTS if contract.__name__ == "loss_falls")
    rising = loss(lambda net, terms, batch, now: terms.add("rising", 0 * net.out.bias.sum() + now.epoch, 9.0))
    loss_falls(Case(broken(rising, falling_loss=False), "series"))
    with pytest.raises(AssertionError, match="12 epochs moved nothing of 'model'"):
        loss_falls(Case(broken({"rate_of": lambda self, objective: 0.0}, falling_loss=False), "series"))


@pytest.mark.parametrize("flag", ["has_encoder", "probabilistic", "variable_length", "handles_missing", "falling_loss"])
def test_a_method_that_admits_a_limit_keeps_them(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = broken({}, **{flag: False})
    publish(method, monkeypatch)
    check_method(method, modalities=("series",))


def test_the_note_on_a_failure_names_promise_method_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(BREAKS["unfitted_says_so"], monkeypatch)
    with pytest.raises(AssertionError) as caught:
        check_method(BREAKS["unfitted_says_so"], modalities=("series",))
    (note,) = caught.value.__notes__
    assert "unfitted_says_so: broken by Latest(" in note
    assert "on series data" in note


def test_an_error_of_the_method_itself_passes_through_with_the_same_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(mean: Tensor, batch: Batch) -> Tensor:
        raise ZeroDivisionError("their own words")

    method = broken(static_mean(fail))
    publish(method, monkeypatch)
    with pytest.raises(ZeroDivisionError, match="their own words") as caught:
        check_method(method, modalities=("series",))
    assert any("broken by Latest(" in note for note in caught.value.__notes__)
