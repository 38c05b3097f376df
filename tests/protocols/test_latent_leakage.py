from dataclasses import replace

import numpy as np
import pytest

from fakes import DYNAMIC, STATIC, PlantedData, PlantedModel, groups
from seqdis.errors import CapabilityError, DataError, SettingsError
from seqdis.evaluation import published
from seqdis.hyperparameters import signature
from seqdis.methods import VAE
from seqdis.protocols import LatentLeakage
from seqdis.training import Training

DATA = PlantedData(sizes=(120, 30, 120))
QUICK = {"repeats": 2, "resamples": 20}
APART = PlantedModel()
EXCHANGED = PlantedModel(static=DYNAMIC, dynamic=STATIC)
BOTH = {"method": "PlantedModel"}
CONTROLS = {"majority class", "untrained encoder", "PCA code", "raw features"}


def gaps(report, form):
    return [
        report.find(form=form, metric="leakage_gap (SVC)", factor=f"{code} code", **BOTH)[0].value
        for code in ("static", "dynamic")
    ]


@pytest.fixture(scope="module")
def apart():
    return LatentLeakage(**QUICK).run(APART, DATA)


def test_codes_apart_leave_a_gap_up_to_chance(apart):
    for form in ("published", "corrected"):
        static, dynamic = gaps(apart, form)
        assert static == pytest.approx(1 - 1 / 3, abs=0.15)
        assert dynamic == pytest.approx(1 - 1 / 4, abs=0.15)


def test_exchanged_codes_give_negative_gaps():
    report = LatentLeakage(**QUICK).run(EXCHANGED, DATA)
    assert max(gaps(report, "published") + gaps(report, "corrected")) < -0.4


def test_codes_that_hold_everything_leave_no_gap():
    everything = PlantedModel(static=slice(0, 7), dynamic=slice(0, 7))
    report = LatentLeakage(**QUICK, forms=("corrected",)).run(everything, DATA)
    assert np.abs(gaps(report, "corrected")).max() < 0.1


def test_every_model_row_has_its_controls_beside_it(apart):
    models = apart.find(role="model")
    assert len(models) == 2 * (4 + 2)
    for row in models:
        beside = apart.find(form=row.form, metric=row.metric, factor=row.factor, role="control")
        assert {control.method for control in beside} == CONTROLS
        assert len(beside) == len(CONTROLS)
        assert row.better == ("higher" if row.factor not in ("gesture from static", "person from dynamic") else "")


def test_without_controls_only_the_model_is_measured(apart):
    report = LatentLeakage(**QUICK).run(APART, replace(DATA, name="mug"), controls=False)
    assert [row.value for row in report] == [row.value for row in apart.find(role="model")]


def test_the_gap_is_the_difference_of_its_accuracies(apart):
    for form in ("published", "corrected"):
        rows = {row.factor: row.value for row in apart.find(form=form, method="raw features")}
        assert rows["static code"] == pytest.approx(rows["person from static"] - rows["gesture from static"])
        assert rows["dynamic code"] == pytest.approx(rows["gesture from dynamic"] - rows["person from dynamic"])
    spread = apart.find(form="corrected", factor="static code", role="model")[0]
    assert (spread.over, spread.n) == ("test resamples", 20)
    assert apart.find(form="published", factor="static code", role="model")[0].over == "splits"


def test_the_corrected_form_is_not_fitted_on_test(apart):
    poisoned = LatentLeakage(**QUICK).run(APART, replace(DATA, poison=1))
    read = {"factor": "person from static", **BOTH}
    assert apart.find(form="corrected", **read)[0].value == 1.0
    assert poisoned.find(form="corrected", **read)[0].value == 0.0
    assert poisoned.find(form="published", **read)[0].value == 1.0  # fitted on the test part, as printed


def test_sequences_fitted_on_and_scored_on(apart):
    notes = apart.provenance["latent-leakage"]
    assert notes["factors"] == {"static": "person", "dynamic": "gesture"}
    shown = "of these, with a combination of factors that is fitted on"
    assert notes["published"] == {"sequences to fit on": 96, "to score on": 24, shown: 24}
    assert notes["corrected"] == {"sequences to fit on": 150, "to score on": 120, shown: 120}


def test_a_read_below_chance_of_combinations_never_shown_is_no_merit():
    """Test holds only pairs that train lacks: perfect codes make the classifier answer with pairs it knows, wrongly."""
    parts = {}
    for name, part in replace(DATA, sizes=(240, 60, 240)).parts().items():
        held_out = (part.labels["person"] + part.labels["gesture"]) % 3 == 0
        parts[name] = part[held_out == (name == "test")]
    report = LatentLeakage(**QUICK, forms=("corrected",)).run(APART, parts)
    values = {row.factor: row.value for row in report.find(metric="accuracy (SVC)", **BOTH)}
    chance = report.find(method="majority class", factor="gesture from static")[0].value
    assert (values["person from static"], values["gesture from static"]) == (1.0, 0.0)
    assert gaps(report, "corrected")[0] == pytest.approx(1.0 - chance)
    assert 0.1 < chance < 0.5
    notes = report.provenance["latent-leakage"]["corrected"]
    assert notes["of these, with a combination of factors that is fitted on"] == 0


def test_max_rows_bounds_what_is_fitted_on():
    few, all_ = (
        LatentLeakage(**QUICK, forms=("corrected",), max_rows=rows).run(APART, replace(DATA, noise=1.5))
        for rows in (10, 3000)
    )
    read = {"factor": "person from static", **BOTH}
    assert few.find(**read)[0].value < all_.find(**read)[0].value - 0.1


