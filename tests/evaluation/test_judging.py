from dataclasses import replace

import numpy as np
import pytest
import torch

from seqdis.datasets._cache import cache_folder
from seqdis.errors import CapabilityError, DataError, SeqdisError
from seqdis.evaluation.judge import Judge
from seqdis.evaluation.judging import RealTest, different_pairs, generative, judged, one_kept, produced
from seqdis.methods import DBSE
from seqdis.sequences import DataSpec, FactorSpec, Sequences
from seqdis.training import Training
from toy_judge import FIGURES, JUDGE, TrueModel

PARTS = FIGURES.parts()


@pytest.fixture(scope="module")
def folder(own_cache):
    return cache_folder()  # shared with the tests of protocols: one training


@pytest.fixture(scope="module")
def real(folder):
    return RealTest.of(JUDGE, PARTS, folder)


@pytest.fixture(scope="module")
def model():
    training = Training(max_epochs=1, batch_size=16)
    return DBSE(static_dim=3, dynamic_dim=2, feature_dim=8, hidden_dim=8, filters=4, training=training).fit(
        PARTS["train"][:32]
    )


def test_real_test_data_are_read_and_counted(real):
    assert real.factors("static") == ("shape", "colour", "size")
    assert real.factors("dynamic") == ("motion",)
    for name, share in real.accuracy.items():
        assert share == np.mean(real.views[name].argmax(1) == PARTS["test"].labels[name])
        assert share >= 0.99
        assert real.mark(name) == ""
    assert real.notes()["accuracy on real test data"] == real.accuracy
    assert real.notes()["epochs trained"] == len(real.judge.history_)


def test_unknown_labels_of_test_do_not_count(folder):
    labels = {**PARTS["test"].labels, "colour": np.where(np.arange(60) < 20, PARTS["test"].labels["colour"], -1)}
    part = replace(PARTS["test"], labels=labels)
    assert RealTest.of(JUDGE, {**PARTS, "test": part}, folder).accuracy["colour"] == 1


def test_a_weak_judge_is_refused_or_its_rows_are_marked(folder):
    weak = Judge(epochs=1, filters=2, feature_dim=4, hidden_dim=4, factors=("motion", "size"))
    with pytest.raises(
        SeqdisError, match=r"'motion' in 0\.\d+, 'size' in 0\.\d+ right; expected at least 0.99"
    ) as error:
        RealTest.of(weak, PARTS, folder)
    assert "judge.on_weak='warn'" in str(error.value)
    warned = RealTest.of(weak.replace(on_weak="warn"), PARTS, folder)
    assert warned.mark("motion") == f" (weak judge: {warned.accuracy['motion']:.3f})"
    assert RealTest.of(weak.replace(floor=0.0), PARTS, folder).mark("motion") == ""


def test_only_factors_that_are_needed_must_be_read_well(folder):
    weak = Judge(epochs=1, filters=2, feature_dim=4, hidden_dim=4, factors=("motion", "size"))
    with pytest.raises(SeqdisError, match=r"it reads 'size' in 0\.\d+ right"):
        RealTest.of(weak, PARTS, folder, needed=("size",))
    assert set(RealTest.of(weak, PARTS, folder, needed=()).accuracy) == {"motion", "size"}


def test_the_test_part_decides_nothing_about_the_judge(real, folder):
    shuffled = replace(PARTS["test"], x=PARTS["test"].x[::-1].copy())
    spoilt = RealTest.of(JUDGE.replace(floor=0.0), {**PARTS, "test": shuffled}, folder)
    assert spoilt.accuracy["motion"] < 0.5
    for name, weight in real.judge.network_.state_dict().items():
        assert torch.equal(weight, spoilt.judge.network_.state_dict()[name])


