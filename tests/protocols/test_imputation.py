from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from fakes import PlantedData, PlantedModel
from seqdis.errors import CapabilityError, DataError
from seqdis.protocols import Imputation
from seqdis.sequences import DataSpec, Sequences

CONTROLS = {"training mean", "sequence mean", "last value", "linear interpolation", "untrained network"}


@dataclass
class Waves:
    """Smooth series of features with different units; some values missing."""

    missing: float = 0.0
    sizes: tuple[int, int] = (40, 30)
    time: int = 20
    ragged: bool = False
    name: str = "waves"

    def parts(self):
        return {name: self._part(name, self.sizes[k], k) for k, name in enumerate(("train", "test"))}

    def _part(self, name, n, k):
        draw = np.random.default_rng(k)
        phase = draw.random((n, 1, 3)) * 6
        x = np.sin(phase + np.arange(self.time)[None, :, None] / 5) * [1, 10, 100] + [0, 50, -7]
        mask = draw.random(x.shape) >= self.missing if self.missing else None
        lengths = draw.integers(5, self.time + 1, size=n) if self.ragged else None
        spec = DataSpec(kind="series", shape=(3,), length=self.time, missing=bool(self.missing))
        return Sequences(x=x.astype(np.float32), spec=spec, mask=mask, lengths=lengths, name=f"{self.name}/{name}")


@dataclass
class Recorder(PlantedModel):
    """Answers with ``answer`` of what it is given, and keeps what it saw."""

    answer: object = staticmethod(lambda X: X.x)
    seen: list = field(default_factory=list)

    def reconstruct(self, X):
        self.seen.append(X)
        return self.answer(X)

    def untrained(self):
        return self


def errors(report, metric):
    return {row.method: row.value for row in report.find(metric=metric)}


@pytest.fixture(scope="module")
def report():
    return Imputation(resamples=20).run(Recorder(), Waves(missing=0.2))


def test_every_model_row_has_its_controls_beside_it(report):
    for metric in ("MSE", "MAE"):
        assert set(errors(report, metric)) == {"Recorder", *CONTROLS}
        assert len(report.find(metric=metric)) == 1 + len(CONTROLS)
    row = report.find(role="model", metric="MAE")[0]
    assert (row.factor, row.better, row.n, row.over) == ("hidden values", "lower", 20, "test resamples")
    own = Imputation(resamples=20).run(Recorder(), Waves(missing=0.2), controls=False)
    assert own.scores == report.find(role="model")


@pytest.mark.parametrize("data", [Waves(), Waves(missing=0.3), Waves(ragged=True, missing=0.1)])
def test_no_hidden_value_reaches_the_model(data):
    model = Recorder()
    report = Imputation(share=0.4).run(model, data)
    test = data.parts()["test"]
    notes = report.provenance["imputation"]
    for given in model.seen:
        hidden = test.observed() & ~given.observed()
        assert hidden.sum() == notes["hidden"]
        assert hidden.sum() / test.observed().sum() == pytest.approx(0.4, abs=0.03)
        assert not (given.observed() & ~test.observed()).any()
        # What stands in the place of hidden values is one number per feature, whatever they were.
        assert all(len(np.unique(given.x[..., k][hidden[..., k]])) == 1 for k in range(3))
        np.testing.assert_array_equal(given.x[given.observed()], test.x[given.observed()])
        assert given.observed().any((1, 2)).all()
    assert len(model.seen) == 2


def test_the_input_is_left_alone():
    parts = Waves(missing=0.2).parts()
    before = {name: part.fingerprint() for name, part in parts.items()}
    Imputation().run(Recorder(), parts)
    assert {name: part.fingerprint() for name, part in parts.items()} == before


def test_errors_by_hand_in_deviations_of_train():
    parts = Waves().parts()
    model = Recorder()
    report = Imputation().run(model, parts)
    hidden = ~model.seen[0].observed()
    mean, std = parts["train"].x.mean((0, 1)), parts["train"].x.std((0, 1))
    scaled = ((parts["test"].x - mean) / std)[hidden]
    assert errors(report, "MAE")["training mean"] == pytest.approx(np.abs(scaled).mean(), rel=1e-4)
    assert errors(report, "MSE")["training mean"] == pytest.approx(np.square(scaled).mean(), rel=1e-4)
    # The mean of a feature stands where a value is hidden: an echo of the input scores as that control.
    assert errors(report, "MSE")["Recorder"] == pytest.approx(np.square(scaled).mean(), rel=1e-4)


def test_a_model_that_knows_is_right_and_smooth_series_are_interpolated(report):
    data = Waves(missing=0.2)
    whole = data.parts()["test"].x
    known = Imputation(resamples=0).run(Recorder(answer=lambda X: whole), data)
    assert errors(known, "MSE")["Recorder"] == pytest.approx(0, abs=1e-9)
    assert known.find(role="model")[0].spread is None
    mae = errors(report, "MAE")
    assert mae["linear interpolation"] < 0.5 * mae["last value"] < 0.5 * mae["training mean"]


def test_values_missing_from_the_start_never_count():
    data = Waves(missing=0.3)
    test = data.parts()["test"]
    wild = lambda X: np.where(test.mask, test.x, 1e6)  # noqa: E731
    assert errors(Imputation().run(Recorder(answer=wild), data), "MSE")["Recorder"] == pytest.approx(0, abs=1e-9)


def test_seeds_hide_other_values():
    models = [Recorder() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        Imputation(seed=seed).run(model, Waves(), controls=False)
    first, again, other = (model.seen[0].mask for model in models)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_what_cannot_be_hidden_is_refused():
    images = {
        name: replace(part, spec=replace(part.spec, kind="spectrogram")) for name, part in Waves().parts().items()
    }
    with pytest.raises(CapabilityError, match="holds spectrograms"):
        Imputation().run(Recorder(), images)
    single = PlantedData(sizes=(4, 4, 4), time=1).parts()
    lonely = np.zeros((4, 1, 9), bool)
    lonely[..., 0] = True
    with pytest.raises(DataError, match="hides none of 4 observed values"):
        Imputation(share=0.9).run(Recorder(), {**single, "test": replace(single["test"], mask=lonely)})
    with pytest.raises(DataError, match=r"Recorder reconstructed shape \(30, 19, 3\)"):
        Imputation().run(Recorder(answer=lambda X: X.x[:, 1:]), Waves())


def test_test_sequences_in_train_are_refused():
    parts = Waves(missing=0.2).parts()
    with pytest.raises(DataError, match="30 of 30 sequences of waves/test are also in"):
        Imputation().run(Recorder(), {**parts, "train": parts["test"]})
