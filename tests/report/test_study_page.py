from dataclasses import replace

import pytest

from seqdis.benchmark.summary import Difference, Group, Line
from seqdis.report.study_page import study_page

ABOUT = {
    "command": "seqdis bench study.py --jobs 2",
    "study": {"name": "s", "title": "A | B", "reference": "DBSE", "splits": "random"},
    "seeds": [0, 1],
    "lead": "DBSE, official, seed 0",
    "conditions": [{"hardware": {"processor": "P", "threads": 1, "accelerator": "none"}, "versions": {"torch": "2"}}],
    "runs": [
        {"method": "DBSE", "epochs": 3, "fit_seconds": 2.0, "evaluation_seconds": {"a": 1.0, "b": 0.5}},
        {"method": "DBSE", "epochs": 3, "fit_seconds": 4.0, "evaluation_seconds": {"a": 0.5, "b": 0.5}},
    ],
    "data": {"official": {"train": "abc", "test": "def"}},
    "sequences": {"official": {"train": 10, "test": 4}},
    "missing": [],
}
GROUP = Group(
    protocol="mortality",
    dataset="physionet",
    form="corrected",
    metric="AUROC",
    factor="mortality from static",
    better="higher",
    lines=(
        Line(method="DBSE", role="model", mean=0.71234, seed_spread=0.01, n=2, planned=2),
        Line(method="w/o sub", role="model", mean=0.7, n=1, planned=2),
        Line(method="w/o both", role="model", mean=float("nan"), planned=2),
        Line(method="PCA code", role="control", mean=0.75, n=1, planned=1),
        Line(method="DBSE", role="published", mean=0.858, printed_spread=0.01, n=1, source="DBSE paper Tab. 3"),
    ),
    differences=(
        Difference(method="w/o sub", against="DBSE", mean=-0.0123, low=None, high=None, n=1, over="training seeds"),
        Difference(method="DBSE", against="PCA code", mean=-0.04, low=-0.1, high=0.02, n=2, over="training seeds"),
    ),
    strongest="PCA code",
    corrected=False,
)


@pytest.fixture(scope="module")
def page():
    return study_page(ABOUT, [GROUP])


def test_the_head_says_how_the_numbers_came_about(page):
    assert page.startswith("# A \\| B\n\n```bash\nseqdis bench study.py --jobs 2\n```\n\n- Training seeds: 0, 1.")
    assert "- Evaluated on: P, 1 thread(s), accelerator none; torch 2." in page
    assert "- DBSE: 2 run(s) of 3 epochs, fit 3 s on average (2 to 4), evaluation 1.25 s, wall time." in page
    assert "- Data, official: train 10 `abc`, test 4 `def` (sequences, fingerprint)." in page
    assert "belong to the first method and seed (DBSE, official, seed 0;" in page
    assert "No run is missing." in page


def test_scores_with_what_is_missing_marked(page):
    assert "### mortality · physionet · corrected form · AUROC, mortality from static ↑" in page
    assert "| **DBSE** | model | 0.712 | 0.010 | 2 |" in page
    assert "| **w/o sub** | model | 0.700 | — | 1 of 2, **rest missing** |" in page
    assert "| **w/o both** | model | undefined | — | 0 of 2, **rest missing** |" in page
    assert "| PCA code | control | 0.750 | — | 1 |" in page
    assert r"| DBSE | printed \[1\] | 0.858 ± 0.010 | — | — |" in page
    assert r"- \[1\] DBSE paper Tab. 3" in page


def test_differences_say_over_what_and_what_they_do_not_cover(page):
    assert "| w/o sub | DBSE | -0.0123 | — | 1 | training seeds |" in page
    assert "| DBSE | PCA code (strongest control) | -0.0400 | -0.1000 to +0.0200 | 2 | training seeds |" in page
    assert "training noise only" in page
    assert "chosen by its score on test, which favours the control" in page
    assert "Nadeau" not in page


def test_splits_have_a_spread_of_their_own_and_another_note():
    lines = (replace(GROUP.lines[0], split_spread=0.03), *GROUP.lines[1:])
    overs = tuple(replace(each, over="splits") for each in GROUP.differences)
    page = study_page(ABOUT, [replace(GROUP, lines=lines, differences=overs, corrected=True)])
    assert "| method |  | mean | ± seeds | ± splits | n |" in page
    assert "| **DBSE** | model | 0.712 | 0.010 | 0.030 | 2 |" in page
    assert "Nadeau and Bengio 2003" in page
    assert "training noise only" not in page


def test_missing_runs_are_named_at_the_top():
    page = study_page(ABOUT | {"missing": ["w/o sub, official, seed 1"]}, [GROUP])
    assert "**Missing: 1 run(s)**, not averaged over: w/o sub, official, seed 1." in page


def test_rows_of_a_table_have_equal_cells(page):
    rows = [line.replace(r"\|", "") for line in page.splitlines() if line.startswith("| ")]
    assert [row.count("|") for row in rows] == [6] * 7 + [7] * 4
