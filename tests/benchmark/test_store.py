"""The store: what a run's folder depends on, and one process at a time."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_study import FULL, Mortal, draw, toy_study

from seqdis.benchmark import load_study, plan
from seqdis.benchmark.store import _labelled
from seqdis.disk import alone

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("table*.py"))


def folder(store, model=FULL, data=None, seed=0):
    (run,) = plan(toy_study(methods={"DBSE": model}, seeds=(seed,), data={"toy": data or draw()}), store)
    return run.folder


def test_a_folder_depends_on_settings_data_and_seed_and_on_nothing_else(tmp_path):
    first = folder(tmp_path)
    assert first.name.startswith("dbse-")
    others = [
        folder(tmp_path, model=FULL.replace(subtract=False)),
        folder(tmp_path, data=draw(1)),
        folder(tmp_path, seed=1),
    ]
    assert len({first, *others}) == 4
    assert folder(tmp_path, model=FULL.replace(training__threads=2)) == first
    renamed = plan(toy_study(methods={"other name": FULL}, name="s", reference="other name"), tmp_path)
    assert renamed[0].folder == first


def test_training_data_alone_make_a_run_but_scores_belong_to_all_parts(tmp_path):
    """Parts are drawn one after the other: a larger test part leaves the training part as it was."""
    few, many = (
        plan(toy_study(methods={"DBSE": FULL}, seeds=(0,), data={"toy": draw().replace(n_test=n)}), tmp_path)[0]
        for n in (12, 13)
    )
    assert few.split.fingerprints["train"] == many.split.fingerprints["train"]
    assert few.folder == many.folder
    (protocol,) = few.protocols.values()
    assert few.scores_path(protocol) != many.scores_path(protocol)
    assert few.controls_path(protocol) != many.controls_path(protocol)


@pytest.mark.parametrize("place", ["scores_path", "controls_path"])
def test_scores_of_another_version_of_a_protocol_are_not_reused(tmp_path, monkeypatch, place):
    run = plan(toy_study(), tmp_path)[0]
    (protocol,) = run.protocols.values()
    before = getattr(run, place)(protocol)
    monkeypatch.setattr(type(protocol), "version", type(protocol).version + 1)
    assert getattr(run, place)(protocol) != before


def test_planning_prepares_no_data_that_it_keeps(tmp_path):
    study = toy_study()
    runs = plan(study, tmp_path)
    assert not any(hasattr(data, "_prepared") for data in (*study.data.values(), runs[0].split.data))
    assert not list(tmp_path.iterdir())


def test_another_version_of_a_method_is_another_run(tmp_path, monkeypatch):
    before = folder(tmp_path)
    monkeypatch.setattr(type(FULL), "version", 2)
    assert folder(tmp_path) != before


def test_controls_are_measured_with_a_method_that_has_a_prior_where_one_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(Mortal, "probabilistic", False)
    methods = {"no prior": Mortal(static_dim=3, dynamic_dim=2), "DBSE": FULL}
    study = toy_study(methods=methods, seeds=(0,))
    assert [run.label for run in plan(study, tmp_path) if run.leads] == ["no prior"]
    monkeypatch.setattr(type(study.protocols[0]), "draws_from_prior", True)
    assert [run.label for run in plan(study, tmp_path) if run.leads] == ["DBSE"]


def test_controls_are_measured_with_a_method_that_has_an_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr(Mortal, "has_encoder", False)
    study = toy_study(methods={"no encoder": Mortal(static_dim=3, dynamic_dim=2), "DBSE": FULL}, seeds=(0,))
    assert [run.label for run in plan(study, tmp_path) if run.leads] == ["DBSE"]


def test_stays_without_labels_are_not_drawn_by_a_division(tmp_path):
    (run,) = plan(toy_study(methods={"DBSE": FULL}, seeds=(0,)), tmp_path)
    assert run.split.labelled == run.split.sizes["train"]
    train = draw().split("train")[0]
    labels = {name: values.copy() for name, values in train.labels.items()}
    for values in labels.values():
        values[3:] = -1 if values.dtype.kind == "i" else np.nan
    assert _labelled(replace(train, labels=labels)) == 3
    assert _labelled(replace(train, labels={})) == len(train)


def test_a_lock_is_waited_for(tmp_path):
    order: list[str] = []

    def second() -> None:
        with alone(tmp_path / "locks/run"):
            order.append("second")

    with alone(tmp_path / "locks/run"):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


@pytest.mark.data
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_studies_of_the_examples_find_their_data(file, data_root, tmp_path):
    study = load_study(file)
    runs = plan(study, tmp_path)
    assert len({run.folder for run in runs}) == len(runs) == len(study.methods) * len(study.data) * len(study.seeds)
    assert set(runs[0].split.sizes) == {"train", "valid", "test"}
