"""A lock file that one process holds at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold this lock file; a process that dies lets go of it.

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
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
