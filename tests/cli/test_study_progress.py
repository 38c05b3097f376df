"""What is said while a study runs: epochs, loss and the time left of a fit, evaluations, and runs."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from seqdis.cli import study_progress
from seqdis.cli.study_progress import Progress


class Clock:
    """Monotonic seconds that pass when told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(study_progress, "time", clock)
    return clock


def stage(done: int, total: int = 100, what: str = "fit", name: str = "DBSE, toy, seed 0", epoch: int | None = None):
    record = None if epoch is None else {"epoch": epoch, "train": {"total": 12.345}}
    return SimpleNamespace(run=SimpleNamespace(name=name), what=what, done=done, total=total, record=record)


def outcome(seconds: float = 75.0, error: str = ""):
    return SimpleNamespace(run=SimpleNamespace(name="DBSE, toy, seed 0"), seconds=seconds, error=error)


def test_lines_tell_epoch_loss_and_time_left_now_and_then(clock, capsys):
    progress = Progress(quiet=False, total=2)
    progress.stage(stage(1))
    clock.now = 20.0
    progress.stage(stage(20, epoch=1))
    clock.now = 40.0
    progress.stage(stage(40, epoch=2))
    clock.now = 45.0
    progress.stage(stage(60, epoch=3))
    clock.now = 75.0
    progress.stage(stage(1, 3, "latent-leakage"))
    progress.ended(outcome(), 1, 2)
    assert capsys.readouterr().err.splitlines() == [
        "DBSE, toy, seed 0: epoch 2, loss 12.35, 01:00 left",
        "DBSE, toy, seed 0: latent-leakage (2 of 3 evaluations)",
        "1 of 2: DBSE, toy, seed 0: 75.0 s",
    ]


def test_a_resumed_fit_is_timed_by_what_it_does_now(clock, capsys):
    progress = Progress(quiet=False, total=2)
    progress.stage(stage(51))
    clock.now = 50.0
    progress.stage(stage(75, epoch=15))
    assert capsys.readouterr().err == "DBSE, toy, seed 0: epoch 15, loss 12.35, 00:50 left\n"


def test_short_runs_leave_one_line_each(clock, capsys):
    progress = Progress(quiet=False, total=2)
    for name in "ab":
        progress.stage(stage(1, name=name))
        clock.now += 20.0
        progress.stage(stage(100, name=name, epoch=9))
    assert capsys.readouterr().err == ""


def test_quiet_says_failures_only(clock, capsys):
    progress = Progress(quiet=True, total=2)
    progress.stage(stage(1))
    clock.now = 99.0
    progress.stage(stage(50, epoch=1))
    progress.ended(outcome(), 1, 2)
    progress.ended(outcome(error="no memory"), 2, 2)
    assert capsys.readouterr().err == "failed: DBSE, toy, seed 0: no memory\n"


def test_a_terminal_shows_a_bar_of_the_fit_within_that_of_the_runs(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(quiet=False, total=2)
    progress.stage(stage(1))
    progress.ended(outcome(), 1, 2)
    progress.stage(stage(1, name="other"))
    progress.fit.mininterval = 0
    progress.stage(stage(30, name="other", epoch=3))
    assert (progress.fit.n, progress.fit.total, progress.runs.n) == (30, 100, 1)
    progress.close()
    shown = capsys.readouterr().err
    assert "1/2" in shown
    assert "other: epoch 3, loss 12.35" in shown


def test_the_bar_of_runs_is_there_before_the_first_has_ended(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(quiet=False, total=10)
    assert "0/10" in capsys.readouterr().err
    progress.runs.start_t -= 60.0  # the first run takes a minute
    progress.ended(outcome(), 1, 10)
    assert progress.runs.format_dict["elapsed"] >= 60.0
    progress.close()
    assert Progress(quiet=False, total=0).runs is None  # nothing is left to do
