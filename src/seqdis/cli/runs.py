"""A run folder as the commands see it: the model, its data, and its report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seqdis import entries
from seqdis.datasets import SequenceDataset
from seqdis.errors import RunFolderError
from seqdis.estimator import Disentangler, load
from seqdis.evaluation.report import Report
from seqdis.hyperparameters import from_dict
from seqdis.training.checkpoint import RunFolder


@dataclass
class Run:
    """A finished run.

    Raises
    ------
    RunFolderError
        On access: not a run, unfinished, altered, or its data set has changed since.
    """

    path: Path

    @cached_property
    def content(self) -> dict[str, Any]:
        """``run.json``."""
        return RunFolder(self.path).read()

    @cached_property
    def model(self) -> Disentangler:
        """The fitted method."""
        return load(self.path)

    @cached_property
    def data(self) -> SequenceDataset:
        """The data set it was fitted on, verified to be the same."""
        described = self.content.get("about", {}).get("data")
        if not described:
            raise RunFolderError(f"{self.path} does not say which data set it was fitted on (not made by seqdis fit).")
        data: SequenceDataset = from_dict(entries.find("datasets", described["entry"]), described["settings"])
        found, expected = data.fingerprint(), self.content["identity"]["data"]
        if found != expected:
            raise RunFolderError(
                f"{self.path}: the training part of {data.name} has changed since the fit (fingerprint {found}, "
                f"then {expected}). Scores would mix two data sets; fit again."
            )
        return data

    @property
    def command(self) -> str:
        """The command that made it."""
        return str(self.content.get("about", {}).get("command", ""))

    @property
    def report_path(self) -> Path:
        """Where its scores are kept."""
        return self.path / "report.json"

    def report(self) -> Report:
        """Its scores so far; empty if it was never evaluated."""
        return Report.load(self.report_path) if self.report_path.exists() else Report(scores=())


def is_run(word: str) -> bool:
    """Whether a word on the command line means a run folder."""
    return (Path(word) / "run.json").exists()