@pytest.mark.parametrize("stride", [1, 2])
def test_labels_per_step_are_read_position_by_position(stride):
    data = replace(DATA, per_step=stride == 1, sizes=(60, 20, 40))
    report = LatentLeakage(**QUICK, forms=("corrected",)).run(replace(APART, stride=stride), data)
    own = report.find(factor="gesture from dynamic", **BOTH)[0].value
    other = report.find(factor="gesture from static", **BOTH)[0].value
    assert own > 0.95
    assert other == pytest.approx(1 / 3, abs=0.15)


def test_sequences_of_different_length():
    report = LatentLeakage(**QUICK).run(APART, replace(DATA, ragged=True))
    for form in ("published", "corrected"):
        assert min(gaps(report, form)) > 0.4


def test_all_classifiers_agree_on_planted_codes():
    report = LatentLeakage(repeats=1, forms=("published",), classifiers=("RandomForest", "KNN")).run(
        APART, replace(DATA, sizes=(40, 10, 60))
    )
    for classifier in ("RandomForest", "KNN"):
        row = report.find(metric=f"leakage_gap ({classifier})", factor="static code", **BOTH)[0]
        assert row.value > 0.3


def test_scaling_uncovers_what_hides_in_a_small_dimension():
    class Hiding(PlantedModel):
        def encode(self, X):
            codes = super().encode(X)
            codes.static[:, 4:7] *= 1e-3
            return codes

    hiding = Hiding(static=slice(0, 7))
    found = {}
    for standardise in (False, True):
        report = LatentLeakage(**QUICK, forms=("corrected",), standardise=standardise).run(hiding, DATA)
        found[standardise] = report.find(factor="gesture from static", role="model")[0].value
    assert found[False] < 0.5
    assert found[True] > 0.9


def test_one_kind_of_factor_gives_accuracies_without_gaps():
    parts = {name: replace(part, labels={"gesture": part.labels["gesture"]}) for name, part in DATA.parts().items()}
    report = LatentLeakage(**QUICK, forms=("published",)).run(APART, parts)
    assert {row.factor for row in report} == {"gesture from static", "gesture from dynamic"}


def test_factors_are_chosen_by_name_or_refused():
    with pytest.raises(DataError, match="unknown factor 'persn'"):
        LatentLeakage(static_factor="persn").run(APART, DATA)
    with pytest.raises(DataError, match="'level' is not a class"):
        LatentLeakage(static_factor="level").run(APART, DATA)
    bare = {name: replace(part, labels={}) for name, part in DATA.parts().items()}
    with pytest.raises(DataError, match="no class-valued factor"):
        LatentLeakage().run(APART, bare)
    with pytest.raises(SettingsError, match="'gesture' is read as static and as dynamic factor"):
        LatentLeakage(static_factor="gesture").run(APART, DATA)
    with pytest.raises(SettingsError, match=r"classifiers = \(\)"):
        LatentLeakage(classifiers=()).run(APART, DATA)


def test_classes_that_train_lacks_are_refused_with_a_way_out():
    parts = DATA.parts()
    parts["test"].labels["person"][:] += 4
    with pytest.raises(DataError, match=r"'person' from the static code: none of the classes"):
        LatentLeakage(**QUICK).run(APART, parts)
    assert LatentLeakage(**QUICK, forms=("published",)).run(APART, parts).find(role="model")


def test_a_factor_of_one_class_is_refused():
    parts = DATA.parts()
    for part in parts.values():
        part.labels["person"][:] = np.where(np.arange(len(part)) % 2, 1, -1)
    with pytest.raises(DataError, match="'person' has a single class here; name another static_factor"):
        LatentLeakage(**QUICK).run(APART, parts)


def test_a_test_part_of_one_sequence_is_too_small_to_be_divided():
    parts = DATA.parts()
    parts["test"] = parts["test"][:1]
    with pytest.raises(DataError, match=r"has 1 sequence\(s\): too few for the published form"):
        LatentLeakage(**QUICK).run(APART, parts)
    assert LatentLeakage(**QUICK, forms=("corrected",)).run(APART, parts).find(role="model")


def test_printed_numbers_stand_in_the_same_group():
    report = LatentLeakage(repeats=1, forms=("published",)).run(APART, replace(DATA, name="mug"))
    key = ("latent-leakage", "published", "accuracy (SVC)", "gesture from static")
    assert groups(report)[key] == {"model", "control", "published"}
    gap = report.find(role="published", method="DBSE", factor="static code", metric="leakage_gap (SVC)")[0]
    assert gap.value == pytest.approx(0.5429)
    assert all(
        published(name, place.key) or "KNN" in place.key for place in LatentLeakage.published for name in ("MUG",)
    )


def test_samples_may_be_read_instead_of_means():
    parts = DATA.parts()
    model = VAE(code_dim=3, window=2, feature_dim=8, training=Training(max_epochs=1)).fit(parts["train"])
    asked = LatentLeakage(**QUICK, forms=("corrected",))
    means, samples = (asked.replace(codes=codes).run(model, DATA) for codes in ("means", "samples"))
    for method in ("VAE", "untrained encoder"):
        one, other = ([row.value for row in report.find(method=method)] for report in (means, samples))
        assert one != other
    assert means.find(method="PCA code") == samples.find(method="PCA code")
    assert signature(asked) == signature(asked.replace(codes="means")) != signature(asked.replace(codes="samples"))
    with pytest.raises(CapabilityError, match=r"codes='samples' draws from the posterior, which PlantedModel"):
        asked.replace(codes="samples").run(APART, DATA)
