from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes import PlantedModel, groups
from seqdis.datasets import SpokenWords
from seqdis.errors import CapabilityError, DataError, SettingsError
from seqdis.factors import Factors
from seqdis.methods import DBME, DBSE
from seqdis.protocols import SpeakerVerification
from seqdis.sequences import DataSpec, FactorSpec, Sequences
from seqdis.training import Training

VOICE, SPEECH, NOISE = slice(0, 4), slice(4, 6), slice(6, 8)
SPEC = DataSpec(
    kind="spectrogram",
    shape=(8,),
    length=12,
    factors=(
        FactorSpec(name="speaker", kind="static", classes=tuple(f"s{i:02d}" for i in range(24))),
        FactorSpec(name="word", kind="dynamic", classes=("one", "two", "three")),
    ),
)
QUICK = {"resamples": 20, "forms": ("corrected",)}
CONTROLS = {"mean spectrogram", "untrained encoder", "starved dynamic code"}


def words(speakers, each, seed, name, ragged=False):
    """Speakers with a voice say each word ``each`` times; a word is a tone that rises, falls or does both."""
    draw = np.random.default_rng(seed)
    voices = np.random.default_rng(99).standard_normal((24, 4))
    speaker = np.repeat(speakers, 3 * each)
    word = np.tile(np.arange(3), len(speakers) * each)
    time = np.linspace(0, 1, 12)
    tones = np.stack([time, 1 - time, 1 - 2 * np.abs(time - 0.5)])
    tones = np.stack([tones, 1 - tones], -1)
    x = 0.3 * draw.standard_normal((len(word), 12, 8))
    x[..., VOICE] += voices[speaker][:, None]
    x[..., SPEECH] += tones[word]
    lengths = None
    if ragged:
        lengths = draw.integers(8, 13, len(word))
        x[np.arange(12) >= lengths[:, None]] = 0
    ids = np.array([f"u{row}" for row in range(len(word))])
    labels = {"speaker": speaker, "word": word}
    return Sequences(x=x.astype(np.float32), spec=SPEC, lengths=lengths, labels=labels, ids=ids, name=f"toy/{name}")


def parts(ragged=False, said=None):
    found = {
        "train": words(np.arange(0, 12), 2, 0, "train", ragged),
        "valid": words(np.arange(12, 16), 2, 1, "valid", ragged),
        "test": words(np.arange(16, 24), 3, 2, "test", ragged),
    }
    return found if said is None else {name: replace(part, **said(part)) for name, part in found.items()}


def value(report, metric, factor, method="PlantedModel", form="corrected"):
    (row,) = report.find(metric=metric, factor=factor, method=method, form=form)
    return row.value


APART = PlantedModel(static=VOICE, dynamic=SPEECH, spec_=SPEC)


@pytest.fixture(scope="module")
def apart():
    return SpeakerVerification(**QUICK).run(APART, parts())


def test_codes_apart_verify_by_the_static_one_alone_and_say_the_word(apart):
    assert value(apart, "EER", "static") < 0.1
    assert value(apart, "EER", "dynamic") == pytest.approx(0.5, abs=0.06)
    assert value(apart, "EER gap", "") == pytest.approx(value(apart, "EER", "dynamic") - value(apart, "EER", "static"))
    assert value(apart, "accuracy", "word from dynamic") > 0.95
    assert value(apart, "accuracy", "word from static") == pytest.approx(1 / 3, abs=0.15)


def test_exchanged_codes_give_a_negative_gap():
    report = SpeakerVerification(**QUICK).run(replace(APART, static=SPEECH, dynamic=VOICE), parts())
    assert value(report, "EER gap", "") < -0.3
    assert value(report, "accuracy", "word from dynamic") < 0.6


def test_a_blind_dynamic_code_has_the_gap_but_not_the_words():
    blind = SpeakerVerification(**QUICK).run(replace(APART, dynamic=NOISE), parts())
    assert value(blind, "EER gap", "") > 0.35
    assert value(blind, "accuracy", "word from dynamic") == pytest.approx(1 / 3, abs=0.15)


