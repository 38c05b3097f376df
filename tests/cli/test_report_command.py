"""``seqdis report``: where the page goes, and where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Refused, refused


def test_the_page_of_a_run_is_written_and_written_anew(seqdis, runs: Path) -> None:
    pytest.importorskip("matplotlib")
    assert seqdis("report file") == (0, "page: file/report.html\n", "")
    page = (runs / "file/report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "seqdis fit dbse a.npy --training.max-epochs 1 --out file" in page
    (runs / "file/report.html").write_text("old")
    assert seqdis("report file").status == 0
    assert (runs / "file/report.html").read_text() == page


def test_another_place_is_taken_only_if_it_is_free(seqdis, runs: Path) -> None:
    pytest.importorskip("matplotlib")
    assert seqdis("report file --out pages/file.html").out == "page: pages/file.html\n"
    refused(seqdis, runs, Refused("report file --out pages/file.html", 1, "this file exists"))
    refused(seqdis, runs, Refused("report file --out a.npy", 2, "use a name ending in .html"))


@pytest.mark.parametrize(
    "case",
    [
        Refused("report gone", 1, "gone is not a run folder"),
        Refused("report file toy0", 2, "report needs one RUN"),
        Refused("report file --outt x.html", 2, "Perhaps you meant: --out"),
        Refused("report file --seed -1", 2, "--seed -1: expected a whole number from 0 to 4294967295"),
        Refused("report file --seed 4294967296", 2, "--seed 4294967296: expected a whole number from 0 to"),
    ],
    ids=lambda case: case.command,
)
def test_a_mistake_is_explained_and_changes_nothing(seqdis, runs: Path, case: Refused) -> None:
    refused(seqdis, runs, case)
