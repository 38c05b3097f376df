import logging
import tracemalloc

import numpy as np
import pytest

from seqdis.datasets import _mapped
from seqdis.datasets._cache import cache_folder

SHAPE = (5, 2, 3)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQDIS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Blocks:
    """Counts how often an array is built."""

    def __init__(self):
        self.values = np.arange(30, dtype=np.uint8).reshape(SHAPE)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        yield self.values[:2]
        yield self.values[2:]


def test_built_once_then_mapped_read_only(folder):
    blocks = Blocks()
    first, again = (_mapped.mapped("set", "key", SHAPE, blocks) for _ in range(2))
    np.testing.assert_array_equal(first, blocks.values)
    np.testing.assert_array_equal(again, blocks.values)
    assert blocks.calls == 1
    assert [path.name for path in folder.iterdir()] == ["set-key.npy"]
    np.testing.assert_array_equal(np.load(folder / "set-key.npy"), blocks.values)
    assert isinstance(again.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        again[0] = 0


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:50], lambda b: b"", lambda b: b[:130] + b"\x63" + b[131:]]
)
def test_a_damaged_file_is_rebuilt(folder, damage, caplog):
    blocks = Blocks()
    _mapped.mapped("set", "key", SHAPE, blocks)
    path = folder / "set-key.npy"
    intact = path.read_bytes()
    path.write_bytes(damage(intact))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(_mapped.mapped("set", "key", SHAPE, blocks), blocks.values)
    assert (blocks.calls, path.read_bytes()) == (2, intact)
    assert "rebuilding the damaged cache file" in caplog.text


def test_without_a_folder_to_write_to_it_is_built_in_memory(tmp_path, monkeypatch, caplog):
    (tmp_path / "occupied").write_text("a file")
    monkeypatch.setenv("SEQDIS_CACHE", str(tmp_path / "occupied"))
    blocks = Blocks()
    with caplog.at_level(logging.WARNING):
        found = _mapped.mapped("set", "key", SHAPE, blocks)
    np.testing.assert_array_equal(found, blocks.values)
    assert not found.flags.writeable
    assert "are not cached" in caplog.text


def test_what_is_built_in_memory_is_there_once(tmp_path, monkeypatch):
    (tmp_path / "occupied").write_text("a file")
    monkeypatch.setenv("SEQDIS_CACHE", str(tmp_path / "occupied"))
    shape = (64, 1 << 16)

    def blocks():
        for row in range(shape[0]):
            yield np.full((1, shape[1]), row, dtype=np.uint8)

    tracemalloc.start()
    try:
        found = _mapped.mapped("set", "key", shape, blocks)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found[:, 0], np.arange(64))
    assert peak < 1.5 * found.nbytes


def test_a_failure_leaves_nothing_behind(folder):
    def broken():
        yield np.zeros((1, 2, 3), dtype=np.uint8)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        _mapped.mapped("set", "key", SHAPE, broken)
    assert list(cache_folder().iterdir()) == []
