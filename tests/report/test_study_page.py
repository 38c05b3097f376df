from dataclasses import replace

import pytest

from seqdis.benchmark.summary import Difference, Group, Line
from seqdis.evaluation.report import Report
from seqdis.report.study_html import endings, write_study_html
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
    splits="random",
)


@pytest.fixture(scope="module")
def page():
    return study_page(ABOUT, [GROUP])


def test_the_head_says_how_the_numbers_came_about(page):
    assert page.startswith("# A \\| B\n\n```bash\nseqdis bench study.py --jobs 2\n```\n\n| score |")
    assert "- Training seeds: 0, 1." in page
    assert "- Evaluated on: P, 1 thread(s), accelerator none; torch 2." in page
    assert "- DBSE: 2 run(s) of 3 epochs, fit 3 s on average (2 to 4), evaluation 1.25 s, wall time." in page
    assert "- Data, official: train 10 `abc`, test 4 `def` (sequences, fingerprint)." in page
    assert "belong to one method and seed (DBSE, official, seed 0;" in page
    assert "No run is missing." in page


def test_scores_with_what_is_missing_marked(page):
    assert "### mortality · physionet · corrected form · AUROC, mortality from static ↑" in page
    assert "| **DBSE** | model | 0.712 | 0.010 | 2 |" in page
    assert "| **w/o sub** | model | 0.700 | — | 1 of 2, as it cannot be asked of this method |" in page
    assert "| **w/o both** | model | — | — | 0 of 2, as it cannot be asked of this method |" in page
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
    page = study_page(ABOUT, [replace(GROUP, lines=lines, differences=overs)])
    assert "| method |  | mean | ± seeds | ± splits | n |" in page
    assert "| **DBSE** | model | 0.712 | 0.010 | 0.030 | 2 |" in page
    assert "Nadeau and Bengio 2003" in page
    assert "training noise only" not in page


@pytest.mark.parametrize(("kind", "words"), [("same test", "All share one test part"), ("independent", "no sequences")])
def test_the_note_on_splits_says_what_they_have_in_common(kind, words):
    overs = tuple(replace(each, over="splits") for each in GROUP.differences)
    page = study_page(ABOUT, [replace(GROUP, differences=overs, splits=kind)])
    assert words in page
    assert "Nadeau" not in page


def test_a_difference_without_training_noise_has_a_note_in_place_of_an_interval(page):
    note = "the same every time: no interval"
    assert note not in page  # a single difference is another matter
    constant = replace(GROUP.differences[0], n=5)
    constant_page = study_page(ABOUT, [replace(GROUP, differences=(constant,))])
    assert "| w/o sub | DBSE | -0.0123 | — | 5 | training seeds |" in constant_page
    assert note in constant_page


def test_undefined_bounds_are_said_to_be_undefined():
    nan = float("nan")
    each = replace(GROUP.differences[0], mean=nan, low=nan, high=nan, n=2)
    page = study_page(ABOUT, [replace(GROUP, differences=(each,))])
    assert "| w/o sub | DBSE | undefined | undefined | 2 | training seeds |" in page


def test_code_sizes_stand_in_the_head(page):
    sizes = {"DBSE": {"static_dim": 8, "dynamic_dim": 4}, "w/o sub": {}, "copies": {"dynamic_dim": 2}}
    assert "- Code sizes: DBSE static 8, dynamic 4; copies dynamic 2.\n" in study_page(
        ABOUT | {"code sizes": sizes}, []
    )
    assert "whatever the code sizes of the other methods are" in page


def test_evaluations_that_measured_controls_too_are_left_out_of_the_times():
    lead = ABOUT["runs"][0] | {"evaluation_seconds": {}}
    page = study_page(ABOUT | {"runs": [lead, ABOUT["runs"][1]]}, [])
    assert "evaluation 1 s, wall time." in page
    assert "evaluation not timed without controls, wall time." in study_page(ABOUT | {"runs": [lead]}, [])


