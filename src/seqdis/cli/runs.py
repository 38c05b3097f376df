"""A run folder as the commands see it: the model, its data, and its report."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import tyro

from seqdis import entries
from seqdis.datasets import AudioFolder, SequenceDataset, UserFile, VideoFolder
from seqdis.errors import DataError, RunFolderError, SettingsError
from seqdis.estimator import Disentangler, load
from seqdis.evaluation.report import Report
from seqdis.hyperparameters import from_dict
from seqdis.sequences import Sequences
from seqdis.training.checkpoint import RunFolder


@dataclass
class Columns:
    """How a table is read; by default like the one that the model was fitted on."""

    id_column: str = "id"
    time_column: str = "time"
    label_columns: Annotated[tuple[str, ...], tyro.conf.arg(help="columns that are not features")] = ()


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
        if not self.described:
            raise RunFolderError(f"{self.path} does not say which data set it was fitted on (not made by seqdis fit).")
        entry = entries.find("datasets", str(self.described.get("entry")))
        data: SequenceDataset = from_dict(entry, self.described.get("settings", {}))
        expected = self.model.identity_.get("data")
        try:
            found = data.fingerprint()
        except DataError as error:
            raise RunFolderError(
                f"{error} {self.path} was fitted on these data. If they have moved, run the same `seqdis fit` with "
                "their new place: the run is found again and told where they are."
            ) from error
        if found != expected:
            raise RunFolderError(
                f"{self.path}: the training part of {data.name} has changed since the fit (fingerprint {found}, "
                f"then {expected}). Scores would mix two data sets; fit again."
            )
        return data

    @property
    def described(self) -> dict[str, Any]:
        """What ``run.json`` says of its data set: entry and settings; empty if it was not made by ``seqdis fit``."""
        found = self._about.get("data")
        return found if isinstance(found, dict) else {}

    @property
    def columns(self) -> dict[str, Any]:
        """How the columns of its file were read, if it was fitted on one."""
        if self.described.get("entry") != UserFile.name:
            return {}
        settings = from_dict(UserFile, self.described.get("settings", {}))
        return {field.name: getattr(settings, field.name) for field in fields(Columns)}

    @property
    def command(self) -> str:
        """The command that made it."""
        return str(self._about.get("command", ""))

    @property
    def _about(self) -> dict[str, Any]:
        found = self.content.get("about")
        return found if isinstance(found, dict) else {}

    def read(self, word: str, columns: Columns) -> Sequences:
        """All sequences of a file, or of a folder of videos or recordings, read as in the fit; labels may be missing.

        Raises
        ------
        SettingsError
            A folder, and the model was fitted on something else.
        """
        path = Path(word).expanduser()
        if path.is_dir():
            return self._folder(path).whole()
        if not path.exists():
            raise DataError(f"there is no file or folder {path.absolute()}.")
        return UserFile(
            path=word,
            kind=self.model.spec_.kind,
            id_column=columns.id_column,
            time_column=columns.time_column,
            label_columns=columns.label_columns,
        ).whole(labelled=False)

    def _folder(self, path: Path) -> VideoFolder | AudioFolder:
        """The folder with the settings of the one that the model was fitted on, but without a table of labels."""
        for kind in (VideoFolder, AudioFolder):
            if self.described.get("entry") == kind.name:
                settings = from_dict(kind, self.described.get("settings", {}))
                unlabelled = {"labels": "", "dynamic": (), **({"apart": ""} if kind is AudioFolder else {})}
                return settings.replace(path=str(path), **unlabelled)
        spec = self.model.spec_
        if spec.kind == "image" and spec.shape[0] == 3 and spec.shape[1] == spec.shape[2]:
            return VideoFolder(path=str(path), size=spec.shape[1], length=spec.length)
        raise SettingsError(
            f"{path} is a folder, and {self.path} was fitted on {self.described.get('entry', 'arrays')}: give a file "
            f"(.npy or .npz) of {spec.kind} of shape {spec.shape}."
        )

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
