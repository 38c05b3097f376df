"""Members of tar and zip archives, and of extracted folders, read in memory: nothing is written to disk."""

from __future__ import annotations

import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from seqdis.errors import DataError

# What the standard library raises on archives that are cut short or damaged.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)


def read_members(path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield (base name, content) of the regular files whose base name matches a pattern.

    Parameters
    ----------
    path : Path
        A ``.zip``, a tar archive (plain, gz, bz2, xz) or a folder.
    pattern : str
        Regular expression for the whole base name; other members are skipped.

    Yields
    ------
    tuple of (str, bytes)
        In the order of the archive; folders in the order of names.

    Raises
    ------
    DataError
        The archive is damaged, or a member name is absolute or has ``..``.
    """
    wanted = re.compile(pattern)
    try:
        if path.is_dir():
            files = sorted(entry for entry in path.iterdir() if wanted.fullmatch(entry.name))
            yield from ((entry.name, entry.read_bytes()) for entry in files)
        elif path.suffix == ".zip":
            yield from _zip_members(path, wanted)
        else:
            yield from _tar_members(path, wanted)
    except PermissionError as error:
        raise DataError(f"{path} cannot be read ({error}). Change its permissions.") from error
    except _DAMAGED as error:
        raise DataError(f"{path} is cut short or damaged ({error}). Delete it and fetch or copy it again.") from error


def _tar_members(path: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            name = _safe_base_name(member.name, path)
            if member.isfile() and wanted.fullmatch(name):
                content = archive.extractfile(member)
                assert content is not None  # true of every regular file
                with content:
                    yield name, content.read()


def _zip_members(path: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = _safe_base_name(info.filename, path)
            if not info.is_dir() and wanted.fullmatch(name):
                yield name, archive.read(info)


def _safe_base_name(member: str, path: Path) -> str:
    posix, windows = PurePosixPath(member), PureWindowsPath(member)
    if posix.is_absolute() or windows.anchor or ".." in posix.parts or ".." in windows.parts:
        raise DataError(
            f"{path}: refused, as it has a member named '{member}' that points outside the archive. "
            "This is not a copy of the published file; get it from its publisher."
        )
    return posix.name
