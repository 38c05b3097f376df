from dataclasses import replace

import numpy as np
import pytest

from fakes import DYNAMIC, NOISE, PlantedData, PlantedModel, groups
from seqdis.datasets import SequenceDataset
from seqdis.errors import CapabilityError, DataError, SettingsError
from seqdis.evaluation import Report, controls
from seqdis.hyperparameters import from_dict, hyper, hyperparameters, to_dict, validate
from seqdis.methods import VAE
from seqdis.protocols import CalendarMonth, ICUUnit, Mortality
from seqdis.training import Training

DEATHS = PlantedData(static="mortality", static_classes=2, sizes=(80, 40, 80), name="physionet", noise=0.3)
UNITS = PlantedData(static="icu_unit", sizes=(80, 40, 80), noise=0.3)
QUICK = {"epochs": 2, "repeats": 2, "resamples": 10}
CONTROLS = {
    "class prior",
    "boosted raw summaries",
    "observation counts",
    "untrained encoder",
    "PCA code",
    "raw features",
    "linear raw summaries",
    "forest on raw summaries",
    "supervised GRU",
}
MODEL = {"role": "model"}


@pytest.fixture(scope="module")
def mortality():
    return Mortality(**QUICK).run(PlantedModel(), DEATHS)


@pytest.fixture(scope="module")
def unit():
    return ICUUnit(**QUICK).run(PlantedModel(), UNITS)


def test_every_model_row_has_its_controls_beside_it(mortality, unit):
    for report, n in ((mortality, 2 + 6), (unit, 1 + 3)):
        models = report.find(role="model")
        assert len(models) == n
        for row in models:
            beside = report.find(form=row.form, metric=row.metric, factor=row.factor, role="control")
            assert {control.method for control in beside} == CONTROLS
            assert len(beside) == len(CONTROLS)


def test_informative_codes_are_read_and_noise_is_not(mortality):
    def corrected(report, read):
        return report.find(role="model", form="corrected", metric="AUROC", factor=f"mortality from {read}")[0].value

    assert corrected(mortality, "static") > 0.95
    assert corrected(mortality, "static + dynamic") > 0.95
    assert corrected(mortality, "dynamic") < 0.65
    noise = Mortality(**QUICK, forms=("corrected",)).run(
        PlantedModel(static=NOISE, dynamic=DYNAMIC), DEATHS, controls=False
    )
    assert corrected(noise, "static + dynamic") < 0.65


@pytest.mark.parametrize("protocol", [Mortality, ICUUnit])
def test_the_corrected_form_reads_each_code_and_both(protocol, mortality, unit):
    report = mortality if protocol is Mortality else unit
    reads = {row.factor.removeprefix(f"{protocol.label} from ") for row in report.find(form="corrected", **MODEL)}
    assert reads == {"static", "dynamic", "static + dynamic"}
    published = {row.factor for row in report.find(form="published", **MODEL)}
    assert published == {f"{protocol.label} from {protocol.head_read}"}


def test_without_controls_only_the_model_is_measured(mortality):
    model = PlantedModel()
    own = Mortality(**QUICK).run(model, DEATHS, controls=False)
    assert own.scores == mortality.find(**MODEL)
    assert len(model.asked) == 3  # one look at each part


def test_a_month_is_read_from_the_code_that_holds_it():
    data = PlantedData(static="month", sizes=(80, 40, 80), noise=0.3, name="air-quality")
    settings = {"repeats": 2, "resamples": 10, "epochs": 20}
    report = CalendarMonth(**settings).run(PlantedModel(), data)
    values = {row.factor: row.value for row in report.find(form="corrected", **MODEL)}
    assert values["month from static"] > 0.9
    assert values["month from static + dynamic"] > 0.9
    assert values["month from dynamic"] < 0.45
    printed = report.find(role="published", method="DBSE")
    assert [(row.value, row.factor, row.spread) for row in printed] == [
        (pytest.approx(0.6587), "month from static", pytest.approx(0.0001))
    ]
    key = ("calendar-month", "published", "accuracy", "month from static")
    assert groups(report)[key] == {"model", "control", "published"}


def test_a_month_that_never_changes_is_refused():
    parts = replace(UNITS, static="month").parts()
    parts["train"].labels["month"][:] = 3
    with pytest.raises(DataError, match="all 80 training labels are the same"):
        CalendarMonth(**QUICK).run(PlantedModel(), parts, controls=False)


