"""`SequenceDataset`: what every entry of the data shelf states about itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from seqdis.datasets._download import RemoteFile, data_root
from seqdis.errors import DataError, unknown_name
from seqdis.hyperparameters import Settings, hyperparameters
from seqdis.sequences import DataSpec, Sequences


@hyperparameters
class SequenceDataset(Settings):
    """A data set: settings that say which sequences, and `split` that returns them.

    An entry sets the class variables, declares its hyperparameters, and writes ``_splits``.
    """

    name: ClassVar[str]
    licence: ClassVar[str]
    source: ClassVar[str]
    citation: ClassVar[str]
    modality: ClassVar[str] = "series"
    folder_name: ClassVar[str] = ""  # in the data root; empty: like ``name``
    as_printed: ClassVar[Mapping[str, Any]] = {}  # what the papers' sequences need beside the default settings

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """All files of the data set as published; none where it is generated or supplied by the user."""
        return ()

    def needed(self) -> tuple[RemoteFile, ...]:
        """Those of `files` that these settings read."""
        return self.files()

    @classmethod
    def folder(cls, root: str | Path | None = None) -> Path:
        """Where the files lie: in ``root``, or in the folder named after the data set inside it.

        ``root`` defaults to the variable ``SEQDIS_DATA``, else to the user's cache folder.
        """
        base = Path(root).expanduser() if root else data_root()
        inside = base / (cls.folder_name or cls.name)
        if not os.path.exists(inside) and any(file.found_in(base) for file in cls.files()):
            return base
        return inside

    def location(self) -> Path:
        """`folder` for the ``root`` of these settings; of a user's own copy it may be that root itself."""
        root: str | None = getattr(self, "root", None)
        inside = self.folder(root)
        return Path(root).expanduser() if root and not self.files() and not os.path.isdir(inside) else inside

    def _found(self, file: RemoteFile, size: str = "") -> Path:
        """The first packing of a file that is in `location`; ``size`` says what fetching it would take."""
        found = file.found_in(self.location())
        if found is None:
            raise DataError(
                f"{type(self).__name__}: found none of {', '.join((file.name, *(name for name, _ in file.also)))} in "
                f"{self.location()}. Run `seqdis data fetch {self.name}`{size and f' ({size})'}, or set SEQDIS_DATA "
                f"(or root=) to the folder that contains {self.folder_name or self.name}/."
            )
        return found[0]

    def _splits(self) -> Mapping[str, Sequences]:
        """All parts by name; "train" always exists, usually "valid" and "test"."""
        raise DataError(f"{type(self).__name__} does not define _splits().")

    def split(self, *names: str) -> tuple[Sequences, ...]:
        """Parts by name, such as ``train, test = data.split("train", "test")``.

        Raises
        ------
        DataError
            Unknown part, missing or corrupt files.
        """
        parts = self.parts()
        for name in names:
            if name not in parts:
                raise DataError(f"{self.name}: {unknown_name('part', name, parts)}")
        return tuple(parts[name] for name in names)

    def parts(self) -> Mapping[str, Sequences]:
        """All parts; prepared once per object."""
        key = repr(self)
        if getattr(self, "_prepared_for", None) != key:
            self._prepared = self._splits()
            self._prepared_for = key
        return self._prepared

    @property
    def spec(self) -> DataSpec:
        """Description of the training part."""
        return self.split("train")[0].spec

    def fingerprint(self) -> str:
        """Hash of the training part's content; stored with every run."""
        return self.split("train")[0].fingerprint()
