"""``seqdis fit`` on a folder of audio files."""

from __future__ import annotations

from pathlib import Path

import soundfile
from command_line import ONE_EPOCH

from seqdis.cli.runs import Run
from sounds import tone

WORDS = ("fit", "dbse", "mine/", *ONE_EPOCH, "--data.length", "8", "--data.labels", "labels.csv")
SMALL = ("--static-dim", "2", "--dynamic-dim", "2", "--hidden-dim", "4")


def test_a_folder_of_recordings_is_fitted_and_found_again(seqdis, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(10):
        soundfile.write(folder / f"r{number}.wav", tone(200 + 30 * number, 0.1), 16_000)
    rows = "".join(f"r{number}.wav,{'ann' if number % 2 else 'bob'}\n" for number in range(10))
    (folder / "labels.csv").write_text("file,who\n" + rows)
    done = seqdis(*WORDS, *SMALL)
    assert done.status == 0, done.err
    assert done.err.endswith("DBSE on recordings: 8 sequences, 8 steps of (64,)\n")
    run = Run(tmp_path / "runs" / "dbse-mine")
    assert run.data.path == str(folder)
    assert run.data.spectrogram.bins == 64
    assert run.data.spec.factor("who").classes == ("ann", "bob")
    new = tmp_path / "new"
    new.mkdir()
    soundfile.write(new / "r.wav", tone(440, 0.1), 16_000)
    done = seqdis("swap runs/dbse-mine new new")
    assert done.out == "hybrids.npz: (1, 8, 64)\n", done.err
