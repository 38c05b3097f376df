import math

import pytest

from seqdis.errors import DataError
from seqdis.evaluation import Report, Score, merge
from seqdis.evaluation.report import over_seeds, provenance


def report():
    rows = (
        Score(
            method="DBSE",
            dataset="toy",
            protocol="p",
            metric="AUROC",
            value=0.8,
            spread=0.01,
            n=3,
            over="heads",
            seed=1,
        ),
        Score(method="class prior", dataset="toy", protocol="p", metric="AUROC", value=0.5, role="control"),
    )
    return Report(scores=rows, settings={"p": {"seed": 0}}, provenance=provenance({"test": "abc"}, {"p": {"n": 2}}))


def test_what_is_saved_is_loaded(tmp_path):
    path = report().save(tmp_path / "deep" / "report.json")
    assert Report.load(path) == report()
    assert not list(path.parent.glob("*.partial"))


def test_provenance_names_data_versions_and_hardware():
    about = report().provenance
    assert about["data"] == {"test": "abc"}
    assert about["p"] == {"n": 2}
    assert {"torch", "scikit-learn", "seqdis"} <= set(about["versions"])
    assert about["hardware"]["threads"] >= 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"value": 0.8', '"value": "high"'),
        lambda text: text.replace('"role": "control"', '"role": "judge"'),
        lambda text: text.replace('"scores"', '"rows"'),
    ],
)
def test_a_truncated_or_altered_file_is_refused(tmp_path, damage):
    path = report().save(tmp_path / "report.json")
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    with pytest.raises(DataError, match=r"report\.json cannot be read"):
        Report.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Report.load(tmp_path / "report.json")


def test_find_and_merge():
    both = merge([report(), report()])
    assert len(both) == 4
    assert [row.method for row in both.find(role="control", metric="AUROC")] == ["class prior"] * 2
    assert both.find(method="nobody") == ()


def test_over_seeds_averages_models_and_leaves_alone_what_no_training_touches() -> None:
    def one_run(seed: int, value: float) -> Report:
        shared = {"dataset": "d", "protocol": "p", "metric": "m"}
        model = Score(method="DBSE", value=value, spread=0.5, n=9, over="head seeds", seed=seed, **shared)
        control = Score(method="PCA code", value=0.7, spread=0.1, n=3, over="head seeds", role="control", **shared)
        return Report(scores=(model, control))

    model, control = over_seeds([one_run(0, 1.0), one_run(1, 2.0), one_run(2, 6.0)])
    assert (model.value, model.n, model.over, model.seed) == (3.0, 3, "training seeds", None)
    assert model.spread == pytest.approx(7**0.5)  # of 1, 2, 6: between trainings, not between heads
    assert (control.value, control.spread, control.over) == (0.7, 0.1, "head seeds")


def test_over_seeds_of_undefined_scores_are_undefined() -> None:
    shared = {"dataset": "d", "protocol": "p", "metric": "m"}
    runs = [
        Report(
            scores=(
                Score(method="DBSE", value=value, seed=seed, **shared),
                Score(method="constant", value=math.nan, role="control", **shared),
            )
        )
        for seed, value in enumerate((0.5, math.nan))
    ]
    model, control = over_seeds(runs)
    assert math.isnan(model.value)
    assert math.isnan(model.spread)
    assert math.isnan(control.value)
    assert control.spread is None


def test_merged_reports_keep_the_fingerprints_of_all_parts() -> None:
    two = Report(scores=(), provenance=provenance({"test": "abc", "valid": "def"}))
    for both in (two + report(), merge([report(), two])):
        assert both.provenance["data"] == {"test": "abc", "valid": "def"}


def test_over_seeds_refuses_runs_that_were_not_evaluated_alike() -> None:
    row = Score(method="DBSE", dataset="d", protocol="p", metric="m", value=1.0)
    with pytest.raises(DataError, match="measured in 1 of 2 runs"):
        over_seeds([Report(scores=(row,)), Report(scores=())])


def test_undefined_score_survives_the_file(tmp_path):
    row = Score(method="DBSE", dataset="d", protocol="p", metric="m", value=float("nan"))
    (loaded,) = Report.load(Report(scores=(row,)).save(tmp_path / "report.json"))
    assert loaded.value != loaded.value
