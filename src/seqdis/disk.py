"""Files written whole or not at all, by one process at a time, and what keeps one from writing or reading."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from seqdis.errors import DataError, SeqdisError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write instead: it takes the place of ``path`` once all is written, and vanishes if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")  # two writers do not share one
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def alone(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold this lock file; a process that dies lets go of it. What is in the file stays.

    Raises
    ------
    BlockingIOError
        Another process holds it, and ``wait`` is false.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system: users take care that no two processes write to one place
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held it before may have deleted it meanwhile: another process would then lock a new one.
            if _is_at(path, file):
                yield
                return


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all."""
    write_bytes(path, (json.dumps(content, indent=1) + "\n").encode())


def obstacle(path: Path) -> str:
    """What would keep this file or folder from being written, there or not yet; empty if nothing is known to."""
    place = path if path.is_dir() else path.parent
    while not os.path.exists(place):
        place = place.parent
    if not place.is_dir():
        return f"{place} is a file, not a folder"
    return "" if os.access(place, os.W_OK | os.X_OK) else f"no permission to write in {place.absolute()}"


def check_writable(*paths: Path) -> None:
    """Refuse before long work what could not be written after it.

    Raises
    ------
    SeqdisError
    """
    for path in paths:
        if reason := obstacle(path):
            raise SeqdisError(f"{path} cannot be written: {reason}. Give another place, or change that.")


def check_readable(path: Path) -> None:
    """Refuse a file that its decoder could only call damaged.

    Raises
    ------
    DataError
        There is none, or no permission to read it.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(unreadable(path, error, ".")) from error


def unreadable(path: object, error: Exception, otherwise: str) -> str:
    """What to say of a file that cannot be read: a permission that lacks is no damage.

    Parameters
    ----------
    path : path or name
    error : Exception
    otherwise : str
        What else is wrong with it, and what to do.
    """
    if isinstance(error, PermissionError):
        return f"{path} cannot be read: no permission to. Ask its owner, or change its mode."
    words = (error.strerror if isinstance(error, OSError) else None) or error
    return f"{path} cannot be read ({words}){otherwise}"
