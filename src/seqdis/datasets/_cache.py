"""Prepared arrays on disk, so that slow parsing happens once per setting and machine."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import platformdirs

from seqdis.disk import replacing, unreadable
from seqdis.errors import DataError

Arrays = dict[str, npt.NDArray[Any]]

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Folder of prepared arrays: ``SEQDIS_CACHE``, else "prepared" in the user's cache folder."""
    given = os.environ.get("SEQDIS_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("seqdis")) / "prepared"


def file_stamps(files: Iterable[str | Path], about: str = "") -> str:
    """Hash of places, sizes and dates of files, which tells that a user's own copy has changed or is another one.

    Parameters
    ----------
    files : iterable of path
    about : str
        What else the prepared arrays depend on.

    Raises
    ------
    DataError
        A file that is gone or may not be read.
    """
    digest = hashlib.sha256(about.encode())
    for path in files:
        try:
            found = os.stat(path)
        except OSError as error:
            raise DataError(unreadable(path, error, ". Check the link, or get the file again.")) from error
        digest.update(f"{os.path.abspath(path)} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def prepared(name: str, key: str, build: Callable[[], Mapping[str, npt.NDArray[Any]]]) -> Arrays:
    """Arrays from the cache, built and stored on a miss.

    Parameters
    ----------
    name : str
        Name of the data set; starts the file name.
    key : str
        Hash of everything the arrays depend on: settings, source checksum, version of the preparation.
    build : callable
        Makes the arrays. They may not hold Python objects.

    Notes
    -----
    The file appears whole or not at all, so concurrent processes may build it twice but never read
    half of it. A damaged file is rebuilt. If the folder cannot be written the arrays are still
    returned and a warning is logged.
    """
    path = cache_folder() / f"{name}-{key}.npz"
    if os.path.isfile(path):  # never raises, unlike the method of paths
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {entry: stored[entry] for entry in stored.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            _log.warning("rebuilding the damaged cache file %s (%s)", path, error)
    arrays = dict(build())
    try:
        _store(path, arrays)
    except OSError as error:
        _log.warning("prepared data of %s are not cached: cannot write %s (%s)", name, path, error)
    return arrays


def _store(path: Path, arrays: Arrays) -> None:
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **cast(Any, arrays))
