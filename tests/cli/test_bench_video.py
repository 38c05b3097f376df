"""``seqdis bench`` on video: the page of the study, its short table, its figures, and their files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seqdis.evaluation.report import Report

pytest.importorskip("matplotlib")

STUDY = """
from seqdis.benchmark import Study
from seqdis.datasets import MovingFigures
from seqdis.evaluation.judge import Judge
from seqdis.methods import DBSE
from seqdis.protocols import ConditionalGeneration, ReencodeSwap
from seqdis.training import Training

full = DBSE(
    static_dim=3, dynamic_dim=2, hidden_dim=4, feature_dim=4, filters=4, training=Training(max_epochs=2, batch_size=8)
)
judge = Judge(epochs=1, filters=4, feature_dim=8, hidden_dim=8, on_weak="warn")
study = Study(
    name="toy-video",
    title="Figures that move",
    methods={"DBSE": full, "w/o sub": full.replace(subtract=False)},
    data={"toy": MovingFigures(n_train=16, n_valid=8, n_test=12, size=16, length=4)},
    protocols=(
        ConditionalGeneration(judge=judge, repeats=1, forms=("corrected",)),
        ReencodeSwap(n_pairs=4, resamples=0),
    ),
    seeds=(0, 1),
    reference="DBSE",
    summary=("conditional-generation: accuracy, *, swap*", "reencode-swap: nearest*"),
)
"""
FIGURES = (
    "swap_grid",
    "sample_static",
    "sample_dynamic",
    "confusion_motion",
    "tsne",
    "reconstructions",
    "losses",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the study was run."""
    from seqdis.cli import main

    folder = tmp_path_factory.mktemp("study")
    (folder / "study.py").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["bench", "study.py", "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "runs/store/pages/toy-video.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["DBSE", "w_o_sub"])
@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_of_every_method_is_on_the_page_and_a_file(folder: Path, html: str, figure: str, method) -> None:
    assert f'<figure id="{figure}-{method}">' in html
    assert (folder / f"runs/store/pages/toy-video/{figure}-{method}.png").stat().st_size > 500


@pytest.mark.parametrize("figure", FIGURES[:3])
def test_what_moves_is_animated(folder: Path, html: str, figure: str) -> None:
    shown = html.split(f'<figure id="{figure}-DBSE">')[1].split("</figure>")[0]
    assert 'src="data:image/gif;base64,' in shown
    assert (folder / f"runs/store/pages/toy-video/{figure}-DBSE.gif").read_bytes().startswith(b"GIF8")


def test_the_page_begins_with_the_short_table_and_ends_with_all_scores(html: str) -> None:
    order = ("Figures that move", "At a glance", "Swapped codes", "Judged classes", 'id="scores"', 'id="provenance"')
    places = [html.index(words) for words in order]
    assert places == sorted(places)
    table = html[places[1] : places[2]]
    rows = re.findall(r"<tr><td>(.*?)</td>", table)
    names = [re.sub(r" \(weak judge.*\)| ↑", "", row) for row in rows]
    swaps = [f"conditional-generation: accuracy, {factor}, swap" for factor in ("shape", "colour", "size", "motion")]
    assert names == [*swaps, *(f"reencode-swap: nearest donor, {code} code" for code in ("static", "dynamic"))]
    assert "copy of the static donor" in table
    assert table.count("±") > 2 * len(rows)  # two seeds of two methods


def test_captions_name_the_method(html: str) -> None:
    assert html.count("<figcaption>w/o sub: ") == html.count("<figcaption>DBSE: ") == len(FIGURES)


def test_the_markdown_page_begins_alike_and_names_the_judge(folder: Path) -> None:
    page = (folder / "benchmarks/results/toy-video.md").read_text()
    assert page.index("| conditional-generation: accuracy, shape, swap") < page.index("- Training seeds")
    assert "- Judge, toy: reads real test data right in " in page


def test_figures_can_be_drawn_again_from_the_store(folder: Path, html: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqdis.cli import main

    monkeypatch.chdir(folder)
    page = folder / "runs/store/pages/toy-video.html"
    page.unlink()
    assert main(["bench", "study.py", "--quiet", "--report-only"]) == 0
    assert page.read_text(encoding="utf-8") == html
    assert len(Report.load(folder / "benchmarks/results/toy-video.json").find(role="model")) > 8
