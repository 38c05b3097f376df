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


def test_a_folder_without_videos_is_refused(seqdis, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    refused(
        seqdis, tmp_path, Refused("fit dbse notes", 2, "'notes' is a folder without video files or folders of images")
    )
