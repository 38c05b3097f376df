from __future__ import annotations

from pathlib import Path

import pytest

from seqdis.disk import alone, check_readable, check_writable, obstacle, replacing, unreadable, write_bytes
from seqdis.errors import DataError, SeqdisError


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_bytes(path, b"old")
    with pytest.raises(TypeError), replacing(path) as partial:
        partial.write_bytes("not bytes")
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_places_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_writable(tmp_path, tmp_path / "file", tmp_path / "not" / "yet" / "there", Path("here"))
    assert not (tmp_path / "not").exists()


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SeqdisError, match=r"file/a/b cannot be written: .*file is a file, not a folder"):
        check_writable(tmp_path / "file" / "a" / "b")


def test_a_lacking_permission_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    assert obstacle(tmp_path / "new") == f"no permission to write in {tmp_path}"
    assert unreadable("a.npy", PermissionError(13, "denied"), ": damaged").startswith("a.npy cannot be read: no perm")
    assert unreadable("a.npy", OSError("cut"), ": damaged") == "a.npy cannot be read (cut): damaged"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        check_readable(tmp_path / "gone")


def test_a_lock_that_was_deleted_while_it_was_waited_for_is_taken_anew(tmp_path: Path, monkeypatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    lock, flock, calls = tmp_path / "fit.lock", fcntl.flock, []

    def deleted_first(file, operation) -> None:
        flock(file, operation)
        calls.append(file)
        if len(calls) == 1:  # whoever held it lets go and deletes it
            lock.unlink()

    monkeypatch.setattr(fcntl, "flock", deleted_first)
    with alone(lock, wait=False):
        assert len(calls) == 2
        with pytest.raises(BlockingIOError), alone(lock, wait=False):
            pass
