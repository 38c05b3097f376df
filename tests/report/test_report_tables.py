from __future__ import annotations

import pytest

from seqdis.evaluation.report import Report, Score
from seqdis.report.layout import EMPTY, tables
from seqdis.report.tables import NOTHING, latex, markdown, text

ROW = {"dataset": "d", "protocol": "p", "metric": "accuracy"}


def score(**changes):
    return Score(**{"method": "M", "value": 0.5, **ROW, **changes})


def one_table(*scores):
    (table,) = tables(Report(scores=scores))
    return table


def test_groups_by_protocol_and_form_and_orders_roles(report):
    first, second = tables(report)
    assert (first.protocol, first.form) == ("latent leakage", "corrected")
    assert (second.protocol, second.form) == ("conditional generation", "published")
    assert [(row.method, row.kind) for row in first.rows] == [
        ("DBSE", "model"),
        ("majority class", "control"),
        ("untrained encoder", "control"),
        ("DBSE", "published [1]"),
    ]
    assert [column.label for column in first.columns][:2] == [
        "accuracy, colour from static",
        "accuracy, motion from static",
    ]


def test_forms_and_data_sets_never_share_a_table():
    scores = (score(), score(form="corrected"), score(dataset="e"))
    assert [table.title for table in tables(Report(scores=scores))] == ["p · d", "p · d · corrected form", "p · e"]


def test_value_and_spread_share_their_digits():
    table = one_table(score(value=0.98124, spread=0.0042), score(method="C", role="control", value=0.25))
    assert [str(row.cells[0]) for row in table.rows] == ["0.981 ± 0.004", "0.250"]


@pytest.mark.parametrize(
    ("value", "spread", "printed"),
    [
        (92.89, 1.234, "92.89 ± 1.23"),
        (8.637, None, "8.637"),
        (1234.5, 3.0, "1234 ± 3"),
        (0.0412, 0.0003, "0.0412 ± 0.0003"),
        (0.5, 0.0, "0.500 ± 0.000"),
        (0.0, None, "0.000"),
        (-0.25, 0.1, "-0.250 ± 0.100"),
        (0.91, 0.00004, "0.91000 ± 0.00004"),
        (2.5e-7, 1e-8, "2.50e-07 ± 1.00e-08"),
        (3.2e7, None, "3.20e+07"),
        (float("nan"), None, "undefined"),
    ],
)
def test_digits(value, spread, printed):
    assert str(one_table(score(value=value, spread=spread)).rows[0].cells[0]) == printed


def test_notes_tell_kinds_of_spread_apart(report):
    first, second = tables(report)
    assert "a: Mean ± standard deviation over n = 5 heads." in first.notes
    assert "b: Mean ± standard deviation over n = 10 splits." in first.notes
    assert "Without ±: no spread is known." in first.notes
    assert [cell.mark for cell in first.rows[0].cells if cell] == ["a", "a", "a", "b"]
    assert second.notes == ("No spread is known.",)


def test_one_kind_of_spread_needs_no_letter():
    table = one_table(score(spread=0.1, n=3, over="training seeds"))
    assert "Mean ± standard deviation over n = 3 training seeds." in table.notes
    assert table.rows[0].cells[0].mark == ""


def test_a_score_without_control_is_said_to_stand_alone(report):
    assert "No control for: leakage gap, static." in tables(report)[0].notes
    assert "No control was measured." in one_table(score()).notes
    assert not any("control" in note for note in one_table(score(), score(role="control")).notes)


def test_published_numbers_carry_their_source():
    table = one_table(score(role="published", source="S3VAE paper Tab. 1"), score(role="published", method="N"))
    assert [row.kind for row in table.rows] == ["published [1]", "published, source not stated"]
    assert "[1] S3VAE paper Tab. 1" in table.notes


def test_scores_of_one_cell_are_kept_apart_and_repeats_dropped():
    heads, splits = score(spread=0.1, n=5, over="heads"), score(spread=0.2, n=4, over="splits")
    table = one_table(heads, splits, heads)
    assert [str(row.cells[0]) for row in table.rows] == ["0.500 ± 0.100", "0.500 ± 0.200"]


def test_training_seeds_get_rows_of_their_own():
    table = one_table(score(seed=0), score(seed=1, value=0.6))
    assert [row.method for row in table.rows] == ["M, seed 0", "M, seed 1"]


def test_text_lines_up(report):
    lines = text(report).splitlines()
    rows = [line for line in lines if line.startswith(("DBSE", "majority", "untrained"))][:3]
    assert len({line.index("0.") for line in rows}) == 1
    assert all(len(line) <= 110 for line in lines)


def test_narrow_text_continues_below(report):
    narrow = text(report, width=70)
    assert all(len(line) <= 70 for line in narrow.splitlines())
    assert narrow.count("untrained encoder") == 3  # three columns of its own, one by one
    for number in ("0.981", "0.262", "0.974", "0.719"):
        assert number in narrow


def test_markdown_bolds_the_model_and_escapes(report):
    out = markdown(report)
    assert "| **DBSE** | **model** | **0.981 ± 0.004**<sup>a</sup> |" in out
    assert "| majority class | control | 0.250 |" in out
    assert r"H(y\|x) ↓" in out
    hostile = markdown(Report(scores=(score(method="a|b\n<script>*x*"),)))
    assert r"**a\|b \<script\>\*x\***" in hostile


def test_markdown_rows_have_equal_cells(report):
    rows = [line.replace(r"\|", "") for line in markdown(report).splitlines() if line.startswith("| ")]
    assert [row.count("|") for row in rows] == [7] * 6 + [4] * 4
    assert EMPTY in rows[-5]


def test_latex_escapes_and_bolds():
    row = {"metric": "acc_50%", "better": "lower"}
    out = latex(Report(scores=(score(method=r"A&B_{x}\~", spread=0.1, n=2, over="heads", **row),)))
    assert r"\textbf{A\&B\_\{x\}\textbackslash{}\textasciitilde{}}" in out
    assert r"$\mathbf{0.500 \pm 0.100}$" in out
    assert r"acc\_50\% $\downarrow$" in out
    assert out.count(r"\begin{table}") == out.count(r"\end{table}") == 1


def test_empty_report_says_so():
    empty = Report(scores=())
    assert text(empty) == markdown(empty) == f"{NOTHING}\n"
    assert latex(empty) == f"% {NOTHING}\n"
