"""Progress of a study: runs, and within a run the epochs of its fit and its evaluations, with the time left."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from seqdis.cli.fit import LOG_SECONDS
from seqdis.cli.parsing import note


class Progress:
    """Bars with ETA on a terminal, else a line per run and now and then one within it; failures are always said.

    Parameters
    ----------
    quiet : bool
    total : int
        Runs to do.
    """

    def __init__(self, quiet: bool, total: int) -> None:
        self.quiet = quiet
        self.runs: Any = None
        if total and sys.stderr.isatty() and not quiet:
            # Made before the first run, which would else count as a run that took no time.
            self.runs = tqdm(total=total, unit="run", file=sys.stderr, dynamic_ncols=True)
        self.fit: Any = None
        self.run = ""
        self.said = self.began = 0.0
        self.before = 0

    def ended(self, outcome: Any, ended: int, total: int) -> None:
        """A run has ended: `seqdis.benchmark.runner.Watcher`."""
        self._close_fit()
        if outcome.error:
            self._say(f"failed: {outcome.run.name}: {outcome.error}")
        elif self.runs is None and not self.quiet:
            note(f"{ended} of {total}: {outcome.run.name}: {outcome.seconds:.1f} s")
        if self.runs is not None:
            self.runs.set_description(outcome.run.name, refresh=False)
            self.runs.update(ended - self.runs.n)

    def stage(self, stage: Any) -> None:
        """A run goes on: `seqdis.benchmark.runner.StageWatcher`."""
        if self.quiet:
            return
        if stage.run.name != self.run:
            self.run, self.began, self.before = stage.run.name, time.monotonic(), max(0, stage.done - 1)
            self.said = self.began
        if stage.what != "fit":
            self._close_fit()
            self._now_and_then(f"{self.run}: {stage.what} ({stage.done + 1} of {stage.total} evaluations)")
        elif self.runs is not None:
            self._draw(stage)
        elif stage.record is not None:
            self._now_and_then(f"{self.run}: {_epoch(stage)}, {self._left(stage)} left")

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._close_fit()
        if self.runs is not None:
            self.runs.close()

    def _draw(self, stage: Any) -> None:
        if self.fit is None:
            self.fit = tqdm(
                total=stage.total,
                initial=self.before,
                unit="step",
                file=sys.stderr,
                dynamic_ncols=True,
                desc=self.run,
                leave=False,
                position=1,
            )
        if stage.record is not None:
            self.fit.set_description(f"{self.run}: {_epoch(stage)}", refresh=False)
        self.fit.update(stage.done - self.fit.n)

    def _now_and_then(self, message: str) -> None:
        if time.monotonic() - self.said > LOG_SECONDS:
            self._say(message)
            self.said = time.monotonic()

    def _left(self, stage: Any) -> str:
        """By the pace since this run began or went on; a part before a kill took no time now."""
        pace = (time.monotonic() - self.began) / max(1, stage.done - self.before)
        return str(tqdm.format_interval(pace * (stage.total - stage.done)))

    def _say(self, message: str) -> None:
        if self.runs is None:
            note(message)
        else:
            self.runs.write(message, file=sys.stderr)

    def _close_fit(self) -> None:
        if self.fit is not None:
            self.fit.close()
            self.fit = None


def _epoch(stage: Any) -> str:
    return f"epoch {stage.record['epoch']}, loss {stage.record['train']['total']:.4g}"
