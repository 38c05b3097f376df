from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from seqdis.datasets import PhysioNet2012
from seqdis.errors import CapabilityError, DataError
from seqdis.evaluation.metrics import bootstrap
from seqdis.evaluation.ridges import STRENGTHS, Block, Ridges
from seqdis.factors import Factors
from seqdis.hyperparameters import from_dict, to_dict
from seqdis.protocols import SeriesLeakage
from seqdis.protocols.series_leakage import _targets
from seqdis.sequences import DataSpec, Sequences

STRIDE, WINDOWS, FEATURES = 2, 6, 3
UNITS, OFFSETS = np.array([1.0, 10.0, 1000.0]), np.array([0.0, 50.0, -7.0])
CONTROLS = {"untrained encoder", "PCA code", "raw features"}
READS = (
    "sequence means from static",
    "sequence means from dynamic",
    "deviations from dynamic",
    "deviations by position from static",
    "deviations by position from dynamic",
)
QUICK = SeriesLeakage(least=10, resamples=20)


@dataclass
class LevelAndCourse:
    """Series of features with different units: a level per sequence, and a draw for every window."""

    sizes: tuple[int, int, int] = (150, 60, 100)
    missing: float = 0.0
    ragged: bool = False
    common: float = 0.0  # a course that all sequences share
    name: str = "levels"

    def parts(self):
        return {part: self._part(part, self.sizes[k], k) for k, part in enumerate(("train", "valid", "test"))}

    def _part(self, part, n, k):
        draw = np.random.default_rng(k)
        level, course = draw.standard_normal((n, 1, FEATURES)), draw.standard_normal((n, WINDOWS, FEATURES))
        course += self.common * np.arange(WINDOWS)[:, None]
        x = (level + course).repeat(STRIDE, 1) * UNITS + OFFSETS
        mask = draw.random(x.shape) >= self.missing if self.missing else None
        lengths = draw.integers(STRIDE * 2, STRIDE * WINDOWS + 1, size=n) if self.ragged else None
        if lengths is not None:
            x[np.arange(x.shape[1]) >= lengths[:, None]] = 1e6
        spec = DataSpec(kind="series", shape=(FEATURES,), length=x.shape[1], missing=bool(self.missing))
        return Sequences(x=x.astype(np.float32), spec=spec, mask=mask, lengths=lengths, name=f"{self.name}/{part}")