def test_chance_is_what_it_must_be(mortality, unit):
    deaths, units = (data.parts()["test"].labels[data.static] for data in (DEATHS, UNITS))
    for row in mortality.find(method="class prior"):
        assert row.value == pytest.approx(0.5 if row.metric == "AUROC" else deaths.mean())
    share = (units == np.bincount(UNITS.parts()["train"].labels["icu_unit"]).argmax()).mean()
    assert [row.value for row in unit.find(method="class prior")] == [pytest.approx(share)] * 4


def test_spreads_say_what_they_are_over(mortality):
    published = mortality.find(role="model", form="published", metric="AUROC")[0]
    assert (published.n, published.over) == (2, "head seeds")
    assert published.spread > 0
    corrected = mortality.find(role="model", form="corrected", metric="AUROC")[0]
    assert (corrected.n, corrected.over) == (10, "test resamples")
    single = ICUUnit(epochs=1, repeats=1, resamples=0).run(PlantedModel(), UNITS)
    assert {row.spread for row in single if row.role != "published"} == {None}


def test_printed_numbers_stand_in_the_same_group(mortality, unit):
    printed = mortality.find(role="published", method="DBSE", metric="AUROC")
    assert [(row.value, row.form, row.factor) for row in printed] == [
        (0.858, "published", "mortality from static + dynamic")
    ]
    key = ("mortality", "published", "AUROC", "mortality from static + dynamic")
    assert groups(mortality)[key] == {"model", "control", "published"}
    assert unit.find(role="published") == ()  # generated data named otherwise
    physionet = ICUUnit(**QUICK, forms=("published",)).run(PlantedModel(), replace(UNITS, name="physionet"))
    row = physionet.find(role="published", method="DBSE")[0]
    assert (row.value, row.spread) == (pytest.approx(0.5687), pytest.approx(0.0034))


@hyperparameters
class Stays(SequenceDataset):
    """Named like the data of the papers."""

    name = "physionet"
    noise: float = 0.3
    root: str = hyper(default="", identity=False)

    def _splits(self):
        return replace(UNITS, noise=self.noise, name=self.name).parts()


def test_printed_numbers_stand_beside_default_settings_only():
    protocol = ICUUnit(epochs=1, repeats=1, forms=("published",))
    found, other, moved, bare = (
        protocol.run(PlantedModel(), data).find(role="published")
        for data in (Stays(), Stays(noise=0.2), Stays(root="elsewhere"), Stays(noise=0.2).parts())
    )
    assert "DBSE" in {row.method for row in found}
    assert other == ()
    # Where the files lie is no other data; of parts alone the settings are not known.
    assert moved == bare == found


def test_resamples_need_all_classes_only_where_the_metric_does():
    labels = np.arange(40)
    protocol = ICUUnit(resamples=2)
    assert len(protocol._resampled(labels, np.eye(40), None)["accuracy"]) == 2
    deaths = np.array([1] + [0] * 4)
    draws = Mortality(resamples=50)._resampled(deaths, np.stack([1 - deaths, deaths], 1).astype(float), None)
    assert {name: set(values) for name, values in draws.items()} == {name: {1.0} for name in Mortality.metrics}


def test_sequences_of_one_group_are_no_independent_evidence():
    """The same 80 test sequences as eight of ten copies each: the spread of 80 would be too small by 3.2."""

    def spread(groups):
        parts = replace(UNITS, noise=1.0).parts()
        test = parts["test"][np.arange(8).repeat(10)]
        parts["test"] = replace(test, groups=np.arange(8).repeat(10) if groups else None)
        report = ICUUnit(resamples=400, forms=("corrected",)).run(PlantedModel(static=NOISE), parts, controls=False)
        return report.find(factor="icu_unit from static")[0].spread

    assert spread(groups=True) / spread(groups=False) == pytest.approx(10**0.5, rel=0.2)


def test_principal_components_see_the_unlabelled_sequences_that_the_model_saw(monkeypatch):
    seen = []
    inner = controls.RawFeatures.fit
    monkeypatch.setattr(
        controls.RawFeatures, "fit", lambda self, train, *rest: seen.append(len(train)) or inner(self, train, *rest)
    )
    parts = UNITS.parts()
    parts["train"].labels["icu_unit"][:30] = -1
    report = ICUUnit(**QUICK, forms=("corrected",)).run(PlantedModel(), parts)
    assert seen[0] == 80
    assert report.provenance["icu-unit"]["sequences"]["train"] == 50


def test_unknown_labels_are_dropped_and_counted(unit):
    parts = UNITS.parts()
    parts["valid"].labels["icu_unit"][:7] = -1
    report = ICUUnit(**QUICK, forms=("corrected",)).run(PlantedModel(), parts, controls=False)
    notes = report.provenance["icu-unit"]
    assert notes["dropped, label unknown"] == {"train": 0, "valid": 7, "test": 0}
    assert notes["sequences"] == {"train": 80, "valid": 33, "test": 80}
    assert sum(notes["per class"]["valid"]) == 33
    assert unit.provenance["icu-unit"]["dropped, label unknown"]["valid"] == 0


