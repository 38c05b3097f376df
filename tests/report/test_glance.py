"""The short table at the start of a study's page: which scores, in which order, with which controls."""

from dataclasses import replace

import pytest

from seqdis.benchmark.summary import Group, Line
from seqdis.report.glance import Glance, at_a_glance, digits, number, places_of

NAN = float("nan")


def group(protocol="p", metric="accuracy", factor="a", form="corrected", better="higher", **more):
    lines = (
        Line(method="full", role="model", mean=0.91234, seed_spread=0.02, n=2, planned=2),
        Line(method="cut", role="model", mean=0.5, n=1, planned=2),
        Line(method="low", role="control", mean=0.1, n=1, planned=1),
        Line(method="high", role="control", mean=0.9, n=1, planned=1),
        Line(method="none", role="control", mean=NAN, n=1, planned=1),
        Line(method="full", role="published", mean=0.99, n=1, source="paper"),
    )
    settings = {"lines": lines, "differences": (), "strongest": "high", "splits": "random"} | more
    return Group(protocol=protocol, dataset="d", form=form, metric=metric, factor=factor, better=better, **settings)


def test_a_row_holds_every_method_and_the_controls_from_best_to_worst():
    assert at_a_glance([group()]) == Glance(
        ("score", "full", "cut", "controls"),
        (("p: accuracy, a ↑", "0.912 ± 0.020", "0.500", "high 0.900; low 0.100"),),
    )
    (row,) = at_a_glance([group(better="lower")]).rows
    assert (row[0], row[-1]) == ("p: accuracy, a ↓", "low 0.100; high 0.900")


def test_without_a_wish_the_first_score_with_a_good_direction_of_every_protocol():
    groups = [group(factor="chance", better=""), group(), group(factor="b"), group(protocol="q", factor="c", better="")]
    assert [row[0] for row in at_a_glance(groups).rows] == ["p: accuracy, a ↑", "q: accuracy, c"]


def test_the_corrected_form_stands_for_the_published_one_where_there_is_one():
    groups = [group(form="published", factor="a"), group(factor="b"), group(protocol="q", form="published")]
    assert [row[0] for row in at_a_glance(groups).rows] == ["p: accuracy, b ↑", "q: accuracy, a ↑"]


def test_wishes_decide_rows_and_their_order_and_what_is_not_there_is_said():
    groups = [group(), group(metric="IS"), group(factor="b, swap"), group(factor="c, swap")]
    wanted = ("p: accuracy, *swap", "p: IS, a", "p: AUROC*", "p: accuracy, b*")
    rows = at_a_glance(groups, wanted).rows
    names = ["p: accuracy, b, swap ↑", "p: accuracy, c, swap ↑", "p: IS, a ↑", "p: AUROC*"]
    assert [row[0] for row in rows] == names  # a score that two wishes name is there once
    assert rows[3] == ("p: AUROC*", "not measured", "not measured", "—")


def test_several_data_sets_are_named_and_equal_rows_kept():
    groups = [replace(group(), dataset=name) for name in ("d", "e")]
    assert [row[0] for row in at_a_glance(groups, ("p: accuracy*",)).rows] == [f"{d} · p: accuracy, a ↑" for d in "de"]
    published = replace(group(form="published", metric="IS"), dataset="e")
    assert at_a_glance([group(), published], ("p: IS*",)).rows[0][0] == "e · p: IS, a ↑"  # nothing corrected of it


def test_bounds_come_last_and_undefined_spreads_and_what_cannot_be_asked_are_not_printed():
    lines = (
        Line(method="full", role="model", mean=0.5, seed_spread=NAN, n=2, planned=2),
        Line(method="cannot", role="model", mean=NAN, n=0, planned=2),
        Line(method="real", role="control", mean=1.0, n=1, planned=1, bound=True),
        Line(method="chance", role="control", mean=0.1, n=1, planned=1),
    )
    (row,) = at_a_glance([group(lines=lines)]).rows
    assert row == ("p: accuracy, a ↑", "0.500", "—", "chance 0.100; real (bound) 1.000")


def test_several_splits_show_the_spread_over_splits():
    spread = replace(group().lines[0], split_spread=0.3)
    (row,) = at_a_glance([group(lines=(spread,))]).rows
    assert row == ("p: accuracy, a ↑", "0.912 ± 0.300", "—")


def test_a_study_without_scores_is_an_empty_table():
    assert at_a_glance([]) == Glance(("score", "controls"), ())


@pytest.mark.parametrize(
    ("values", "places"), [([0.912, 0.1], 3), ([12.3], 2), ([0.0], 3), ([], 3), ([NAN, 4321.0], 0)]
)
def test_about_four_digits_of_the_largest_value(values, places):
    assert digits(values) == places


def test_methods_far_below_the_controls_keep_their_digits():
    low = replace(group().lines[0], mean=0.00072)
    control = Line(method="untrained", role="control", mean=0.211, n=1, planned=1)
    assert (places_of([low, control]), places_of([control]), places_of([])) == (6, 3, 3)


def test_numbers_as_printed():
    assert (number(0.12345, 3), number(None, 3), number(NAN, 3)) == ("0.123", "—", "undefined")