@pytest.mark.parametrize("keep", ["static", "dynamic"])
def test_draws_are_those_of_sample(model, real, keep):
    part = PARTS["test"][:10]
    codes = one_kept(generative(model), model.encode(part), keep, seed=3)
    expected = model.sample(like=part, keep=keep, mean=keep == "static", seed=3)
    np.testing.assert_allclose(model.decode(codes), expected, atol=1e-6)
    other = one_kept(generative(model), model.encode(part), keep, seed=4)
    kept, drawn = ("static", "dynamic") if keep == "static" else ("dynamic", "static")
    assert torch.equal(getattr(other, kept), getattr(codes, kept))
    assert not torch.equal(getattr(other, drawn), getattr(codes, drawn))
    views = judged(real.judge, generative(model), codes, 8)
    np.testing.assert_allclose(views["motion"], real.judge.predict_proba(expected)["motion"], atol=1e-5)


def test_what_is_judged_in_pieces_is_judged_as_a_whole(real, monkeypatch):
    model, codes = TrueModel(), TrueModel().encode(PARTS["test"])
    whole = judged(real.judge, model, codes, 8)
    monkeypatch.setattr("seqdis.evaluation.judging.DECODED_AT_ONCE", 7)
    pieces = judged(real.judge, model, codes, 8)
    for name in whole:
        np.testing.assert_allclose(pieces[name], whole[name], atol=1e-5)


def test_frames_beyond_the_end_are_not_judged(real):
    class Padding(TrueModel):
        def decode(self, factors):
            frames = super().decode(factors)
            frames[:, 5:] = 1.0
            return frames

    codes, models = TrueModel().encode(PARTS["test"]), (Padding(), TrueModel())
    for steps, lengths in ((8, np.full(60, 5)), (5, None)):
        dirty, clean = (judged(real.judge, each, codes, steps, lengths)["colour"] for each in models)
        np.testing.assert_array_equal(dirty, clean)


def test_models_that_cannot_generate_are_refused():
    class NoPrior(TrueModel):
        probabilistic = False

    class NoEncoder(TrueModel):
        has_encoder = False

    for model in (NoPrior(), NoEncoder(), object()):
        with pytest.raises(CapabilityError, match="cannot keep one code and draw the other") as refused:
            generative(model)
        # Other evaluations are no way out where it is the encoder that lacks.
        assert ("such as reencode-swap" in str(refused.value)) is getattr(model, "has_encoder", True)


def test_decoded_images_are_sequences_in_zero_to_one(model):
    part = replace(PARTS["test"][:4], lengths=np.array([8, 3, 8, 8]))
    copy = produced(model.reconstruct(part), part)
    assert copy.spec.scale == (1.0,)
    assert copy.lengths is part.lengths
    as_stored = produced(part.x.astype(np.float32) / 255, part)
    torch.testing.assert_close(model.encode(as_stored).static, model.encode(part).static)


def test_pairs_are_of_different_sequences_and_seeded():
    first, second = different_pairs(3, 400, seed=0)
    assert (first != second).all()
    assert set(first) == set(second) == {0, 1, 2}
    assert (different_pairs(3, 400, seed=1)[0] != first).any()


def test_labels_of_test_are_checked_like_those_of_train(folder):
    test = PARTS["test"]
    with pytest.raises(DataError, match="unknown label 'shape'"):
        RealTest.of(JUDGE, {**PARTS, "test": replace(test, labels={})}, folder)
    gaps = np.where(np.arange(60) < 20, np.nan, test.labels["colour"])
    real = RealTest.of(JUDGE, {**PARTS, "test": replace(test, labels={**test.labels, "colour": gaps})}, folder)
    assert real.part.labels["colour"].tolist() == [-1] * 20 + test.labels["colour"][20:].tolist()
    assert real.part.labels["position_x"] is test.labels["position_x"]


def test_factor_kinds_are_those_of_the_data(folder):
    spec = DataSpec(
        kind="image",
        shape=(1, 8, 8),
        length=2,
        factors=(
            FactorSpec(name="b", kind="dynamic", classes=("0", "1")),
            FactorSpec(name="n", kind="static", unit="m"),
        ),
    )
    part = Sequences(x=np.zeros((4, 2, 1, 8, 8), np.uint8), spec=spec, labels={"b": np.array([0, 1, 0, 1])})
    tiny = Judge(epochs=1, filters=2, feature_dim=2, hidden_dim=2, floor=0.0)
    real = RealTest.of(tiny, {"train": part, "valid": part, "test": part}, folder)
    assert (real.factors("static"), real.factors("dynamic")) == ((), ("b",))
