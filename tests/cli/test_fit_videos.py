"""``seqdis fit`` on a folder of videos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import ONE_EPOCH, Refused, refused

from seqdis.cli.runs import Run

WORDS = (
    "fit",
    "dbse",
    "myvideos/",
    *ONE_EPOCH,
    "--data.size",
    "32",
    "--data.length",
    "3",
    "--data.labels",
    "labels.csv",
)
SMALL = ("--static-dim", "2", "--dynamic-dim", "2", "--hidden-dim", "4", "--filters", "4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "myvideos"
    for video in range(10):
        (folder / f"v{video}").mkdir(parents=True)
        for number in range(4):
            image = np.full((40, 40, 3), 10 * video + number, dtype=np.uint8)
            cv2.imwrite(str(folder / f"v{video}" / f"{number}.png"), image)
    rows = "".join(f"v{video},{'ann' if video % 2 else 'bob'}\n" for video in range(10))
    (tmp_path / "labels.csv").write_text("file,who\n" + rows)
    return folder


def test_a_folder_of_videos_is_fitted_and_found_again(seqdis, folder: Path, tmp_path: Path) -> None:
    done = seqdis(*WORDS, *SMALL)
    assert done.status == 0, done.err
    assert done.err == "DBSE on videos: 8 sequences, 3 steps of (3, 32, 32)\n"
    assert "run folder: runs/dbse-myvideos" in done.out
    run = Run(tmp_path / "runs" / "dbse-myvideos")
    assert run.data.path == str(folder)
    assert run.data.spec.factor("who").classes == ("ann", "bob")
    assert run.data.labels == str(tmp_path / "labels.csv")  # for commands that run elsewhere
    (tmp_path / "new").mkdir()
    (folder / "v3").rename(tmp_path / "new" / "v3")
    done = seqdis("encode runs/dbse-myvideos new --out codes.npz")
    assert done.out == "codes.npz: static (1, 2), dynamic (1, 3, 2)\n", done.err
    with np.load(tmp_path / "codes.npz") as codes:
        assert codes["ids"].tolist() == ["v3@0"]


def test_data_that_moved_are_found_again(seqdis, folder: Path, tmp_path: Path) -> None:
    assert seqdis(*WORDS, *SMALL, "--out", "run").status == 0
    folder.rename(tmp_path / "moved")
    refused(
        seqdis, tmp_path, Refused("evaluate run latent-leakage", 1, "If they have moved, run the same `seqdis fit`")
    )
    again = seqdis(*(word.replace("myvideos/", "moved") for word in WORDS), *SMALL, "--out", "run")
    assert "already finished with these settings and data: reused" in again.err
    assert Run(tmp_path / "run").data.path == str(tmp_path / "moved")


def test_a_folder_of_two_kinds_is_refused(seqdis, folder: Path, tmp_path: Path) -> None:
    (folder / "sound.wav").write_bytes(b"")
    refused(
        seqdis, tmp_path, Refused("fit dbse myvideos", 2, "'myvideos' holds both videos (or images) and recordings")
    )


def test_a_folder_without_videos_is_refused(seqdis, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    refused(
        seqdis, tmp_path, Refused("fit dbse notes", 2, "'notes' is a folder without video files or folders of images")
    )
