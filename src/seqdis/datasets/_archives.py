"""Members of tar and zip archives, and of extracted folders, read in memory: nothing is written to disk."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from seqdis.datasets._download import file_sha256
from seqdis.errors import DataError

# What the standard library raises on archives that are cut short or damaged.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeDecodeError, OSError)


def read_members(path: Path, pattern: str, nested: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield (base name, content) of the regular files whose base name matches a pattern.

    Parameters
    ----------
    path : Path
        A ``.zip``, a tar archive (plain, gz, bz2, xz) or a folder.
    pattern : str
        Regular expression for the whole base name; other members are skipped.
    nested : str
        Regular expression for the base names of archives inside a ``.zip`` that are opened as well, one level deep.

    Yields
    ------
    tuple of (str, bytes)
        In the order of the archive; folders in the order of names.

    Raises
    ------
    DataError
        The archive is damaged, encrypted or packed by an unknown method, or a member name is absolute or has ``..``.
    """
    wanted = re.compile(pattern)
    try:
        if path.is_dir():
            files = sorted(entry for entry in path.iterdir() if wanted.fullmatch(entry.name))
            yield from ((entry.name, entry.read_bytes()) for entry in files)
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from _zip_members(archive, path, wanted, re.compile(nested))
        else:
            yield from _tar_members(path, wanted)
    except PermissionError as error:
        raise DataError(f"{path} cannot be read ({error}). Change its permissions.") from error
    except _DAMAGED as error:
        raise DataError(f"{path} is cut short or damaged ({error}). Delete it and fetch or copy it again.") from error
    except RuntimeError as error:  # what zipfile raises for encrypted members and unknown ways of packing
        raise DataError(f"{path} cannot be unpacked ({error}). Unpack it by other means and use the folder.") from error


def read_file(path: Path) -> bytes:
    """Content of one file, unpacked if its name ends in ``.gz``.

    Raises
    ------
    DataError
        The file cannot be read, or is damaged.
    """
    try:
        return unpacked(path.name, path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}). Change its permissions, or get it again.") from error


def unpacked(name: str, content: bytes, source: Path) -> bytes:
    """Content of a member, unpacked if its name ends in ``.gz``.

    Raises
    ------
    DataError
        Damaged, with the name of the member and of its source.
    """
    try:
        return gzip.decompress(content) if name.endswith(".gz") else content
    except _DAMAGED as error:
        raise DataError(
            f"{source}: {name} is cut short or damaged ({error}). Delete it and fetch or copy it again."
        ) from error


def content_hash(path: Path, pattern: str) -> str:
    """SHA-256 of a file, or of the matching members of a folder with their names."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for name, content in read_members(path, pattern):
        digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _tar_members(path: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            name = _safe_base_name(member.name, path)
            if member.isfile() and wanted.fullmatch(name):
                content = archive.extractfile(member)
                assert content is not None  # true of every regular file
                with content:
                    yield name, content.read()


def _zip_members(
    archive: zipfile.ZipFile, path: Path, wanted: re.Pattern[str], nested: re.Pattern[str] | None
) -> Iterator[tuple[str, bytes]]:
    for info in archive.infolist():
        name = _safe_base_name(info.filename, path)
        if info.is_dir():
            continue
        if wanted.fullmatch(name):
            yield name, archive.read(info)
        elif nested is not None and nested.fullmatch(name):
            with zipfile.ZipFile(io.BytesIO(archive.read(info))) as inner:
                yield from _zip_members(inner, path, wanted, None)


def _safe_base_name(member: str, path: Path) -> str:
    posix, windows = PurePosixPath(member), PureWindowsPath(member)
    if posix.is_absolute() or windows.anchor or ".." in posix.parts or ".." in windows.parts:
        raise DataError(
            f"{path}: refused, as it has a member named '{member}' that points outside the archive. "
            "This is not a copy of the published file; get it from its publisher."
        )
    return posix.name