def test_every_number_of_the_model_has_its_controls(apart):
    for row in apart.find(role="model"):
        beside = {r.method for r in apart.find(metric=row.metric, factor=row.factor, form=row.form, role="control")}
        expected = CONTROLS | ({"majority class"} if row.metric == "accuracy" else set())
        assert beside == expected - ({"starved dynamic code"} if row.factor == "word from static" else set())
    assert value(apart, "accuracy", "word from dynamic", "majority class") == pytest.approx(1 / 3)
    assert value(apart, "accuracy", "word from dynamic", "starved dynamic code") == pytest.approx(1 / 3, abs=0.15)
    assert value(apart, "EER", "static", "starved dynamic code") == value(apart, "EER", "static")
    assert value(apart, "EER", "dynamic", "starved dynamic code") == pytest.approx(0.5, abs=0.06)
    assert value(apart, "EER gap", "", "mean spectrogram") == 0.0


def test_the_mean_spectrogram_is_what_networks_see():
    moved = {
        name: replace(part, x=5 + 3 * part.x, spec=replace(SPEC, center=(5.0,), scale=(3.0,)))
        for name, part in parts().items()
    }
    own = replace(APART, spec_=moved["train"].spec)
    rates = [
        value(SpeakerVerification(**QUICK).run(model, data), "EER", "static", "mean spectrogram")
        for model, data in ((APART, parts()), (own, moved))
    ]
    assert rates[0] == pytest.approx(rates[1], abs=1e-3)


def test_without_controls_the_rows_of_the_model_stay_the_same(apart):
    report = SpeakerVerification(**QUICK).run(APART, parts(), controls=False)
    assert [(row.metric, row.factor, row.value) for row in report] == [
        (row.metric, row.factor, row.value) for row in apart.find(role="model")
    ]


def test_utterances_together_are_told_apart_better():
    noisy = {name: replace(part, x=part.x + 2 * wobble(part)) for name, part in parts().items()}
    report = SpeakerVerification(**QUICK, together=(1, 3)).run(APART, noisy)
    assert value(report, "EER", "static, 3 together") < value(report, "EER", "static") - 0.05
    assert value(report, "EER gap", "3 together") > value(report, "EER gap", "")


def wobble(part):
    return np.random.default_rng(7).standard_normal((len(part), 1, 8)).astype(np.float32)


def test_segments_of_an_utterance_make_one_vector():
    def ids(part):
        return {"ids": np.array([f"u{row // 3}@{12 * (row % 3)}" for row in range(len(part))])}

    report = SpeakerVerification(**QUICK).run(APART, parts(said=ids))
    assert report.provenance["speaker-verification"]["utterances"] == 24
    assert value(report, "EER", "static") <= value(SpeakerVerification(**QUICK).run(APART, parts()), "EER", "static")


@pytest.mark.parametrize("ragged", [False, True])
def test_padding_does_not_count(ragged):
    data = parts(ragged)
    loud = {name: replace(part, x=np.where(part.observed()[..., None], part.x, 50)) for name, part in data.items()}

    class Careful(PlantedModel):
        def encode(self, X):
            x = torch.from_numpy(np.where(X.observed()[..., None], X.x, 0))
            lengths = None if X.lengths is None else torch.from_numpy(X.lengths)
            static = x[..., self.static].sum(1) / torch.from_numpy(X.observed().sum(1, keepdims=True))
            return Factors(static, torch.from_numpy(X.x)[..., self.dynamic], lengths)

    model = Careful(static=VOICE, dynamic=SPEECH, spec_=SPEC)
    before, after = (SpeakerVerification(**QUICK).run(model, some) for some in (data, loud))
    own = [[row.value for row in report if row.method != "untrained encoder"] for report in (before, after)]
    assert own[0] == pytest.approx(own[1])


def test_labels_per_frame_are_read_frame_by_frame():
    def phones(part):
        return {"labels": {**part.labels, "word": (part.x[..., 4] > 0.5).astype(np.int64)}}

    report = SpeakerVerification(**QUICK, max_rows=400).run(APART, parts(said=phones))
    assert value(report, "accuracy", "word from dynamic") > 0.9
    assert report.provenance["speaker-verification"]["content"]["sequences of train"] == 400 // 12


def test_nothing_is_fitted_on_test(apart):
    def other_words(part):
        return {"labels": {**part.labels, "word": (part.labels["word"] + part.name.endswith("test")) % 3}}

    poisoned = SpeakerVerification(**QUICK).run(APART, parts(said=other_words))
    assert value(poisoned, "accuracy", "word from dynamic") < 0.05


