"""``seqdis bench``: a study from its file to its results, and mistakes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command_line import Refused, files, refused

from seqdis.cli import study_progress
from seqdis.errors import DataError
from seqdis.evaluation.report import Report

STUDY = """
from seqdis.benchmark import Study
from seqdis.datasets import ToySeries
from seqdis.methods import DBSE
from seqdis.protocols import SwapFidelity
from seqdis.training import Training

full = DBSE(static_dim=3, dynamic_dim=2, hidden_dim=4, feature_dim=4, training=Training(max_epochs=1))
study = Study(
    name="toy-study",
    title="Toy",
    methods={"DBSE": full, "w/o sub": full.replace(subtract=False)},
    data={"toy": ToySeries(n_train=16, n_valid=8, n_test=12, length=16)},
    protocols=(SwapFidelity(),),
    seeds=(0, 1),
    reference="DBSE",
)
"""
ALIKE = STUDY.replace('"DBSE"', '"DBSE+"').replace('"w/o sub"', '"DBSE-"')
BROKEN = STUDY.replace("full.replace(subtract=False)", "full.replace(anchor=99)")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study.py").write_text(STUDY)
    (tmp_path / "broken.py").write_text(BROKEN)
    (tmp_path / "alike.py").write_text(ALIKE)
    return tmp_path


def test_a_study_from_file_to_results(seqdis, study: Path) -> None:
    done = seqdis("bench study.py --no-page --out results")
    assert (done.status, done.out) == (0, "written: results/toy-study.md\n")
    assert [line.split(":")[0] for line in done.err.splitlines()] == [f"{i} of 4" for i in range(1, 5)]
    page = (study / "results/toy-study.md").read_text()
    assert "seqdis bench study.py --out results\n" in page
    assert "| **w/o sub** | model |" in page
    report = Report.load(study / "results/toy-study.json")
    assert [(row.method, row.seed, row.split) for row in report.find(role="model", metric="swap_mse")] == [
        (method, seed, "toy") for seed in (0, 1) for method in ("DBSE", "w/o sub")
    ]
    run = json.loads(next((study / "runs/store").glob("*/run.json")).read_text())
    assert run["about"]["command"] == "seqdis bench study.py --out results"


def test_the_same_command_again_runs_nothing_and_writes_the_same(seqdis, study: Path) -> None:
    seqdis("bench study.py --no-page --out results")
    before = files(study)
    done = seqdis("bench study.py --no-page --out results")
    assert (done.status, done.err) == (0, "")
    assert files(study) == before


def test_list_says_what_is_finished_and_changes_nothing(seqdis, study: Path) -> None:
    seqdis("bench study.py --no-page --seeds 1 --only DBSE")
    before = files(study)
    done = seqdis("bench study.py --list")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    # The controls belong to the first seed, so that seed 1 has nothing left to do once it is not the first.
    assert [line.split("  (")[0] for line in lines[:-1]] == [
        "to do     DBSE, toy, seed 0",
        "to do     w/o sub, toy, seed 0",
        "finished  DBSE, toy, seed 1",
        "to do     w/o sub, toy, seed 1",
    ]
    assert lines[-1] == "1 of 4 runs finished"
    assert files(study) == before


def test_only_some_methods_are_listed(seqdis, study: Path) -> None:
    done = seqdis("bench study.py --list --only DBSE")
    assert [line.split("  (")[0] for line in done.out.splitlines()] == [
        "to do     DBSE, toy, seed 0",
        "to do     DBSE, toy, seed 1",
        "0 of 2 runs finished",
    ]


def test_a_failed_run_is_named_marked_missing_and_ends_in_status_1(seqdis, study: Path) -> None:
    done = seqdis("bench broken.py --no-page --out results --quiet")
    assert (done.status, done.out) == (1, "written: results/toy-study.md\n")
    assert "failed: w/o sub, toy, seed 0: DBSE.anchor = 99: sequences have 4 elements" in done.err
    assert "seqdis: 2 run(s) failed: w/o sub, toy, seed 0; w/o sub, toy, seed 1. Run the same command" in done.err
    page = (study / "results/toy-study.md").read_text()
    assert "**Missing: 2 run(s)**, not averaged over: w/o sub, toy, seed 0; w/o sub, toy, seed 1." in page
    assert "| **w/o sub** | model | — | — | 0 of 2, **rest missing** |" in page


def test_report_only_writes_what_is_there(seqdis, study: Path) -> None:
    none = seqdis("bench study.py --report-only --out results")
    assert (none.status, none.out) == (1, "")
    assert "no run of this study is finished" in none.err
    assert not (study / "results").exists()
    seqdis("bench study.py --no-page --seeds 0 --out elsewhere")
    done = seqdis("bench study.py --no-page --report-only --out results")
    assert (done.status, done.err) == (0, "")
    page = (study / "results/toy-study.md").read_text()
    assert "| 1 of 2, **rest missing** |" in page
    assert "```bash\nseqdis bench study.py --out results\n```" in page  # which makes them, where this one only shows


def test_what_keeps_the_page_from_being_written_is_found_first(seqdis, study: Path) -> None:
    assert seqdis("bench study.py --no-page --seeds 0 --only DBSE").status == 0
    (study / "runs/store/pages").write_text("in the way")
    words = "bench study.py --seeds 0 --report-only --out results"
    refused(seqdis, study, Refused(words, 1, "runs/store/pages is a file, not a folder"))
    assert seqdis(f"{words} --no-page").status == 0


def test_labels_that_differ_in_a_sign_have_figures_of_their_own(
    seqdis, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("seqdis.report.study_html.pictures", lambda *given: [])  # the curves of losses are left
    assert seqdis("bench alike.py --seeds 0 --quiet").status == 0
    assert [*files(study / "runs/store/pages/toy-study")] == ["losses-DBSE_.png", "losses-DBSE__2.png"]
    page = (study / "runs/store/pages/toy-study.html").read_text()
    for name, label in (("losses-DBSE_", "DBSE+"), ("losses-DBSE__2", "DBSE-")):
        assert f"<figcaption>{label}: " in page.split(f'<figure id="{name}">')[1].split("</figure>")[0]


def test_the_page_names_no_place_on_this_machine(seqdis, study: Path) -> None:
    assert seqdis(f"bench {study / 'study.py'} --no-page --seeds 0 --only DBSE --out {study / 'results'}").status == 0
    page = (study / "results/toy-study.md").read_text()
    assert "```bash\nseqdis bench study.py --seeds 0 --only DBSE --out results\n```" in page
    assert str(study) not in page
    words = f"bench study.py --no-page --seeds 0 --only DBSE --out={study / 'again'} --store={study / 'runs/store'}"
    assert seqdis(words).status == 0
    page = (study / "again/toy-study.md").read_text()
    assert "seqdis bench study.py --seeds 0 --only DBSE --out=again --store=runs/store\n" in page
    assert str(study) not in page


def test_scores_are_saved_even_if_they_cannot_be_summarised(
    seqdis, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(report, design):
        raise DataError("cannot be summarised")

    monkeypatch.setattr("seqdis.benchmark.summarise", fail)
    assert "cannot be summarised" in seqdis("bench study.py --no-page --out results --seeds 0").err
    assert len(Report.load(study / "results/toy-study.json").find(role="model", metric="swap_mse")) == 2


def test_an_interrupted_study_goes_on(seqdis, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self, outcome, ended: int, total: int) -> None:
        if ended == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(study_progress.Progress, "ended", stop)
        done = seqdis("bench study.py --no-page --out results")
    assert (done.status, done.out) == (130, "")
    assert "interrupted. Run the same command again to go on." in done.err
    again = seqdis("bench study.py --no-page --out results")
    assert (again.status, again.err.splitlines()[0].split(":")[0]) == (0, "1 of 2")


def test_progress_is_a_bar_on_a_terminal(seqdis, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = seqdis("bench broken.py --no-page --out results")
    assert "4/4" in shown.err
    assert "failed: w/o sub, toy, seed 0:" in shown.err
    assert seqdis("bench study.py --no-page --out hushed --quiet").err == ""


def test_without_matplotlib_there_are_results_and_a_word_about_figures(
    seqdis, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqdis.cli.bench.find_spec", lambda name: None)
    done = seqdis("bench study.py --seeds 0 --only DBSE --quiet")
    assert (done.status, done.out) == (0, "written: benchmarks/results/toy-study.md\n")
    assert "no figures and no HTML page: they need matplotlib" in done.err
    assert not (study / "runs/store/pages").exists()


MISTAKES = [
    Refused("bench nothere.py", 2, "nothere.py: there is no such file"),
    Refused("bench study.py other.py", 2, "bench needs one STUDY.py"),
    Refused("bench study.py --jobs 0", 2, "jobs = 0: expected at least 1"),
    Refused("bench study.py --only DBES", 2, "unknown method of the study 'DBES'. Did you mean 'DBSE'?"),
    Refused("bench study.py --only DBES --list", 2, "unknown method of the study 'DBES'. Did you mean 'DBSE'?"),
    Refused("bench study.py --only DBES --report-only", 2, "unknown method of the study 'DBES'"),
    Refused("bench study.py --only DBSE --report-only", 2, "--only with --report-only: it chooses what is run"),
    Refused("bench study.py --seeds 1 1", 2, "Study.seeds has 1 more than once"),
    Refused("bench study.py --job 2", 2, "Perhaps you meant: --jobs"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.command)
def test_a_mistake_is_explained_and_changes_nothing(seqdis, study: Path, case: Refused) -> None:
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        refused(seqdis, study, case)
    finally:
        sys.dont_write_bytecode = before
