from math import isnan, sqrt

import pytest

from seqdis.benchmark.summary import Design, summarise
from seqdis.errors import SettingsError
from seqdis.evaluation.report import Report, Score


def score(method, value, seed=None, split="a", role="model", better="higher", **more):
    place = {"dataset": "d", "protocol": "p", "metric": "AUROC", "form": "corrected"}
    return Score(method=method, value=value, seed=seed, split=split, role=role, better=better, **place | more)


def control(method, value, split="a", **more):
    return score(method, value, split=split, role="control", **more)


def design(**changes):
    settings = {
        "methods": ("full", "cut"),
        "splits": {"d": ("a",)},
        "seeds": (0, 1, 2),
        "reference": "full",
        "kinds": {"d": "random"},
        "test_share": {"d": 0.25},
    }
    return Design(**settings | changes)


FULL = [score("full", value, seed) for seed, value in enumerate((0.8, 0.9, 1.0))]
CUT = [score("cut", value, seed) for seed, value in enumerate((0.7, 0.7, 0.7))]
PRINTED = score("full", 0.99, split="", role="published", spread=0.01, source="paper Tab. 1")
ONE_SPLIT = (*FULL, *CUT, control("prior", 0.5), control("boosting", 0.85), PRINTED)


def only(report, plan):
    (group,) = summarise(Report(scores=tuple(report)), plan)
    return group


def test_lines_in_order_with_their_spreads():
    lines = only(ONE_SPLIT, design()).lines
    assert [(line.method, line.role) for line in lines] == [
        ("full", "model"),
        ("cut", "model"),
        ("prior", "control"),
        ("boosting", "control"),
        ("full", "published"),
    ]
    full, cut, prior, _, printed = lines
    assert (full.mean, full.seed_spread, full.split_spread) == (pytest.approx(0.9), pytest.approx(0.1), None)
    assert (full.n, full.planned, cut.seed_spread) == (3, 3, pytest.approx(0.0))
    assert (prior.mean, prior.seed_spread, prior.n, prior.planned) == (0.5, None, 1, 1)
    assert (printed.mean, printed.printed_spread, printed.source) == (0.99, 0.01, "paper Tab. 1")


def test_differences_of_one_split_are_over_seeds_and_against_reference_and_strongest_control():
    group = only(ONE_SPLIT, design())
    assert group.strongest == "boosting"
    found = {(each.method, each.against): each for each in group.differences}
    assert set(found) == {("cut", "full"), ("full", "boosting"), ("cut", "boosting")}
    cut = found["cut", "full"]
    margin = 4.302653 * 0.1 / sqrt(3)  # no correction: it is about splits
    assert (cut.mean, cut.low, cut.high) == pytest.approx((-0.2, -0.2 - margin, -0.2 + margin), abs=1e-6)
    assert (cut.n, cut.over) == (3, "training seeds")
    assert found["cut", "boosting"].mean == pytest.approx(-0.15)


def test_several_splits_are_averaged_over_seeds_first_and_corrected():
    rows = []
    for split, shift in (("a", 0.0), ("b", 0.1), ("c", 0.5)):
        rows += [score("full", 0.5 + step, seed, split) for seed, step in enumerate((-0.1, 0.1))]
        rows += [score("cut", 0.5 + shift, 0, split), control("prior", 0.3, split)]
    plan = design(splits={"d": ("a", "b", "c")}, seeds=(0, 1))
    group = only(rows, plan)
    cut = group.differences[0]
    # Only seed 0 is common: differences 0.1, 0.2, 0.6 against full's 0.4.
    assert (cut.mean, cut.n, cut.over) == (pytest.approx(0.3), 3, "splits")
    spread = sqrt((0.2**2 + 0.1**2 + 0.3**2) / 2)
    assert cut.high - cut.mean == pytest.approx(4.302653 * spread * sqrt(1 / 3 + 0.25), abs=1e-5)
    assert group.splits == "random"
    for kind in ("independent", "same test"):
        plain = only(rows, design(splits={"d": ("a", "b", "c")}, seeds=(0, 1), kinds={"d": kind}, test_share={}))
        assert plain.differences[0].high - cut.mean == pytest.approx(4.302653 * spread / sqrt(3), abs=1e-5)
        assert plain.splits == kind
    full = group.lines[0]
    assert (full.seed_spread, full.split_spread, full.n) == (pytest.approx(0.1 * sqrt(2)), pytest.approx(0), 6)


def test_what_is_missing_is_counted_and_never_made_up():
    group = only([*FULL[:2], control("prior", 0.5)], design())
    full, cut, _ = group.lines
    assert (full.n, full.planned) == (2, 3)
    assert isnan(cut.mean)
    assert (cut.n, cut.planned) == (0, 3)
    assert [(each.method, each.against) for each in group.differences] == [("full", "prior")]


def test_a_bound_is_no_competitor():
    group = only((*ONE_SPLIT, control("real data", 1.0, bound=True)), design())
    assert group.strongest == "boosting"
    assert {line.method: line.bound for line in group.lines if line.role == "control"} == {
        "prior": False,
        "boosting": False,
        "real data": True,
    }


def test_where_lower_is_better_the_strongest_control_has_the_lowest_score():
    rows = [score("full", 0.4, 0, better="lower"), control("a", 0.2, better="lower"), control("b", 0.1, better="lower")]
    assert only([*rows, control("c", float("nan"), better="lower")], design()).strongest == "b"
    no_goal = [score("full", 0.4, 0, better=""), control("a", 0.2, better="")]
    assert only(no_goal, design()).strongest == ""


def test_a_control_as_reference():
    group = only(ONE_SPLIT, design(reference="prior"))
    assert [(each.method, each.against, each.mean) for each in group.differences][:2] == [
        ("full", "prior", pytest.approx(0.4)),
        ("cut", "prior", pytest.approx(0.2)),
    ]
    with pytest.raises(SettingsError, match=r"unknown method or control 'priors'. Did you mean 'prior'\?"):
        only(ONE_SPLIT, design(reference="priors"))


def test_groups_are_what_may_be_compared_and_printed_numbers_alone_make_none():
    elsewhere = score("full", 0.1, 0, metric="AUPRC")
    printed = score("full", 0.1, role="published", metric="accuracy", split="")
    found = summarise(Report(scores=(*FULL, elsewhere, printed)), design())
    assert [group.metric for group in found] == ["AUROC", "AUPRC"]


def test_equal_differences_have_no_interval():
    found = {(each.method, each.against): each for each in only(ONE_SPLIT, design()).differences}
    constant = found["cut", "boosting"]
    assert (constant.mean, constant.low, constant.high, constant.n) == (pytest.approx(-0.15), None, None, 3)
    assert found["full", "boosting"].low is not None
    # Nor do equal differences over splits say that all others would be equal.
    rows = [score(name, 0.5, 0, split) for name in ("full", "cut") for split in ("a", "b")]
    (splits,) = only(rows, design(splits={"d": ("a", "b")}, seeds=(0,))).differences
    assert (splits.mean, splits.low, splits.high, splits.over) == (0.0, None, None, "splits")


def test_undefined_scores_give_undefined_lines_and_differences():
    group = only((*FULL[:2], score("full", float("nan"), 2), *CUT), design())
    (cut,) = group.differences
    assert all(map(isnan, (cut.mean, cut.low, cut.high, group.lines[0].mean, group.lines[0].seed_spread)))