def test_without_a_valid_part_or_contents_there_is_less_to_say():
    data = parts()
    report = SpeakerVerification(**QUICK).run(APART, {name: data[name] for name in ("train", "test")})
    assert value(report, "accuracy", "word from dynamic") > 0.95
    spec = replace(SPEC, factors=SPEC.factors[:1])
    silent = {name: replace(part, spec=spec, labels={"speaker": part.labels["speaker"]}) for name, part in data.items()}
    assert {row.metric for row in SpeakerVerification(**QUICK).run(APART, silent)} == {"EER", "EER gap"}


# Forms


@pytest.fixture(scope="module")
def fitted():
    model = DBSE(static_dim=4, dynamic_dim=2, feature_dim=8, hidden_dim=8, training=Training(max_epochs=2))
    return model.fit(parts()["train"])


def test_the_published_form_samples_dynamic_codes_and_only_these(fitted):
    forms = SpeakerVerification(resamples=0).run(fitted, parts())
    published, corrected = (
        {row.factor: row.value for row in forms.find(form=form, metric="EER", role="model")}
        for form in ("published", "corrected")
    )
    assert published["static"] == corrected["static"]
    assert published["dynamic"] != corrected["dynamic"]
    assert published == {
        row.factor: row.value
        for row in SpeakerVerification(resamples=0, forms=("published",)).run(fitted, parts(), controls=False)
        if row.metric == "EER"
    }
    other = SpeakerVerification(resamples=0, seed=1, forms=("published",)).run(fitted, parts(), controls=False)
    assert value(other, "EER", "dynamic", "DBSE", "published") != published["dynamic"]


def test_a_draw_of_the_posterior_is_around_its_mean(fitted):
    test = parts()["test"]
    mean, first, again, second = (fitted.encode(test, draw=draw) for draw in (None, 1, 1, 2))
    assert torch.equal(first.dynamic, again.dynamic)
    assert not torch.equal(first.dynamic, second.dynamic)
    many = torch.stack([fitted.encode(test, draw=draw).static for draw in range(200)])
    assert torch.allclose(many.mean(0), mean.static, atol=0.5 * float(many.std(0).max()))


def test_papers_stand_beside_timit():
    report = SpeakerVerification(resamples=0, forms=("corrected",)).run(
        APART, {name: replace(part, name=part.name.replace("toy", "timit")) for name, part in parts().items()}
    )
    printed = {row.factor: row.value for row in report.find(role="published", method="DBSE", metric="EER")}
    assert printed == pytest.approx({"static": 0.035, "dynamic": 0.3462})
    assert groups(report)[("speaker-verification", "published", "EER gap", "")] == {"published"}


def test_what_cannot_be_answered():
    with pytest.raises(CapabilityError, match="PlantedModel does not offer"):
        SpeakerVerification().run(APART, parts())
    with pytest.raises(SettingsError, match="expected numbers from 1"):
        SpeakerVerification(together=()).run(APART, parts())
    with pytest.raises(DataError, match="unknown label"):
        SpeakerVerification(speaker="singer").run(APART, parts())
    with pytest.raises(DataError, match="expected two speakers"):
        SpeakerVerification(**QUICK, together=(7,)).run(APART, parts())


# ---- the real data


@pytest.mark.data
def test_unseen_speakers_are_told_apart_by_what_is_steady_in_their_words(data_root):
    pytest.importorskip("librosa")
    if not (data_root / "dspspeech20").is_dir():
        pytest.skip("no dspspeech20 folder")
    data = SpokenWords(root=str(data_root))
    train, test = data.split("train", "test")
    assert not set(train.labels["speaker"]) & set(test.labels["speaker"])
    model = DBME.published("spoken-words").replace(training=Training(max_epochs=1), dynamic_dim=4).fit(train)
    report = SpeakerVerification(forms=("published",), together=(5,), resamples=0).run(model, data)
    own = value(report, "EER", "static, 5 together", "DBME", "published")
    assert own < 0.05
    assert own < 0.5 * value(report, "EER", "static, 5 together", "mean spectrogram", "published")
