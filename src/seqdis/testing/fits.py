"""What is promised of settings, fitting, keeping and drawing."""

from __future__ import annotations

import copy
import functools
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import seqdis
from seqdis.errors import CapabilityError, DataError
from seqdis.factors import Factors
from seqdis.hyperparameters import from_dict, signature, to_dict
from seqdis.testing.case import ROWS, STEPS, Case, close, raises, same, same_weights


def loss_falls(case: Case) -> None:
    """The loss, with the same draws every epoch, falls on toy data; in a game, where it need not, all players move."""
    model = case.method.replace(training__max_epochs=12, training__batch_size=4)
    history = model.fit(case.data(), valid=case.data()).history_
    assert len(history) == 12, f"12 epochs were asked for, history_ has {len(history)}"
    if not model.falling_loss:
        start, end = model._fresh(model.training.seed), model.network_
        for objective in end.objectives:
            pairs = zip(start.parameters_of(objective), end.parameters_of(objective), strict=True)
            assert any(not torch.equal(old, new) for old, new in pairs), f"12 epochs moved nothing of '{objective}'"
        return
    losses = [record["valid"]["total"] for record in history if "valid" in record]
    assert losses[-1] < losses[0], f"the loss went from {losses[0]} to {losses[-1]} in 12 epochs"


def parameters_round_trip(case: Case) -> None:
    """clone, get_params, set_params, JSON and pickle keep all settings; fit changes none."""
    method, before = case.method, to_dict(case.method)
    cls = type(method)
    assert clone(method) == method, "clone() changed a setting"
    assert from_dict(cls, before) == method, "from_dict(to_dict()) changed a setting"
    assert cls().set_params(**method.get_params()) == method, "set_params(**get_params()) changed a setting"
    assert signature(clone(method)) == signature(method), "equal settings have different signatures"
    assert not [name for name in vars(method) if name.endswith("_")], "the constructor or a copy set a fitted name"
    assert to_dict(case.model) == before, "fit() changed a setting"
    assert same_weights(pickle.loads(pickle.dumps(case.model)), case.model), "pickle changed the weights"


def unfitted_says_so(case: Case) -> None:
    """Every call that needs a fit raises NotFittedError before one."""
    fresh, data = clone(case.method), case.data()
    calls: dict[str, Callable[[], Any]] = {
        "encode": lambda: fresh.encode(data),
        "transform": lambda: fresh.transform(data),
        "reconstruct": lambda: fresh.reconstruct(data),
        "swap": lambda: fresh.swap(data, data),
        "sample": lambda: fresh.sample(1),
        "score": lambda: fresh.score(data),
        "decode": lambda: fresh.decode(Factors(torch.zeros(1, 1), torch.zeros(1, 1, 1))),
        "save": lambda: fresh.save("never-written"),
    }
    for name, call in calls.items():
        assert raises(NotFittedError, call), f"{name}() of an unfitted model did not raise NotFittedError"


def other_lengths_work_or_raise(case: Case) -> None:
    """Lengths unseen in training are scored, encoded and decoded, or refused by CapabilityError."""
    for x in (case.x[:, : STEPS - 4], np.concatenate([case.x, case.x], axis=1), case.x[:, :1]):
        model, data = case.model, case.data(x)
        if not model.variable_length:
            assert raises(CapabilityError, functools.partial(model.score, data)), f"{x.shape[1]} steps were not refused"
            continue
        assert np.isfinite(model.score(data)), f"score() fails on {x.shape[1]} steps"
        if model.has_encoder:
            assert model.reconstruct(data).shape == x.shape, f"reconstruct() fails on {x.shape[1]} steps"


