import errno
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._download import RemoteFile, check, data_root, fetch, fetch_files, status
from seqdis.errors import DataError, SeqdisError
from seqdis.hyperparameters import hyper, hyperparameters

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT under every path but /missing; ``cut`` ends answers early, ``ranges`` turns Range off."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.cut, self.ranges, self.content, self.asked = None, True, CONTENT, []
        self.go = threading.Event()  # answers wait for it
        self.go.set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        self.server.go.wait(10)
        if self.path == "/missing":
            self.send_error(404)
            return
        content, start = self.server.content, 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.server.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_downloaded_checked_and_kept(server, tmp_path):
    path = tmp_path / "deep" / "file.bin"
    assert fetch(f"{server.url}/file.bin", path, sha256=SHA256) == path
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]
    fetch(f"{server.url}/file.bin", path, sha256=SHA256)
    assert len(server.asked) == 1


def test_an_interrupted_download_resumes_where_it_stopped(server, tmp_path):
    path = tmp_path / "file.bin"
    server.cut = 300_000
    with pytest.raises(DataError, match=r"ended after 300,000 of 1,024,000 bytes.*resumes"):
        fetch(f"{server.url}/file.bin", path, sha256=SHA256)
    assert not path.exists()
    server.cut = None
    seen = []
    fetch(f"{server.url}/file.bin", path, sha256=SHA256, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert server.asked[1] == ("/file.bin", "bytes=300000-")
    assert seen[0] == (300_000, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_server_without_ranges_sends_everything_again(server, tmp_path):
    server.ranges = False
    (tmp_path / "file.bin.partial").write_bytes(b"something else")
    assert fetch(f"{server.url}/file.bin", tmp_path / "file.bin", sha256=SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"of a longer, older version"])
def test_a_partial_file_with_nothing_to_resume(server, tmp_path, left):
    (tmp_path / "file.bin.partial").write_bytes(left)
    assert fetch(f"{server.url}/file.bin", tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path):
    server.content = CONTENT[::-1]
    with pytest.raises(DataError, match=f"expected {SHA256}"):
        fetch(f"{server.url}/file.bin", tmp_path / "file.bin", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_user_is_never_overwritten(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match="Delete it to download it again"):
        fetch(f"{server.url}/file.bin", tmp_path / "file.bin", sha256=SHA256)
    assert (tmp_path / "file.bin").read_bytes() == b"mine"


def test_errors_say_what_happened(server, tmp_path):
    with pytest.raises(DataError, match="/missing: the server answered 404"):
        fetch(f"{server.url}/missing", tmp_path / "file.bin")
    with pytest.raises(DataError, match="expected an http"):
        fetch("file:///etc/hostname", tmp_path / "file.bin")
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=r"refused.*Check the connection.*put it at .*file\.bin"):
        fetch(f"{server.url}/file.bin", tmp_path / "file.bin")


def test_two_processes_download_a_file_once(server, tmp_path):
    path = tmp_path / "data" / "file"
    server.go.clear()
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(fetch, f"{server.url}/file", path) for _ in range(2)]
        time.sleep(0.3)  # the second one asks now, if it does at all
        server.go.set()
        assert [each.result() for each in both] == [path, path]
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_what_cannot_be_written_is_said_before_a_download(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(SeqdisError, match="is a file, not a folder"):
        fetch(f"{server.url}/file", tmp_path / "file" / "a")
    monkeypatch.setattr("seqdis.datasets._download._download", full)
    with pytest.raises(DataError, match=r"cannot write .*: No space left"):
        fetch(f"{server.url}/file", tmp_path / "a")
    assert server.asked == []
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_progress_bar_goes_to_standard_error_only_if_asked(server, tmp_path, capsys):
    fetch(f"{server.url}/quiet", tmp_path / "quiet")
    assert capsys.readouterr() == ("", "")
    fetch(f"{server.url}/shown", tmp_path / "shown", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "shown" in err
    assert "100%" in err


@hyperparameters
class Remote(SequenceDataset):
    name: ClassVar[str] = "remote"
    root: str | None = hyper(default=None, identity=False)

    @classmethod
    def files(cls):
        return (
            RemoteFile(name="one.bin", url="http://publisher.invalid/one.bin", sha256=SHA256),
            RemoteFile(
                name="two.tar", url="http://publisher.invalid/two.tar", also=(("two.zip", SHA256), ("two", None))
            ),
        )


def test_fetch_files_takes_what_is_missing_from_the_mirror(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQDIS_MIRROR", f"{server.url}/")
    data = Remote(root=str(tmp_path))
    assert [entry.state for entry in status(data)] == ["missing", "missing"]
    folder = tmp_path / "remote"
    folder.mkdir()
    (folder / "two.zip").write_bytes(CONTENT)
    assert fetch_files(data) == (folder / "one.bin", folder / "two.zip")
    assert server.asked == [("/remote/one.bin", None)]
    assert [entry.state for entry in status(data)] == ["present", "present"]
    assert [entry.state for entry in check(data)] == ["verified", "verified"]


def test_check_finds_altered_and_unfinished_files(tmp_path):
    folder = tmp_path / "remote"
    (folder / "two").mkdir(parents=True)
    (folder / "one.bin").write_bytes(CONTENT[:-1])
    data = Remote(root=str(tmp_path))
    assert [(entry.state, entry.path.name) for entry in check(data)] == [("altered", "one.bin"), ("present", "two")]
    (folder / "one.bin").rename(folder / "one.bin.partial")
    assert status(data)[0].state == "partial"


def test_data_that_have_no_files_cannot_be_fetched():
    @hyperparameters
    class Made(SequenceDataset):
        name: ClassVar[str] = "made"

    assert status(Made()) == ()
    with pytest.raises(DataError, match="made: nothing to download"):
        fetch_files(Made())


def test_the_root_is_an_argument_a_variable_or_the_user_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("SEQDIS_DATA", raising=False)
    assert data_root().name == "data"
    assert "seqdis" in data_root().parts
    monkeypatch.setenv("SEQDIS_DATA", str(tmp_path))
    assert data_root() == tmp_path
    assert Remote.folder() == tmp_path / "remote"
    assert Remote.folder(tmp_path / "other") == tmp_path / "other" / "remote"
    (tmp_path / "one.bin").write_bytes(b"")
    assert Remote.folder(tmp_path) == tmp_path
