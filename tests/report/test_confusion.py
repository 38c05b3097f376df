from __future__ import annotations

import io

import numpy as np
import pytest

from seqdis.errors import DataError
from seqdis.evaluation.report import Report
from seqdis.report.confusion import confusion_matrix, confusion_pictures

Image = pytest.importorskip("PIL.Image")


def pixels(picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB")).astype(int)


def darkest(picture) -> int:
    """Pixels of the darkest blue of the map, which only shares near one have."""
    r, g, b = np.moveaxis(pixels(picture), 2, 0)
    return int(((b - r > 70) & (r < 30) & (g < 80)).sum())


def test_rows_are_shares():
    sure = confusion_matrix(np.diag([3, 40]), ("walk", "slash"), "action")
    assert (sure.name, sure.mime) == ("confusion_action", "image/png")
    assert "rows" in sure.caption
    # Two full cells, though one class is rare; half of that where one row is spread out.
    spread = confusion_matrix(np.array([[3, 0], [20, 20]]), ("walk", "slash"), "action")
    assert darkest(sure) > 1.8 * darkest(spread) > 0


def test_the_same_counts_give_the_same_picture():
    first, again, other = (
        confusion_matrix(np.array(counts), "ab", "x").data for counts in ([[1, 0], [0, 1]],) * 2 + ([[0, 1], [1, 0]],)
    )
    assert first == again
    assert first != other


def test_a_class_without_sequences_is_blank_and_names_are_literal():
    picture = confusion_matrix(np.array([[2, 0], [0, 0]]), ("$a$", "b"), "cost/unit $")
    assert picture.name == "confusion_cost_unit__"
    assert darkest(picture) > 0


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="a row and a column for each of 3 classes"):
        confusion_matrix(np.eye(2, dtype=int), "abc", "x")
    with pytest.raises(DataError, match="got 0 sequences"):
        confusion_matrix(np.zeros((2, 2), int), "ab", "x")


def test_pictures_of_a_report():
    found = {"motion": {"classes": ["left", "right"], "counts": [[3, 1], [0, 4]]}}
    report = Report(scores=(), provenance={"conditional-generation": {"confusion": found}})
    (picture,) = confusion_pictures(report)
    assert picture == confusion_matrix(np.array([[3, 1], [0, 4]]), ("left", "right"), "motion")
    assert confusion_pictures(Report(scores=())) == []