def test_missing_runs_are_named_at_the_top():
    page = study_page(ABOUT | {"missing": ["w/o sub, official, seed 1"], "methods missing": ["w/o sub"]}, [GROUP])
    assert "**Missing: 1 run(s)**, not averaged over: w/o sub, official, seed 1." in page
    assert "| **w/o sub** | model | 0.700 | — | 1 of 2, **rest missing** |" in page


def test_controls_that_wait_for_their_run_are_not_claimed():
    page = study_page(ABOUT | {"controls missing": ["other year"]}, [GROUP])
    assert "Controls were measured" not in page
    assert "(DBSE, official, seed 0, the same on each split), which has not been run on every split (not on" in page
    assert "other year)" in page


def test_rows_of_a_table_have_equal_cells(page):
    rows = [line.replace(r"\|", "") for line in page.splitlines() if line.startswith("| ")]
    assert [row.count("|") for row in rows] == [6] * 3 + [6] * 7 + [7] * 4


def test_the_page_begins_with_the_scores_that_matter(page):
    row = "| mortality: AUROC, mortality from static ↑ | 0.712 ± 0.010 | 0.700 | — | PCA code 0.750 |"
    assert "| score | DBSE | w/o sub | w/o both | controls |" in page
    assert page.index(row) < page.index("Training seeds") < page.index("### mortality")


def test_the_judge_is_named_with_its_accuracy_on_real_data(page):
    assert "Judge" not in page
    judge = {"accuracy on real test data": {"skin": 0.9955, "action": 1.0}, "floor": 0.99, "epochs trained": 7}
    judged = study_page(ABOUT | {"judges": {"official": judge}}, [GROUP])
    words = "- Judge, official: reads real test data right in 0.9955 (skin), 1.0000 (action); floor 0.99, 7 epochs.\n"
    assert words in judged
    about = ABOUT | {
        "judges": {"official": judge | {"seconds trained": 350.2}},
        "counts": {"official": {"conditional-generation": {"corrected": {"skin": {"n": 60, "m": 9}}}}},
        "seconds with controls": {"DBSE, official, seed 0": {"conditional-generation": 812.4}},
    }
    page = study_page(about, [GROUP])
    assert "floor 0.99, 7 epochs in 350 s.\n" in page
    assert "corrected form: skin 60, inception score and entropies of 9 of each class.\n" in page
    assert "- Evaluation with controls (DBSE, official, seed 0): conditional-generation 812 s, wall time.\n" in page


def test_printed_spreads_are_called_printed_on_the_html_page(tmp_path):
    pytest.importorskip("matplotlib")
    about = ABOUT | {"study": ABOUT["study"] | {"summary": []}, "judges": {}, "runs": []}
    page = write_study_html(tmp_path / "s.html", Report(scores=(), provenance=about), [GROUP]).read_text()
    assert "0.858" in page
    assert "± as printed" in page
    assert "unstated origin" not in page


def test_a_bound_is_not_the_best_control_of_either_page(tmp_path):
    pytest.importorskip("matplotlib")
    about = ABOUT | {"study": ABOUT["study"] | {"summary": []}, "judges": {}, "runs": []}
    real = Line(method="real data", role="control", mean=1.0, n=1, planned=1, bound=True)
    bounded = replace(GROUP, lines=(*GROUP.lines, real))
    page = write_study_html(tmp_path / "s.html", Report(scores=(), provenance=about), [bounded]).read_text()
    assert "the best control (PCA code) reaches" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "| real data | control, bound | 1.000 |" in study_page(ABOUT, [bounded])


def test_names_of_figures_are_told_apart_where_labels_differ_in_signs_or_capitals():
    assert endings(["DBSE", "w/o sub", "beta 0.1"]) == {"DBSE": "DBSE", "w/o sub": "w_o_sub", "beta 0.1": "beta_0_1"}
    found = endings(["A+", "A-", "A/2", "a*", "A__2"])
    assert list(found.values()) == ["A_", "A__2", "A_2", "a__3", "A__2_2"]
