"""Files of a data set: where they lie, how they are downloaded, and whether they are intact."""

from __future__ import annotations

import errno
import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import platformdirs

from seqdis.disk import alone, check_writable
from seqdis.errors import DataError

if TYPE_CHECKING:
    from seqdis.datasets._base import SequenceDataset

Progress = Callable[[int, int | None], None]
"""Called with the bytes present so far and the bytes expected (None: unknown)."""

_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file that a data set needs.

    Parameters
    ----------
    name : str
        Path inside the folder of the data set.
    url : str
        Where the publisher offers it.
    sha256 : str or None
        Checksum of intact copies; None where the publisher states none and no copy was verified.
    size : int or None
        Bytes.
    also : tuple of (name, sha256 or None)
        Other packings (archives, extracted folders) that serve as well.
    """

    name: str
    url: str
    sha256: str | None = None
    size: int | None = None
    also: tuple[tuple[str, str | None], ...] = ()

    def found_in(self, folder: Path) -> tuple[Path, str | None] | None:
        """First packing present in a folder and its known checksum."""
        for name, checksum in ((self.name, self.sha256), *self.also):
            if os.path.exists(folder / name):  # False, too, where it may not be looked
                return folder / name, checksum
        return None


@dataclass(frozen=True, kw_only=True)
class FileStatus:
    """One file of a data set on this machine.

    ``state`` is "missing", "partial" (a download to resume), "present" (not checked, or no checksum
    is known), "verified" (checksum equal) or "altered" (checksum differs).
    """

    file: RemoteFile
    path: Path
    state: Literal["missing", "partial", "present", "verified", "altered"]


def data_root() -> Path:
    """Folder of downloaded data: ``SEQDIS_DATA``, else "data" in the user's cache folder."""
    given = os.environ.get("SEQDIS_DATA")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("seqdis")) / "data"


def status(dataset: SequenceDataset) -> tuple[FileStatus, ...]:
    """Which files of a data set are present. Reads no content; see `check`."""
    return tuple(_status(file, dataset.location(), verify=False) for file in dataset.needed())


def check(dataset: SequenceDataset) -> tuple[FileStatus, ...]:
    """Like `status`, and compares the checksums that are known."""
    return tuple(_status(file, dataset.location(), verify=True) for file in dataset.needed())


def fetch_files(
    dataset: SequenceDataset, *, mirror: str | None = None, progress: Progress | bool = False
) -> tuple[Path, ...]:
    """Download what a data set lacks.

    Parameters
    ----------
    dataset : SequenceDataset
    mirror : str or None
        Base address to use instead of the publisher's: files are asked for at
        ``mirror/<folder of the data set>/<file>``. None: the variable ``SEQDIS_MIRROR``, else the publisher.
    progress : bool or callable
        See `fetch`.

    Returns
    -------
    tuple of Path
        All files, those already present included.

    Raises
    ------
    DataError
        The data set is not downloadable, or a download failed; see `fetch`.
    """
    if not dataset.needed():
        raise DataError(f"{dataset.name}: nothing to download; this data set is generated or supplied by the user.")
    mirror = mirror or os.environ.get("SEQDIS_MIRROR")
    folder, paths = dataset.location(), []
    for file in dataset.needed():
        found = file.found_in(folder)
        url = f"{mirror.rstrip('/')}/{dataset.folder_name or dataset.name}/{file.name}" if mirror else file.url
        paths.append(found[0] if found else fetch(url, folder / file.name, sha256=file.sha256, progress=progress))
    return tuple(paths)


def fetch(url: str, path: Path, *, sha256: str | None = None, progress: Progress | bool = False) -> Path:
    """Download one file; an interrupted download is resumed by the next call.

    Parameters
    ----------
    url : str
        http or https address.
    path : Path
        Where the file appears, whole or not at all. Until then bytes collect in ``<path>.partial``.
    sha256 : str or None
        Expected checksum.
    progress : bool or callable
        True: a bar on standard error. A callable gets bytes present and bytes expected.

    Returns
    -------
    Path
        ``path``. A file that is already there is kept if its checksum fits.

    Raises
    ------
    DataError
        No connection, no such file, the connection ended early, the disk is full, or a wrong checksum.
    SeqdisError
        No permission to write there.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"cannot download '{url}': expected an http:// or https:// address.")
    if path.exists():
        if sha256 and file_sha256(path) != sha256:
            raise DataError(f"{path} exists but its checksum is not {sha256}. Delete it to download it again.")
        return path
    check_writable(path)
    partial = _partial(path)
    with alone(partial):
        if path.exists():  # another process was at it meanwhile
            partial.unlink(missing_ok=True)
            return fetch(url, path, sha256=sha256)
        with _reporting(progress, path.name) as report:
            _try_download(url, path, report)
        if sha256 and (got := file_sha256(partial)) != sha256:
            partial.unlink()
            raise DataError(f"{url}: checksum {got} received, expected {sha256}. The download was removed; run again.")
        os.replace(partial, path)
    return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _try_download(url: str, path: Path, report: Progress) -> None:
    partial = _partial(path)
    try:
        _download(url, partial, report)
    except urllib.error.HTTPError as error:
        raise DataError(f"cannot download {url}: the server answered {error.code} {error.reason}.") from error
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"cannot write {path}: {error.strerror}. Make room and run again.") from error
        raise DataError(
            f"cannot download {url}: {getattr(error, 'reason', None) or error}. Check the connection and run again "
            f"(the download resumes), or download it elsewhere and put it at {path}."
        ) from error
    finally:
        if partial.stat().st_size == 0:
            partial.unlink()


def _download(url: str, partial: Path, report: Progress) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "seqdis"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response: HTTPResponse = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing lies beyond what is here: either all has arrived, or the partial file is of another version.
        if error.headers.get("Content-Range", "") != f"bytes */{have}":
            os.truncate(partial, 0)  # not unlinked: it is locked
            _download(url, partial, report)
        return
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if resumed else 0
        expected = response.headers.get("Content-Length")
        total = start + int(expected) if expected else None
        with partial.open("ab" if resumed else "wb") as file:
            report(start, total)
            while block := response.read(_BLOCK):
                file.write(block)
                report(file.tell(), total)
            done = file.tell()
    if total is not None and done != total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


@contextmanager
def _reporting(progress: Progress | bool, label: str) -> Iterator[Progress]:
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda done, total: None
    else:
        from tqdm import tqdm

        with tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc=label) as bar:

            def show(done: int, total: int | None) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield show


def _status(file: RemoteFile, folder: Path, verify: bool) -> FileStatus:
    found = file.found_in(folder)
    if found is None:
        path = folder / file.name
        return FileStatus(file=file, path=path, state="partial" if _partial(path).exists() else "missing")
    path, checksum = found
    if not verify or checksum is None or path.is_dir():
        return FileStatus(file=file, path=path, state="present")
    return FileStatus(file=file, path=path, state="verified" if file_sha256(path) == checksum else "altered")


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
