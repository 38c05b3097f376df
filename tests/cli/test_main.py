"""What all commands share: help, suggestions, exit statuses, and what they never do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import seqdis as package
from seqdis.cli import COMMANDS, main, show

START = "import sys; from seqdis.cli import main; status = main(sys.argv[1:]); "


def test_help_comes_without_the_heavy_imports() -> None:
    heavy = "{'torch', 'numpy', 'sklearn', 'pandas', 'tyro'}"
    code = START + f"assert not {heavy} & set(sys.modules), sorted(sys.modules); sys.exit(status)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert all(f"  {name}" in done.stdout for name in COMMANDS)


def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", START + "sys.exit(status)", "--help"], stdout=writer, stderr=-1)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_no_words_show_the_help_and_fail(seqdis) -> None:
    done = seqdis("")
    assert done.status == 2
    assert done == seqdis("--help")._replace(status=2)


def test_version(seqdis) -> None:
    assert seqdis("--version") == (0, f"seqdis {package.__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(seqdis, command: str) -> None:
    done = seqdis(f"{command} --help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"usage: seqdis {command} ")
    assert f"examples:\n  seqdis {command}" in done.out
    assert seqdis(f"help {command}") == done
    assert seqdis(f"{command} -h") == done


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"list"}))
def test_a_command_without_its_words_says_which(seqdis, command: str) -> None:
    for words in (command, f"{command} --out x"):
        done = seqdis(words)
        assert (done.status, done.out) == (2, "")
        assert f"seqdis: {command} needs " in done.err
        assert f"See: seqdis {command} --help" in done.err
        assert len(done.err.splitlines()) == 1


def test_a_near_miss_is_suggested(seqdis) -> None:
    done = seqdis("fitt dbse a.npy")
    assert done.status == 2
    assert "unknown command 'fitt'. Did you mean 'fit'?" in done.err


FAILURES = {
    "interrupt": (KeyboardInterrupt(), 130, "seqdis: interrupted.\n"),
    "file system": (PermissionError(13, "Permission denied", "x.npz"), 1, "seqdis: x.npz: Permission denied\n"),
    "disk": (OSError(28, "No space left on device"), 1, "seqdis: [Errno 28] No space left on device\n"),
    "memory": (MemoryError("Unable to allocate 7 TiB"), 1, "seqdis: out of memory: Unable to allocate 7 TiB. Use"),
    "PyTorch memory": (RuntimeError("can't allocate memory"), 1, "seqdis: out of memory: can't allocate memory. Use"),
    "words of a user's file": (SystemExit("no data here"), 1, "seqdis: no data here\n"),
    "status of a user's file": (SystemExit(3), 3, ""),
    "end of a user's file": (SystemExit(), 0, ""),
}


def raising(error: BaseException):
    def run(arguments: list[str]) -> None:
        raise error

    return run


@pytest.mark.parametrize("failure", FAILURES)
def test_failures_are_one_line(seqdis, monkeypatch: pytest.MonkeyPatch, failure: str) -> None:
    error, status, words = FAILURES[failure]
    monkeypatch.setattr(show, "run", raising(error))
    done = seqdis("show dbse")
    assert done.status == status
    assert done.err.startswith(words)


def test_a_bug_keeps_its_traceback(seqdis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "run", raising(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["show", "dbse"])


def test_a_file_in_the_current_folder_never_replaces_an_installed_module(seqdis, tmp_path: Path) -> None:
    seqdis("list methods")
    assert sys.path[-1] == str(tmp_path)
    assert sys.path.index(str(tmp_path)) == len(sys.path) - 1
