"""Large arrays of bytes on disk, mapped into memory: processes share them and nothing is copied."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqdis.datasets._cache import cache_folder
from seqdis.disk import replacing

Bytes = npt.NDArray[np.uint8]

_DIGEST = hashlib.sha256().digest_size
_log = logging.getLogger(__name__)


def mapped(name: str, key: str, shape: tuple[int, ...], blocks: Callable[[], Iterable[Bytes]]) -> Bytes:
    """An array of bytes from the cache, read-only, built and stored on a miss.

    Not to be confused with `prepared` of ``_cache``, which loads several small arrays into memory.

    Parameters
    ----------
    name : str
        Name of the data set; starts the file name.
    key : str
        Hash of everything the array depends on: settings, source checksum, version of the preparation.
    shape : tuple of int
    blocks : callable
        Makes the array as pieces along its first axis, in order; no more than one piece is held in memory.

    Returns
    -------
    array of uint8
        A view of the file. Read-only, as other processes may look at the same pages.

    Notes
    -----
    The file is a ``.npy`` file followed by the SHA-256 of its values, which every opening compares: a
    damaged file is rebuilt. It appears whole or not at all. If the folder cannot be written the
    array is built in memory and a warning is logged.
    """
    path = cache_folder() / f"{name}-{key}.npy"
    found = _opened(path, shape) if os.path.isfile(path) else None
    if found is not None:
        return found
    try:
        _store(path, shape, blocks())
        found = _opened(path, shape)
    except OSError as error:
        _log.warning("prepared data of %s are not cached: cannot write %s (%s)", name, path, error)
    if found is None:
        found = _in_memory(shape, blocks())
    return found


def _in_memory(shape: tuple[int, ...], blocks: Iterable[Bytes]) -> Bytes:
    array, filled = np.empty(shape, dtype=np.uint8), 0
    for block in blocks:
        array[filled : filled + len(block)] = block
        filled += len(block)
    assert filled == len(array)  # else the rest would be what lay in memory before
    array.flags.writeable = False
    return array


def _opened(path: Path, shape: tuple[int, ...]) -> Bytes | None:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        with path.open("rb") as file:
            file.seek(-_DIGEST, os.SEEK_END)
            stored = file.read()
    except (OSError, ValueError, EOFError) as error:
        _log.warning("rebuilding the damaged cache file %s (%s)", path, error)
        return None
    if array.shape != shape or array.dtype != np.uint8 or hashlib.sha256(array).digest() != stored:
        _log.warning("rebuilding the damaged cache file %s (its values or their checksum have changed)", path)
        return None
    return np.asarray(array)


def _store(path: Path, shape: tuple[int, ...], blocks: Iterable[Bytes]) -> None:
    digest = hashlib.sha256()
    # Plain writes, not a writable map: a full disk is then an error and not the end of the process.
    with replacing(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file,
            {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape},
        )
        for block in blocks:
            values = np.ascontiguousarray(block)
            digest.update(values.data)
            file.write(values.data)
        file.write(digest.digest())
