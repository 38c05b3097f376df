"""Running studies on toy data: what is run, reused, shared, measured once, and what happens to failures."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toy_study import BROKEN, FULL, Buggy, Mortal, SameTest, draw, toy_study

from seqdis import load
from seqdis.benchmark import Stage, collect, design, plan, run_missing, run_study, summarise
from seqdis.cli.runs import Run as FittedRun
from seqdis.datasets import ToySeries
from seqdis.errors import SettingsError
from seqdis.hyperparameters import hyperparameters, to_dict
from seqdis.methods import DBSE
from seqdis.protocols import LatentLeakage, Protocol, SwapFidelity

SIZES = {"static_dim": 3, "dynamic_dim": 2, "hidden_dim": 4, "feature_dim": 4}
MORTAL = Mortal(**SIZES)
TOY_FACTORS = {"static_factor": "group", "dynamic_factor": "regime", "repeats": 2, "resamples": 2}
BUGGY = Buggy(**SIZES)


@hyperparameters
class Own(DBSE):
    """As if it stood in a study file, which workers cannot import."""

    name = "own"


@hyperparameters
class Ends(DBSE):
    """Asks for a licence that is not there."""

    name = "ends"

    def build(self, spec):
        """Ends the process."""
        sys.exit("no licence")


@hyperparameters
class Renamed(ToySeries):
    """The same sequences under another name."""

    name = "renamed"


Own.__module__ = "seqdis_study_mine"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """The store after the toy study."""
    folder = tmp_path_factory.mktemp("store")
    assert run_study(toy_study(), store=folder)[1] == ()
    return folder


@pytest.fixture
def asked(monkeypatch):
    """Fits and evaluations as they happen: (what, with controls)."""
    calls: list[tuple[str, bool]] = []
    fit, run = type(FULL).fit, Protocol.run

    def seen_fit(self, *args, **kwargs):
        calls.append(("fit", False))
        return fit(self, *args, **kwargs)

    def seen_run(self, model, data, *, controls=True):
        calls.append((self.name, controls))
        return run(self, model, data, controls=controls)

    monkeypatch.setattr(type(FULL), "fit", seen_fit)
    monkeypatch.setattr(Protocol, "run", seen_run)
    return calls


def test_runs_are_methods_times_data_times_seeds_seed_by_seed(tmp_path):
    runs = plan(toy_study(data={"a": draw(0), "b": draw(1)}), tmp_path)
    assert [run.name for run in runs[:5]] == [
        "DBSE, a, seed 0",
        "w/o sub, a, seed 0",
        "DBSE, b, seed 0",
        "w/o sub, b, seed 0",
        "DBSE, a, seed 1",
    ]
    assert len(runs) == len({run.folder for run in runs}) == 8
    assert [run.name for run in runs if run.leads] == ["DBSE, a, seed 0", "DBSE, b, seed 0"]


def test_rows_say_method_split_and_seed_and_controls_are_measured_once(store):
    report = collect(toy_study(), plan(toy_study(), store))
    models = report.find(role="model", metric="swap_mse")
    assert [(row.method, row.split, row.seed) for row in models] == [
        (label, "toy", seed) for seed in (0, 1) for label in ("DBSE", "w/o sub")
    ]
    assert len({row.value for row in models}) == 4
    controls = report.find(role="control", metric="swap_mse")
    assert len({row.method for row in controls}) == len(controls) == 4
    assert {row.split for row in controls} == {"toy"}
    assert len(list(store.glob("controls-*.json"))) == 1


def test_scores_are_those_of_the_run_itself(store):
    study = toy_study()
    (run,) = (run for run in plan(study, store) if run.name == "w/o sub, toy, seed 1")
    alone = SwapFidelity().run(load(run.folder), draw())
    expected = alone.find(role="model", metric="swap_mse")[0].value
    (found,) = collect(study, [run, *plan(study, store)[:1]]).find(method="w/o sub", metric="swap_mse")
    assert (found.value, found.seed) == (expected, 1)
    by_hand = FULL.replace(subtract=False, training__seed=1).fit(draw())
    assert SwapFidelity().run(by_hand, draw()).find(role="model", metric="swap_mse")[0].value == expected


def test_finished_runs_are_not_repeated(store, asked):
    report, failures = run_study(toy_study(), store=store)
    assert (asked, failures) == ([], ())
    assert len(report.provenance["runs"]) == 4
    assert report.provenance["missing"] == []


def test_another_study_shares_runs_evaluations_and_controls(store, asked):
    other = toy_study(name="other", methods={"anchor first": FULL, "last": FULL.replace(anchor="last")}, seeds=(0,))
    report, _ = run_study(toy_study(methods=other.methods, seeds=(0,), reference="last"), store=store)
    assert asked == [("fit", False), ("swap-fidelity", False)]  # of "last" alone
    assert {row.method for row in report.find(role="model")} == {"anchor first", "last"}
    assert len(list(store.glob("controls-*.json"))) == 1


def test_changed_protocol_settings_evaluate_again_without_fitting_again(store, asked):
    weights = {path: path.stat().st_mtime_ns for path in store.glob("*/weights.safetensors")}
    run_study(toy_study(protocols=(SwapFidelity(seed=1),)), store=store)
    assert [call for call in asked if call[0] != "fit"] == [("swap-fidelity", True), *[("swap-fidelity", False)] * 3]
    assert weights == {path: path.stat().st_mtime_ns for path in weights}


def test_a_run_of_the_store_is_a_run_like_any_other(store):
    run = FittedRun(plan(toy_study(), store)[0].folder)
    assert run.data == draw()
    content = json.loads((run.path / "run.json").read_text())
    assert content["about"]["hardware"]["threads"] >= 1


def test_wall_times_and_data_are_kept(store):
    report = collect(toy_study(), plan(toy_study(), store))
    first, second = report.provenance["runs"][:2]
    assert (first["method"], first["split"], first["seed"], first["epochs"]) == ("DBSE", "toy", 0, 1)
    assert first["fit_seconds"] >= 0
    # The first run measured the controls as well: what it took says nothing of the method.
    assert first["evaluation_seconds"] == {}
    assert second["evaluation_seconds"]["swap-fidelity"] >= 0
    assert report.provenance["seconds with controls"]["DBSE, toy, seed 0"]["swap-fidelity"] > 0
    sizes = {"static_dim": 3, "dynamic_dim": 2}
    assert report.provenance["code sizes"] == {"DBSE": sizes, "w/o sub": sizes}
    assert report.provenance["sequences"]["toy"] == {"train": 16, "valid": 8, "test": 12}
    assert report.provenance["data"]["toy"]["train"] == draw().fingerprint()


def test_a_failing_run_is_named_and_the_others_go_on(tmp_path):
    study = toy_study(methods={"DBSE": FULL, "broken": BROKEN, "buggy": BUGGY, "w/o sub": FULL.replace(subtract=False)})
    seen: list[tuple[str, int, int]] = []
    report, failures = run_study(
        study, store=tmp_path, watch=lambda outcome, ended, total: seen.append((outcome.run.name, ended, total))
    )
    assert {failure.run.label for failure in failures} == {"broken", "buggy"}
    assert "DBSE.anchor = 99: sequences have 4 elements, 0..3." in failures[0].error
    assert "Traceback" not in failures[0].error
    assert "ZeroDivisionError" in failures[1].error
    assert [(ended, total) for _, ended, total in seen] == [(i, 8) for i in range(1, 9)]
    assert report.provenance["missing"] == [failure.run.name for failure in failures]
    lines = {line.method: line.n for line in summarise(report, design(study, plan(study, tmp_path)))[0].lines}
    assert (lines["DBSE"], lines["w/o sub"], lines["broken"]) == (2, 2, 0)


def test_only_some_methods(tmp_path):
    report, _ = run_study(toy_study(), store=tmp_path, only=("w/o sub",))
    assert {row.method for row in report} == {"w/o sub"}
    with pytest.raises(SettingsError, match=r"only: unknown method of the study 'w/o subs'. Did you mean 'w/o sub'"):
        run_study(toy_study(), store=tmp_path, only=("w/o subs",))


def test_a_reference_that_is_no_control_is_refused_as_soon_as_controls_are_known(tmp_path, asked):
    with pytest.raises(SettingsError, match=r"unknown method or control 'copies'.*average frame"):
        run_study(toy_study(reference="copies"), store=tmp_path)
    assert asked == [("fit", False), ("swap-fidelity", True)]
    assert run_study(toy_study(reference="average frame", seeds=(0,)), store=tmp_path)[1] == ()


def test_a_reference_among_controls_of_a_later_protocol_is_waited_for(store, tmp_path):
    shutil.copytree(store, tmp_path / "store")  # holds the controls of the first protocol
    later = LatentLeakage(forms=("corrected",), **TOY_FACTORS)
    study = toy_study(protocols=(SwapFidelity(), later), reference="majority class", seeds=(0,))
    runs = plan(study, tmp_path / "store")
    half = summarise(collect(study, runs), design(study, runs))
    assert "majority class" not in {each.against for group in half for each in group.differences}
    report, failures = run_study(study, store=tmp_path / "store")
    assert failures == ()
    groups = summarise(report, design(study, runs))
    assert "majority class" in {each.against for group in groups for each in group.differences}


def test_a_method_called_like_a_control_is_refused(store):
    study = toy_study(methods={"average frame": FULL, "w/o sub": FULL.replace(subtract=False)}, reference="w/o sub")
    with pytest.raises(SettingsError, match="'average frame' is what a control is called"):
        run_study(study, store=store)


def test_data_that_change_while_a_study_runs_fail_its_runs(tmp_path):
    study = toy_study(seeds=(0,))
    first, *_ = plan(study, tmp_path)
    before = replace(first.split, fingerprints=first.split.fingerprints | {"test": "of another day"})
    (failure,) = run_missing(study, [replace(first, split=before)])
    assert failure.error == "toy: the data have changed since the study began; start the command again."
    assert not first.folder.exists()


def test_a_run_without_its_weights_is_not_done(store, tmp_path):
    shutil.copytree(store, tmp_path / "store")
    run = plan(toy_study(), tmp_path / "store")[0]
    assert run.done()
    (run.folder / "weights.safetensors").unlink()
    assert not run.done()


def test_a_method_that_ends_the_process_is_a_failure_like_others(tmp_path):
    study = toy_study(methods={"ends": Ends(**SIZES), "DBSE": FULL}, seeds=(0,), reference="DBSE")
    _, failures = run_study(study, store=tmp_path)
    assert [failure.run.label for failure in failures] == ["ends"]
    assert "SystemExit: no licence" in failures[0].error


def test_rows_of_equal_sequences_are_called_as_this_data_set(store):
    study = toy_study(data={"toy": Renamed(**to_dict(draw()))})
    runs = plan(study, store)
    report = collect(study, runs)
    assert {score.dataset for score in report} == {"renamed"}
    assert summarise(report, design(study, runs))


def test_two_runs_of_one_name_are_refused(tmp_path):
    methods = {"DBSE": FULL, "DBSE, small": FULL.replace(static_dim=2)}
    with pytest.raises(SettingsError, match="two runs are called 'DBSE, small, toy, seed 0'"):
        plan(toy_study(methods=methods, data={"toy": draw(0), "small, toy": draw(1)}), tmp_path)


def test_labels_of_the_same_sequences_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="'a' and 'b' are the same sequences"):
        plan(toy_study(data={"a": draw(), "b": draw()}), tmp_path)


def test_test_shares_are_those_of_random_splits(tmp_path):
    study = toy_study(data={"a": draw(0), "b": draw(1)})
    found = design(study, plan(study, tmp_path))
    assert (found.test_share, found.kinds) == ({"toy-series": 12 / 16}, {"toy-series": "random"})
    independent = toy_study(data=study.data, splits="independent")
    found = design(independent, plan(independent, tmp_path))
    assert (found.test_share, found.kinds) == ({}, {"toy-series": "independent"})


@pytest.mark.parametrize("splits", ["random", "independent"])
def test_splits_with_one_test_part_are_found_out_whatever_their_scale(tmp_path, splits):
    study = toy_study(data={"a": SameTest(seed=0), "b": SameTest(seed=1)}, splits=splits)
    runs = plan(study, tmp_path)
    assert len({run.split.fingerprints["test"] for run in runs}) == 2
    found = design(study, runs)
    # Divisions of train and valid overlap: what they leave out is the valid part.
    assert (found.test_share, found.kinds) == ({"same-test": 0.5}, {"same-test": "same test"})
    single = toy_study(data={"a": SameTest(seed=0)}, splits=splits)
    assert design(single, plan(single, tmp_path)).kinds == {"same-test": splits}


def test_the_death_of_a_worker_and_what_cannot_be_sent_to_one_are_named(tmp_path):
    study = toy_study(methods={"DBSE": FULL, "local": FULL, "mortal": MORTAL}, seeds=(0,))
    runs = plan(study, tmp_path)
    runs[1] = replace(runs[1], model=type("Local", (type(FULL),), {"name": "local"})())
    unsendable, died = run_missing(study, runs, jobs=2, only=("local", "mortal"))
    assert (unsendable.run.label, died.run.label) == ("local", "mortal")
    assert "belong in a module beside the study file" in unsendable.error
    assert "its process ended without a word" in died.error


def test_a_class_of_the_study_file_breaks_no_pool(tmp_path):
    study = toy_study(methods={"own": Own(**SIZES), "DBSE": FULL}, seeds=(0,))
    runs = plan(study, tmp_path)
    (failed,) = run_missing(study, runs, jobs=2)
    assert failed.run.label == "own"
    assert "belong in a module beside the study file" in failed.error
    assert runs[1].done()


def test_stages_tell_the_steps_of_a_fit_and_the_protocols_that_begin(tmp_path):
    seen: list[Stage] = []
    two = FULL.replace(training__max_epochs=2, training__batch_size=8)
    study = toy_study(methods={"DBSE": two}, seeds=(0,), protocols=(SwapFidelity(), LatentLeakage(**TOY_FACTORS)))
    runs = plan(study, tmp_path)
    run_missing(study, runs, watch_stages=seen.append)
    fit, rest = seen[:-2], seen[-2:]
    assert {stage.run.name for stage in seen} == {"DBSE, toy, seed 0"}
    assert {(stage.what, stage.total) for stage in fit} == {("fit", 4)}
    assert [stage.done for stage in fit] == [1, 2, 2, 3, 4, 4]
    assert [stage.record["epoch"] for stage in fit if stage.record] == [1, 2]
    assert [(stage.what, stage.done, stage.total) for stage in rest] == [
        ("swap-fidelity", 0, 2),
        ("latent-leakage", 1, 2),
    ]
    seen.clear()
    run_missing(replace(study, protocols=(SwapFidelity(seed=1),)), runs, watch_stages=seen.append)
    assert seen == []  # nothing was missing


def test_labels_tell_protocols_of_one_kind_apart(tmp_path):
    """Scores, notes and times of each stand under its label."""
    protocols = {"swaps": SwapFidelity(), "other_swaps": SwapFidelity(seed=1)}
    study = toy_study(methods={"DBSE": FULL}, seeds=(0,), reference="average frame", protocols=protocols)
    report, failures = run_study(study, store=tmp_path)
    assert failures == ()
    assert {score.protocol for score in report} == set(protocols)
    alone = [
        [replace(score, protocol="") for score in run_study(replace(study, protocols=(one,)), store=tmp_path)[0]]
        for one in protocols.values()
    ]
    labelled = [[replace(score, protocol="") for score in report if score.protocol == label] for label in protocols]
    assert labelled == alone
    assert report.settings["protocols"]["other_swaps"]["seed"] == 1
    assert set(report.provenance["seconds with controls"]["DBSE, toy, seed 0"]) == set(protocols)
    groups = summarise(report, design(study, plan(study, tmp_path)))
    assert {group.protocol for group in groups} == set(protocols)


def test_at_least_one_job(tmp_path):
    with pytest.raises(SettingsError, match="jobs = 0: expected at least 1"):
        run_study(toy_study(), store=tmp_path, jobs=0)