def test_nothing_is_fitted_or_chosen_on_test():
    clean = ICUUnit(**QUICK).run(PlantedModel(), UNITS, controls=False)
    poisoned = ICUUnit(**QUICK).run(PlantedModel(), replace(UNITS, poison=1), controls=False)
    for form in ("published", "corrected"):
        before, after = (report.find(role="model", form=form)[0].value for report in (clean, poisoned))
        assert before + after <= 1  # the same answers cannot be right for both sets of labels
    assert clean.find(role="model", form="corrected")[0].value > 0.9
    assert poisoned.find(role="model", form="corrected")[0].value < 0.1


def test_equal_settings_give_an_equal_report(mortality):
    again = Mortality(**QUICK).run(PlantedModel(), DEATHS)
    assert again == mortality


def test_a_report_of_a_protocol_survives_the_disk(mortality, tmp_path):
    assert Report.load(mortality.save(tmp_path / "report.json")) == mortality
    assert mortality.settings["mortality"]["repeats"] == 2
    assert set(mortality.provenance["data"]) == {"train", "valid", "test"}


def test_parts_and_labels_that_are_missing():
    with pytest.raises(DataError, match="unknown part 'valid'"):
        Mortality().run(PlantedModel(), {k: v for k, v in DEATHS.parts().items() if k != "valid"})
    with pytest.raises(DataError, match="unknown label 'mortality'"):
        Mortality().run(PlantedModel(), UNITS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"forms": ()}, r"forms = \(\): expected"),
        ({"forms": ("printed",)}, "forms"),
        ({"repeats": 0}, "repeats = 0: expected a value at least 1"),
    ],
)
def test_settings_are_checked(settings, words):
    with pytest.raises(SettingsError, match=words):
        Mortality(**settings).run(PlantedModel(), DEATHS)


def test_defaults_are_the_papers_numbers_and_survive_json():
    assert (Mortality().repeats, Mortality().epochs) == (5, 41)
    assert from_dict(Mortality, to_dict(Mortality(repeats=7))) == Mortality(repeats=7)
    validate(ICUUnit())


def recorded(monkeypatch) -> list[tuple[str, int]]:
    """(part, seed) of every sample that is drawn."""
    drawn, encode = [], VAE.encode

    def record(self, X, *, draw=None, **rest):
        if draw is not None:
            drawn.append((X.name.rsplit("/")[-1], draw))
        return encode(self, X, draw=draw, **rest)

    monkeypatch.setattr(VAE, "encode", record)
    return drawn


@pytest.mark.parametrize(("protocol", "data", "passes"), [(Mortality, DEATHS, 1), (ICUUnit, UNITS, 5)])
def test_heads_may_read_fresh_samples_as_released(protocol, data, passes, monkeypatch):
    model = VAE(code_dim=3, window=2, feature_dim=8, training=Training(max_epochs=1)).fit(data.parts()["train"])
    asked = protocol(**QUICK, forms=("published",), codes="samples")
    drawn = recorded(monkeypatch)
    report = asked.run(model, data, controls=False)
    epochs, repeats = QUICK["epochs"], QUICK["repeats"]
    assert len({seed for part, seed in drawn if part == "train"}) == epochs * passes * repeats
    assert len({seed for part, seed in drawn if part == "test"}) == repeats
    assert report.scores == asked.run(model, data, controls=False).scores
    with_means = replace(asked, codes="means").run(model, data)
    (sampled, *_), (mean, *_) = report.find(**MODEL), with_means.find(**MODEL)
    assert (sampled.form, mean.form) == ("published, sampled codes", "published")
    assert protocol is ICUUnit or sampled.value != mean.value  # so few updates all but name one class


def test_sampled_codes_stand_beside_their_controls_and_printed_numbers():
    model = VAE(code_dim=3, window=2, feature_dim=8, training=Training(max_epochs=1)).fit(DEATHS.parts()["train"])
    report = Mortality(**QUICK, codes="samples").run(model, DEATHS)
    found = groups(report)
    key = ("mortality", "published, sampled codes", "AUROC", "mortality from static + dynamic")
    assert found[key] == {"model", "control", "published"}
    assert {form for _, form, _, _ in found} == {"published, sampled codes", "corrected"}


def test_a_model_without_samples_is_refused():
    with pytest.raises(CapabilityError, match="draws from the posterior, which PlantedModel does not offer"):
        Mortality(**QUICK, codes="samples").run(PlantedModel(), DEATHS)