def content(part, stride=STRIDE):
    """Means (n, D) and deviations (n, W, D) by plain loops; NaN where unknown."""
    n, time, features = part.x.shape
    seen = part.observed()
    means, deviations = np.full((n, features), np.nan), np.full((n, -(-time // stride), features), np.nan)
    for i in range(n):
        for f in range(features):
            values = part.x[i, :, f].astype(float)
            if seen[i, :, f].any():
                means[i, f] = values[seen[i, :, f]].mean()
            cut = [slice(w * stride, (w + 1) * stride) for w in range(deviations.shape[1])]
            having = [w for w, steps in enumerate(cut) if seen[i, steps, f].any()]
            for w in having if len(having) > 1 else ():
                deviations[i, w, f] = values[cut[w]][seen[i, cut[w], f]].mean() - means[i, f]
    return means, deviations


def planted(means, deviations):
    """Static code: the means; dynamic code: the deviations; zero where unknown."""
    return np.nan_to_num(means), np.nan_to_num(deviations)


@dataclass
class Oracle:
    """Codes made by ``plant`` from what is static and dynamic by construction, in windows of ``stride`` steps."""

    plant: object = staticmethod(planted)
    stride: int = STRIDE
    static_dim: int = FEATURES
    dynamic_dim: int = FEATURES
    asked: list = field(default_factory=list)

    def encode(self, X):
        self.asked.append(X.name)
        static, dynamic = self.plant(*content(X, self.stride))
        lengths = None if X.lengths is None else torch.from_numpy(-(-X.lengths // self.stride))
        return Factors(torch.from_numpy(static).float(), torch.from_numpy(dynamic).float(), lengths, self.stride)

    def untrained(self):
        return replace(self, plant=lambda m, d: (np.zeros(m.shape), np.zeros(d.shape)))


def measured(plant, data=None, protocol=QUICK):
    """R2 of the five reads in the order of READS, and the two gaps."""
    report = protocol.run(Oracle(plant=plant), data or LevelAndCourse(), controls=False)
    rows = {row.factor: row.value for row in report}
    return [rows[name] for name in READS], rows["static code"], rows["dynamic code"]


def close(values, expected, abs=0.03):
    assert values == pytest.approx(expected, abs=abs)


@pytest.fixture(scope="module")
def report():
    return QUICK.run(Oracle(), LevelAndCourse())


# ---- planted codes


@pytest.mark.parametrize("data", [LevelAndCourse(), LevelAndCourse(missing=0.3), LevelAndCourse(ragged=True)])
def test_codes_apart_read_their_own_kind_only(data):
    values, static, dynamic = measured(planted, data)
    close([values[0], values[2], values[4]], [1, 1, 1], abs=0.01)
    close([values[3]], [0], abs=0.05)
    assert values[1] < 0.15  # the last deviation holds a trace of how far the course moved the mean
    assert min(static, dynamic) > 0.8


def test_exchanged_codes_give_negative_gaps():
    exchanged = lambda m, d: (d.reshape(len(d), -1), np.repeat(m[:, None], WINDOWS, 1))  # noqa: E731
    values, static, dynamic = measured(exchanged)
    close([values[1], values[3]], [1, 1])
    close([values[0], values[2]], [0, 0], abs=0.05)
    assert max(static, dynamic) < -0.9


def test_a_static_code_that_holds_the_course_is_found():
    whole = lambda m, d: (np.concatenate([m, d.reshape(len(d), -1)], 1), d)  # noqa: E731
    values, static, dynamic = measured(whole)
    close([values[0], values[3]], [1, 1])
    assert abs(static) < 0.03
    assert dynamic > 0.8
    one = lambda m, d: (np.concatenate([m, d[:, 2]], 1), d)  # noqa: E731  window 2 of 6 only
    assert measured(one)[0][3] == pytest.approx(1 / 6 + 5 / 6 / 25, abs=0.05)  # the others lie opposite, each by 1/5


def test_a_dynamic_code_that_holds_the_level_is_found():
    values, static, dynamic = measured(lambda m, d: (m, np.concatenate([d, np.repeat(m[:, None], WINDOWS, 1)], 2)))
    close([values[1], values[2]], [1, 1])
    assert abs(dynamic) < 0.03
    assert static > 0.9
    # Of mean zero, but its last value is the level: an average over windows would overlook it.
    hidden = lambda m, d: (m, m[:, None] * (-1.0) ** np.arange(WINDOWS)[:, None])  # noqa: E731
    close([measured(hidden)[0][1]], [1])


def test_codes_that_tell_nothing_score_zero():
    for data in (LevelAndCourse(), LevelAndCourse(missing=0.3, ragged=True), LevelAndCourse(common=2.0)):
        values, static, dynamic = measured(lambda m, d: (np.zeros(m.shape), np.zeros(d.shape)), data)
        np.testing.assert_allclose([*values, static, dynamic], 0, atol=1e-12)
    draw = np.random.default_rng(5)
    values = measured(lambda m, d: (draw.standard_normal(m.shape), draw.standard_normal(d.shape)))[0]
    close(values, [0] * 5, abs=0.05)


def test_a_course_common_to_all_earns_nothing_by_position():
    clock = lambda m, d: (m, np.tile(np.arange(WINDOWS)[:, None], (len(d), 1, FEATURES)))  # noqa: E731
    values = measured(clock, LevelAndCourse(common=2.0))[0]
    assert values[2] > 0.8  # the pooled read knows the time by it
    close([values[4]], [0])


def test_codes_beside_the_wrong_window_or_sequence_would_be_noticed():
    shifted = measured(lambda m, d: (m, np.roll(d, 1, axis=1)))[0]
    close([shifted[0]], [1])
    assert max(shifted[2], shifted[4]) < 0.15
    other = measured(lambda m, d: (np.roll(m, 1, axis=0), np.roll(d, 1, axis=0)))[0]
    assert max(other) < 0.05
    with pytest.raises(DataError, match="got codes of 149 sequences; expected 150"):
        measured(lambda m, d: (m[1:], d[1:]))


# ---- what is read


@pytest.mark.parametrize("stride", [2, 5])
def test_targets_are_those_of_plain_loops(stride):
    part = LevelAndCourse(missing=0.6, ragged=True, sizes=(40, 1, 1)).parts()["train"]
    means, deviations = content(part, stride)
    found = _targets(part, Oracle(stride=stride).encode(part))
    np.testing.assert_array_equal(found.known_means, ~np.isnan(means))
    np.testing.assert_array_equal(found.known, ~np.isnan(deviations))
    assert 0 < found.known_means.mean() < 1
    np.testing.assert_allclose(found.means[found.known_means], means[found.known_means], rtol=1e-6)
    np.testing.assert_allclose(found.deviations[found.known], deviations[found.known], atol=1e-3)


def test_targets_by_hand():
    x = np.array([[1, 3, 5, 7, 9], [2, 4, 0, 0, 0], [5, 0, 0, 0, 8]], np.float32)[..., None]
    mask = np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 1]], bool)[..., None]
    spec = DataSpec(kind="series", shape=(1,), length=5, missing=True)
    part = Sequences(x=x, spec=spec, mask=mask, lengths=np.array([5, 5, 4]))
    found = _targets(part, Factors(torch.zeros(3, 1), torch.zeros(3, 3, 1), None, 2))
    assert found.means[:, 0].tolist() == [4, 3, 5]
    # Sequences with values in one window only have a mean, but nothing that lies away from it.
    assert found.known[..., 0].tolist() == [[True, True, False], [False] * 3, [False] * 3]
    assert found.deviations[0, :2, 0].tolist() == [-2, 2]


def test_missing_and_padded_values_never_count():
    parts = LevelAndCourse(missing=0.4, ragged=True).parts()
    wild = {name: replace(part, x=np.where(part.observed(), part.x, np.nan)) for name, part in parts.items()}
    before, after = (QUICK.run(Oracle(), data, controls=False) for data in (parts, wild))
    assert before.scores == after.scores


def test_units_and_offsets_change_nothing():
    parts = LevelAndCourse(missing=0.2).parts()
    moved = {name: replace(part, x=(part.x * [2.0, 0.1, 4.0]).astype(np.float32)) for name, part in parts.items()}
    before, after = (QUICK.run(Oracle(), data, controls=False) for data in (parts, moved))
    close([row.value for row in after], [row.value for row in before], abs=1e-4)


def test_features_that_never_vary_or_are_rare_are_left_out():
    parts = LevelAndCourse(missing=0.1).parts()
    for name, part in parts.items():
        part.x[..., 0] = 36.6
        part.mask[5:, :, 1] = name != "train"  # known in five sequences of train
    deviations = content(parts["test"])[1]
    report = QUICK.run(Oracle(), parts, controls=False)
    known = int(np.isfinite(deviations[..., 2]).sum())
    counts = {"sequence means": 100, "deviations": known, "deviations by position": known}
    assert report.provenance["series-leakage"]["values of test"] == counts
    close([report.find(factor=READS[0])[0].value], [1])


# ---- the regressions


def test_ridges_are_those_of_scikit_learn_with_missing_targets():
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((40, 5)) * [1, 2, 3, 4, 1e3], draw.standard_normal((40, 4))
    y[:, :3] += x[:, :3]
    known = draw.random(y.shape) < 0.7
    known[:, 1] = known[:, 0]
    asked = np.array([True, True, True, False])
    block = Block(x, y, known, np.arange(40))
    ridges = Ridges(block, asked)
    scaled = StandardScaler().fit_transform(x)
    for k, strength in enumerate(STRENGTHS):
        squares, base = ridges.squares(block, np.full(4, k))
        for column in range(3):
            some = known[:, column]
            reference = Ridge(alpha=strength * some.sum()).fit(scaled[some], y[some, column])
            error = np.square(y[some, column] - reference.predict(scaled[some]))
            np.testing.assert_allclose(squares[some, column], error, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(base[some, column], np.square(y[some, column] - y[some, column].mean()))
        assert not squares[~known].any()
        assert not squares[:, 3].any()


def test_wide_tables_are_rotated_without_changing_what_is_read():
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((20, 50)), draw.standard_normal((20, 2))
    block = Block(x, y, np.ones(y.shape, bool), np.arange(20))
    ridges = Ridges(block, np.ones(2, bool))
    assert ridges.weights.shape[1] == 20
    fresh = Block(draw.standard_normal((9, 50)), draw.standard_normal((9, 2)), np.ones((9, 2), bool), np.arange(9))
    scaler = StandardScaler().fit(x)
    for k, strength in enumerate(STRENGTHS):
        produced = Ridge(alpha=strength * 20).fit(scaler.transform(x), y).predict(scaler.transform(fresh.x))
        np.testing.assert_allclose(ridges.squares(fresh, np.full(2, k))[0], np.square(fresh.y - produced), rtol=1e-5)


def test_r2_against_an_independent_computation():
    data = LevelAndCourse(sizes=(80, 40, 30))
    noisy = lambda m, d: (m + UNITS * np.random.default_rng(len(m)).standard_normal(m.shape), d)  # noqa: E731
    found = measured(noisy, data)[0][0]
    parts = data.parts()
    codes = {name: noisy(*content(part))[0].astype(np.float32).astype(float) for name, part in parts.items()}
    means = {name: content(part)[0] for name, part in parts.items()}
    scaler, error, total = StandardScaler().fit(codes["train"]), 0.0, 0.0
    for feature in range(FEATURES):
        scale = means["train"][:, feature].std()
        y = {name: values[:, feature] / scale for name, values in means.items()}
        fits = [Ridge(alpha=80 * s).fit(scaler.transform(codes["train"]), y["train"]) for s in STRENGTHS]
        missed = [np.square(y["valid"] - fit.predict(scaler.transform(codes["valid"]))).sum() for fit in fits]
        best = fits[int(np.argmin(missed))]
        error += np.square(y["test"] - best.predict(scaler.transform(codes["test"]))).sum()
        total += np.square(y["test"] - y["train"].mean()).sum()
    assert found == pytest.approx(1 - error / total, abs=1e-6)
    assert 0.2 < found < 0.8


# ---- rows


def test_every_model_row_has_its_controls_beside_it(report):
    models = report.find(role="model")
    assert [row.factor for row in models] == [*READS, "static code", "dynamic code"]
    assert [row.better for row in models] == ["higher", "", "higher", "", "higher", "higher", "higher"]
    for row in models:
        beside = report.find(metric=row.metric, factor=row.factor, role="control")
        assert {control.method for control in beside} == CONTROLS
        assert len(beside) == len(CONTROLS)
        assert (row.n, row.over, row.form) == (20, "test resamples", "")
    assert {row.metric for row in report} == {"R2", "gap"}


def test_without_controls_only_the_model_is_measured(report):
    model = Oracle()
    own = QUICK.run(model, LevelAndCourse(), controls=False)
    assert own.scores == report.find(role="model")
    assert model.asked == ["levels/train", "levels/valid", "levels/test"]


def test_gaps_are_differences_and_raw_features_hold_everything(report):
    rows = {row.factor: row.value for row in report.find(method="raw features")}
    assert rows["static code"] == pytest.approx(rows[READS[0]] - max(rows[READS[3]], 0))
    assert rows["dynamic code"] == pytest.approx(rows[READS[2]] - max(rows[READS[1]], 0))
    close([rows[READS[0]], rows[READS[1]]], [1, rows[READS[1]]])
    assert rows[READS[1]] > 0.7
    assert rows["dynamic code"] < 0.2


def test_a_read_of_the_other_kind_that_fails_on_test_wins_nothing():
    sizes = LevelAndCourse().sizes
    # As read on train and valid the course has the other sign on test: R2 = 1 - 4.
    turned = lambda m, d: (np.concatenate([m, d.reshape(len(d), -1) * (1 - 2 * (len(d) == sizes[2]))], 1), d)  # noqa: E731
    report = QUICK.run(Oracle(plant=turned), LevelAndCourse(), controls=False)
    rows = {row.factor: row for row in report}
    assert rows[READS[3]].value == pytest.approx(-3, abs=0.1)
    assert rows["static code"].value == rows[READS[0]].value <= 1
    assert rows["static code"].spread == pytest.approx(rows[READS[0]].spread)


def test_the_spread_is_over_sequences():
    constant = lambda m, d: (np.repeat(m[:, :1], FEATURES, 1), np.zeros(d.shape))  # noqa: E731
    parts = LevelAndCourse(sizes=(150, 60, 40)).parts()
    report = SeriesLeakage(least=10, resamples=200).run(Oracle(plant=constant), parts, controls=False)
    row = report.find(factor=READS[0])[0]
    assert row.n == 200
    # One feature of three is read in full, the others not at all: their sums by sequence give the draws.
    means = {name: content(part)[0] for name, part in parts.items()}
    squares = np.square((means["test"] - means["train"].mean(0)) / means["train"].std(0))
    draws = bootstrap(lambda k: squares[k, 0].sum() / squares[k].sum(), 40, resamples=200, seed=0)
    assert row.spread == pytest.approx(draws.std(ddof=1), rel=0.015)
    none = SeriesLeakage(least=10, resamples=0).run(Oracle(), parts, controls=False)
    assert {row.spread for row in none} == {None}


def test_nothing_is_fitted_or_chosen_on_test(monkeypatch):
    leaky = lambda m, d: (np.concatenate([m, d[:, 0]], 1), d + m[:, None])  # noqa: E731
    parts = LevelAndCourse(sizes=(150, 60, 30)).parts()
    alone = {**parts, "test": parts["test"][:1]}
    test = parts["test"]
    wild = {**parts, "test": replace(test, x=np.concatenate([test.x[:1], test.x[1:] * -50]))}
    kept = []

    def of_the_first(score, n, **settings):
        kept.append(score(np.array([0])))
        return np.zeros(0)

    monkeypatch.setattr("seqdis.protocols.series_leakage.bootstrap", of_the_first)
    for data in (alone, wild):
        QUICK.run(Oracle(plant=leaky), data, controls=False)
    assert len(kept) == 2 * len(READS)
    np.testing.assert_allclose(kept[len(READS) :], kept[: len(READS)], rtol=1e-9)


# ---- edges


def test_one_sequence_of_valid_and_of_test_is_enough():
    report = QUICK.run(Oracle(), LevelAndCourse(sizes=(150, 1, 1)))
    assert report.find(role="model", factor=READS[0])[0].value > 0.9
    assert report.find(role="model", factor=READS[0])[0].spread is None  # one sequence says nothing of others
    assert all(np.isfinite(row.value) for row in report)


def test_a_test_part_without_targets_has_no_score_and_is_saved(tmp_path):
    parts = LevelAndCourse(missing=0.1, sizes=(150, 60, 1)).parts()
    parts["test"].mask[:, STRIDE:] = False  # values in one window: a mean, no deviations
    parts["test"].mask[:, 0] = True
    report = QUICK.run(Oracle(), parts)
    assert report.find(role="model", factor=READS[0])[0].value > 0.9
    undefined = report.find(role="model", factor=READS[2])[0]
    assert np.isnan(undefined.value)
    assert (undefined.spread, undefined.n, undefined.over) == (None, 1, "")
    assert type(report).load(report.save(tmp_path / "report.json")).find(factor=READS[0]) == report.find(
        factor=READS[0]
    )


@pytest.mark.parametrize("shorter", [("valid",), ("test",), ("valid", "test"), ("train",)])
def test_parts_of_different_length_are_matched_from_the_start(shorter):
    parts = LevelAndCourse().parts()
    for name in shorter:
        steps = STRIDE * (WINDOWS - 2)
        part = parts[name]
        parts[name] = replace(part, x=part.x[:, :steps], spec=replace(part.spec, length=steps))
    report = QUICK.run(Oracle(), parts, controls=False)
    values = {row.factor: row.value for row in report}
    close([values[READS[0]], values[READS[2]], values[READS[4]]], [1, 1, 1])
    counts = report.provenance["series-leakage"]["values of test"]
    windows = WINDOWS - 2 if "test" in shorter else WINDOWS
    assert counts["deviations"] == 100 * windows * FEATURES
    # What train never saw at a position cannot be read there.
    read = WINDOWS - 2 if "train" in shorter else windows
    assert counts["deviations by position"] == 100 * read * FEATURES


def test_what_holds_nothing_to_read_is_refused():
    with pytest.raises(DataError, match=r"'sequence means' that vary in 10 sequences of train; the most are 0"):
        QUICK.run(Oracle(), LevelAndCourse(sizes=(1, 5, 5)), controls=False)
    with pytest.raises(DataError, match=r"'sequence means' that vary in 151 sequences .* are 150"):
        SeriesLeakage(least=151).run(Oracle(), LevelAndCourse(), controls=False)
    with pytest.raises(DataError, match=r"'deviations' that vary .* are 0.*two windows or more"):
        QUICK.run(Oracle(stride=STRIDE * WINDOWS), LevelAndCourse(), controls=False)
    with pytest.raises(DataError, match="the static code holds NaN"):
        measured(lambda m, d: (m * np.nan, d))


def test_test_sequences_in_train_or_valid_are_refused():
    parts = LevelAndCourse(missing=0.2).parts()
    for name in ("train", "valid"):
        with pytest.raises(DataError, match=rf"100 of 100 sequences of levels/test .* Leave them out of '{name}'"):
            QUICK.run(Oracle(), {**parts, name: parts["test"]})


@pytest.mark.data
def test_stays_learned_from_without_labels_are_found_in_test(data_root):
    data = PhysioNet2012(root=str(data_root), sets=("a", "b"), test_set="b", unlabelled=("b",))
    with pytest.raises(DataError, match="1873 of 1873 sequences of physionet/test are also in physionet/train"):
        SeriesLeakage().run(Oracle(), data)


def test_images_and_spectrograms_are_refused():
    parts = LevelAndCourse().parts()
    sound = {name: replace(part, spec=replace(part.spec, kind="spectrogram")) for name, part in parts.items()}
    with pytest.raises(CapabilityError, match="levels/train holds spectrograms"):
        QUICK.run(Oracle(), sound)
    video = Sequences(
        x=np.zeros((2, 3, 1, 4, 4), np.uint8),
        spec=DataSpec(kind="image", shape=(1, 4, 4), length=3, scale=(255.0,)),
        name="figures/test",
    )
    with pytest.raises(CapabilityError, match=r"figures/test holds images\. Use latent-leakage"):
        QUICK.run(Oracle(), {**parts, "test": video})


def test_the_input_is_left_alone_and_settings_survive_json():
    parts = LevelAndCourse(missing=0.2, ragged=True).parts()
    before = {name: part.fingerprint() for name, part in parts.items()}
    QUICK.run(Oracle(), parts)
    assert {name: part.fingerprint() for name, part in parts.items()} == before
    assert from_dict(SeriesLeakage, to_dict(QUICK)) == QUICK


@pytest.mark.data
def test_stays_in_intensive_care_have_levels_and_courses(data_root):
    parts = {name: part[:300] for name, part in PhysioNet2012(root=str(data_root)).parts().items()}
    report = SeriesLeakage(resamples=20).run(Oracle(stride=4, static_dim=10, dynamic_dim=10), parts)
    own = {row.factor: row.value for row in report.find(role="model")}
    close([own[READS[0]], own[READS[2]]], [1, 1], abs=0.1)
    assert own[READS[3]] < 0.15
    raw = {row.factor: row.value for row in report.find(method="raw features")}
    assert raw["dynamic code"] < 0 < own["dynamic code"]