def save_and_load_keep_the_codes(case: Case) -> None:
    """save and load give equal codes, weights, settings and history; a finished run is not repeated."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept"
        loaded = seqdis.load(case.model.save(kept))
        assert type(loaded) is type(case.model), f"load() gave {type(loaded).__name__}"
        assert loaded == case.model, "load() changed a setting"
        assert loaded.spec_ == case.model.spec_, "load() changed the data description"
        assert loaded.history_ == case.model.history_, "load() changed the history"
        assert same_weights(loaded, case.model), "load() changed the weights"
        assert not case.method.has_encoder or same(loaded.encode(case.data()), case.codes(), 0.0), (
            "load() changed codes"
        )
        written = (kept / "weights.safetensors").stat().st_mtime_ns
        again = clone(case.method).fit(case.data(), out=kept)
        assert (kept / "weights.safetensors").stat().st_mtime_ns == written, "a finished run was repeated"
        assert same_weights(again, case.model), "the finished run came back with other weights"


def seed_fixes_the_weights(case: Case) -> None:
    """Same seed, same weights, whatever the global random state, which is left alone; another seed, others."""
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    again = case.fit()
    assert torch.equal(state, torch.random.get_rng_state()), "fit() drew from the global generator"
    assert same_weights(again, case.model), "the same seed gave other weights"
    other = case.fit(training__seed=case.method.training.seed + 1)
    assert not same_weights(other, case.model), "another seed gave the same weights"


def fit_starts_from_scratch(case: Case) -> None:
    """A second fit forgets the first, and one that fails leaves an unfitted model."""
    first = copy.deepcopy(case.model)
    model = case.fit(case.x[::-1].copy())
    assert same_weights(model.fit(case.data()), first), "a fit depends on an earlier one"
    assert raises(DataError, lambda: model.fit(np.zeros((2, 2)))), "a table of rank 2 was fitted"
    assert raises(NotFittedError, lambda: model.sample(1)), "a model whose fit failed passes for fitted"


def input_is_never_modified(case: Case) -> None:
    """No call writes into the data that it is given, which may be read-only."""
    x, lengths = case.x.copy(), None
    if case.method.handles_missing:
        x[0, 2] = np.nan
    if case.method.variable_length:
        lengths = np.r_[[4] * 5, [STEPS] * (ROWS - 5)]
    data = case.data(x, lengths=lengths)
    before = data.fingerprint()
    for array in (data.x, data.mask, data.lengths):
        if array is not None:
            array.setflags(write=False)
    model = clone(case.method).fit(data)
    model.score(data)
    if model.has_encoder:
        model.swap(data, data)
    if model.has_encoder and model.probabilistic:
        model.sample(like=data, keep="static")
    assert data.fingerprint() == before, "the input was modified"


def last_batch_of_one_is_fitted(case: Case) -> None:
    """Training works when a batch holds a single sequence."""
    history = case.fit(training__batch_size=ROWS - 1, training__max_epochs=1).history_
    assert np.isfinite(history[-1]["train"]["total"]), "a batch of one sequence gave a loss that is not finite"


def samples_have_their_shapes(case: Case) -> None:
    """sample follows n, length, like and seed; or raises CapabilityError without a prior."""
    model, x = case.model, case.x[:4]
    if not model.probabilistic:
        assert raises(CapabilityError, lambda: model.sample(1)), "sample() without a prior did not raise"
        return
    drawn = model.sample(3, seed=5)
    assert drawn.shape == (3, *case.x.shape[1:]), f"sample(3) gave {drawn.shape}"
    assert np.isfinite(drawn).all(), "samples are not finite"
    assert close(drawn, model.sample(3, seed=5), 0.0), "the same seed gave other samples"
    assert not close(drawn, model.sample(3, seed=6), 0.0), "another seed gave the same samples"
    if model.variable_length:
        assert model.sample(2, 5).shape[:2] == (2, 5), "sample(2, 5) has another shape"
    for keep in ("static", "dynamic") if model.has_encoder else ():
        drawn = model.sample(like=case.data(x), keep=keep)
        assert drawn.shape == x.shape, f"sample(like=, keep={keep!r}) gave {drawn.shape} for {x.shape}"


def capability_flags_are_kept(case: Case) -> None:
    """What a method says that it cannot do raises CapabilityError; what it can do, it does."""
    model, gaps = case.model, case.x.copy()
    gaps[0, 2] = np.nan
    checks: dict[str, Callable[[], Any]] = {
        "handles_missing": lambda: model.score(case.data(gaps)),
        "variable_length": lambda: model.score(case.data(case.x[:, :-2])),
        "has_encoder": lambda: model.encode(case.data()),
        "probabilistic": lambda: model.sample(1),
    }
    for flag, call in checks.items():
        refused = raises(CapabilityError, call)
        assert refused != getattr(model, flag), f"{flag} is {getattr(model, flag)}, but the call says otherwise"
