"""The command line in this process, in a folder of its own, and runs to use it on."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from command_line import ONE_EPOCH, TOY, Command, Done, write_data

from seqdis.cli import main


@pytest.fixture
def seqdis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``seqdis("fit", "dbse", ...)`` or ``seqdis("fit dbse ...")`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delenv("SEQDIS_MIRROR", raising=False)
    monkeypatch.setenv("SEQDIS_DATA", str(tmp_path / "no data"))

    def call(*words: str) -> Done:
        status = main(words[0].split() if len(words) == 1 else words)
        return Done(status, *capsys.readouterr())

    return call


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder where commands run, with files of the user."""
    write_data(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that took one epoch: ``file`` on an array, ``toy0`` and ``toy1`` with two training seeds."""
    folder = tmp_path_factory.mktemp("runs")
    here = os.getcwd()
    os.chdir(folder)
    try:
        write_data(folder)
        assert main(["fit", "dbse", "a.npy", *ONE_EPOCH, "--out", "file"]) == 0
        for seed in "01":
            words = ["fit", "dbse", "toy-series", *ONE_EPOCH, *TOY, "--training.seed", seed, "--out", f"toy{seed}"]
            assert main(words) == 0
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def runs(finished: Path, data: Path) -> Path:
    """Copies of the finished runs, to be spoilt, and the user's files beside them."""
    for name in ("file", "toy0", "toy1"):
        shutil.copytree(finished / name, data / name)
    return data
