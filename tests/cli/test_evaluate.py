"""``seqdis evaluate``: tables, files, several runs, and mistakes found before anything is measured."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from command_line import ONE_EPOCH, Refused, edit, files, refused

from seqdis.cli.runs import Run
from seqdis.disk import alone
from seqdis.evaluation.report import Report
from seqdis.protocols import Protocol, SwapFidelity

FEW = "--swap-fidelity.n-pairs 4"


def test_scores_stand_beside_their_controls_and_are_kept(seqdis, runs: Path) -> None:
    done = seqdis(f"evaluate toy0 swap-fidelity {FEW}")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("swap-fidelity · toy-series\n")
    for row in ("DBSE  ", "untrained network", "average frame", "copy of the static donor"):
        assert row in done.out
    kept = Report.load(runs / "toy0/report.json")
    assert {score.method for score in kept.find(role="model")} == {"DBSE"}
    assert kept.settings["swap-fidelity"]["n_pairs"] == 4
    assert kept.provenance["run"].startswith("seqdis fit dbse toy-series --training.max-epochs 1")


def test_rows_are_replaced_by_protocol(seqdis, runs: Path) -> None:
    seqdis(f"evaluate toy0 swap-fidelity {FEW}")
    first = Report.load(runs / "toy0/report.json")
    few = "--latent-leakage.repeats 2 --latent-leakage.resamples 2"
    assert seqdis(f"evaluate toy0 latent-leakage {few}").status == 0
    both = Report.load(runs / "toy0/report.json")
    assert both.find(protocol="swap-fidelity") == first.scores
    assert both.find(protocol="latent-leakage")
    dotted = "seqdis.protocols:SwapFidelity --seqdis-protocols-SwapFidelity.n-pairs 4"
    assert seqdis(f"evaluate toy0 {dotted}").status == 0
    assert len(Report.load(runs / "toy0/report.json")) == len(both)


def test_other_settings_of_a_protocol_replace_its_rows_as_the_help_says(seqdis, runs: Path) -> None:
    for pairs in (4, 5):
        assert seqdis(f"evaluate toy0 swap-fidelity --swap-fidelity.n-pairs {pairs}").status == 0
        kept = Report.load(runs / "toy0/report.json")
        assert kept.settings["swap-fidelity"]["n_pairs"] == pairs
        assert len(kept.find(role="model", metric="swap_mse")) == 1
    told = " ".join(seqdis("evaluate --help").out.split())
    assert "in place of earlier rows of the same protocol, with whatever settings those were measured" in told


def is_held(lock: Path) -> bool:
    try:
        with alone(lock, wait=False):
            return False
    except BlockingIOError:
        return True


def test_rows_are_added_while_no_other_evaluation_of_the_run_can_add_its_own(
    seqdis, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fcntl")
    lock, held = runs / "toy0/report.lock", []
    read, write = Run.report, Report.save
    monkeypatch.setattr(Run, "report", lambda self: held.append(("read", is_held(lock))) or read(self))
    monkeypatch.setattr(Report, "save", lambda self, path: held.append(("write", is_held(lock))) or write(self, path))
    assert seqdis(f"evaluate toy0 swap-fidelity {FEW}").status == 0
    assert held == [("read", False), ("read", True), ("write", True)]  # first of all, whether it can be read
    assert not is_held(lock)


def test_rows_go_to_a_file_of_either_form(seqdis, runs: Path) -> None:
    words = f"evaluate toy0 swap-fidelity {FEW} --out"
    done = seqdis(f"{words} new/scores.md")
    assert done.out.endswith("written: new/scores.md\n")
    page = (runs / "new/scores.md").read_text()
    made_by = Report.load(runs / "toy0/report.json").provenance["run"]
    assert page.startswith(f"# scores\n\n```bash\n{made_by}\nseqdis {words} new/scores.md\n```\n")
    assert "| copy of the static donor | control |" in page
    assert seqdis(f"{words} scores.json").status == 0
    rows = Report.load(runs / "scores.json")
    assert rows.scores == Report.load(runs / "new/scores.json").scores == Report.load(runs / "toy0/report.json").scores
    assert rows.provenance["command"] == f"seqdis {words} scores.json"


def test_several_runs_are_averaged_over_training_seeds(seqdis, runs: Path) -> None:
    done = seqdis(f"evaluate toy0 toy1 swap-fidelity {FEW} --out both.json")
    assert "over n = 2 training seeds" in done.out
    each = [
        Report.load(runs / name / "report.json").find(role="model", metric="swap_mse")[0] for name in ("toy0", "toy1")
    ]
    (mean,) = Report.load(runs / "both.json").find(role="model", metric="swap_mse")
    assert mean.value == pytest.approx(sum(score.value for score in each) / 2)
    assert mean.spread == pytest.approx(abs(each[0].value - each[1].value) / 2**0.5)
    assert {score.seed for score in each} == {0, 1}


def test_settings_of_a_protocol_are_in_the_help_of_run_and_protocol(seqdis, runs: Path) -> None:
    for words in ("toy0 swap-fidelity", "swap-fidelity"):
        done = seqdis(f"evaluate {words} --help")
        assert done.status == 0
        assert "--swap-fidelity.n-pairs INT" in done.out
        assert "--out FILE" in done.out


MISTAKES = [
    Refused("evaluate toy0 swap-fidelty", 2, "unknown protocol 'swap-fidelty'. Did you mean 'swap-fidelity'?"),
    Refused("evaluate gone swap-fidelity", 2, "gone is no run folder (it has no run.json)"),
    Refused("evaluate gone/0 swap-fidelity", 2, "gone/0 is no run folder (it has no run.json)"),
    Refused("evaluate toy0", 2, "evaluate needs RUN and PROTOCOL"),
    Refused("evaluate swap-fidelity", 2, "evaluate needs RUN and PROTOCOL"),
    Refused("evaluate toy0 swap-fidelity --n-pairs 4", 2, "Perhaps you meant: --swap-fidelity.n-pairs"),
    Refused("evaluate toy0 swap-fidelity --swap-fidelity.n-pairs 1", 2, "expected a value at least 2"),
    Refused("evaluate toy0 swap-fidelity --out a.npy", 2, "--out a.npy: use a name ending in .json or .md"),
    Refused("evaluate toy0 swap-fidelity --out taken.json", 1, "--out taken.json: this file exists"),
    Refused("evaluate toy0 swap-fidelity --out taken.md", 1, "--out taken.json: this file exists"),
    Refused("evaluate toy0 toy0 swap-fidelity", 2, "these runs have training seeds [0, 0]: give every seed once"),
    Refused("evaluate toy0 file swap-fidelity", 2, "toy0 and file differ in training data"),
    Refused("evaluate toy0 wider swap-fidelity", 2, "toy0 and wider differ in method or settings"),
    Refused("evaluate toy0 mortality", 1, "unknown label 'mortality'. Known: group"),
    Refused("evaluate toy0 latent-leakage --latent-leakage.static-factor grup", 1, "unknown factor 'grup'"),
    Refused("evaluate file swap-fidelity", 1, "needs data that can render true hybrids"),
    Refused("evaluate toy0 os:PathLike", 2, "PathLike, which is no Protocol that can be used"),
    Refused("evaluate toy0 seqdis.protocols:Protocol", 2, "Protocol, which is no Protocol that can be used"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.command)
def test_a_mistake_is_explained_and_changes_nothing(seqdis, runs: Path, case: Refused) -> None:
    (runs / "taken.json").write_text("mine")
    if "wider" in case.command:
        assert seqdis("fit", "dbse", "a.npy", *ONE_EPOCH, "--static-dim", "8", "--out", "wider").status == 0
    refused(seqdis, runs, case)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Protocol]:
    """Protocols whose ``run`` was called, without effect."""
    called: list[Protocol] = []
    monkeypatch.setattr(SwapFidelity, "run", lambda self, model, data: called.append(self) or Report(scores=()))
    return called


def test_what_could_not_be_kept_is_refused_before_measuring(seqdis, runs: Path, measured: list[Protocol]) -> None:
    (runs / "toy0/report.json").write_text('{"scores": [')
    refused(seqdis, runs, Refused("evaluate toy1 toy0 swap-fidelity", 1, "report.json cannot be read"))
    assert measured == []
    assert seqdis("evaluate toy1 swap-fidelity").status == 0
    assert measured == [SwapFidelity()]


def test_data_that_have_changed_are_refused(seqdis, runs: Path) -> None:
    content = json.loads((runs / "toy0/run.json").read_text())
    content["about"]["data"]["settings"]["seed"] = 5
    edit(runs / "toy0/run.json", about=content["about"])
    refused(
        seqdis,
        runs,
        Refused("evaluate toy0 swap-fidelity", 1, "the training part of toy-series has changed since the fit"),
    )


def test_a_file_that_has_gone_and_a_run_without_data_are_named(seqdis, runs: Path) -> None:
    edit(runs / "toy0/run.json", about={})
    refused(seqdis, runs, Refused("evaluate toy0 swap-fidelity", 1, "does not say which data set it was fitted on"))
    assert seqdis("fit", "dbse", "a.npy", *ONE_EPOCH, "--out", "mine").status == 0
    (runs / "a.npy").unlink()
    refused(seqdis, runs, Refused("evaluate mine latent-leakage", 1, f"there is no file {runs / 'a.npy'}"))


def test_tables_are_printed_where_output_is_not_unicode(seqdis, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
        assert seqdis(f"evaluate toy0 swap-fidelity {FEW}").status == 0
        sys.stdout.flush()
        assert raw.getvalue().startswith(b"swap-fidelity ? toy-series\n")


def test_a_run_that_was_moved_is_evaluated_where_it_is(seqdis, runs: Path) -> None:
    shutil.move(runs / "toy0", runs / "elsewhere")
    assert seqdis(f"evaluate elsewhere swap-fidelity {FEW}").status == 0
    assert "elsewhere/report.json" in files(runs)


def test_a_protocol_that_cannot_be_run_keeps_no_other_from_it(seqdis, runs: Path) -> None:
    done = seqdis("evaluate toy0 conditional-generation reconstruction")
    assert done.status == 1
    assert "reconstruction" in done.out
    assert "not evaluated: conditional-generation: " in done.err
    assert {score.protocol for score in Report.load(runs / "toy0/report.json")} == {"reconstruction"}
    both = seqdis("evaluate toy0 conditional-generation generation-leakage")
    assert (both.status, both.out) == (1, "")
    assert "; generation-leakage: " in both.err
