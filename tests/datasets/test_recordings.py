"""Recordings of the user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from seqdis.datasets import AudioFolder
from seqdis.errors import DataError, SettingsError
from seqdis.spectrogram import analyse, utterances
from sounds import tone

# Seconds of each recording; 12 frames of 12.5 ms are 0.15 s.
SECONDS = {"ann/0.wav": 0.1, "ann/1.flac": 0.4, "bob/2.wav": 0.31, "bob/3.ogg": 0.15, "cat/4.wav": 0.2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, (name, seconds) in enumerate(SECONDS.items()):
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rate = 8_000 if name.endswith("4.wav") else 16_000
        soundfile.write(path, tone(300 + 50 * number, seconds, rate, level=0.02 * (number + 1)), rate)
    rows = "".join(f"{name},{name[:3]},{number % 2}\n" for number, name in enumerate(SECONDS))
    (tmp_path / "mine" / "labels.csv").write_text("file,who,word\n" + rows)
    return tmp_path / "mine"


def audio(folder: Path, **settings) -> AudioFolder:
    return AudioFolder(**{"path": str(folder), "length": 12, "valid": 0.2, "test": 0.2, **settings})


def everything(data: AudioFolder) -> dict[str, np.ndarray]:
    """Frames that hold sound by id."""
    found = {}
    for part in data.parts().values():
        lengths = np.full(len(part), part.x.shape[1]) if part.lengths is None else part.lengths
        found |= {name: row[:length] for name, row, length in zip(part.ids, part.x, lengths, strict=True)}
    return found


def test_recordings_give_as_many_sequences_as_fit(folder) -> None:
    frames = everything(audio(folder))
    # 0.4 s are two whole segments and a rest, 0.31 s two, the rest one each.
    assert sorted(frames) == [
        "ann/0.wav@0",
        "ann/1.flac@0",
        "ann/1.flac@12",
        "bob/2.wav@0",
        "bob/2.wav@12",
        "bob/3.ogg@0",
        "cat/4.wav@0",
    ]
    assert len(frames["ann/0.wav@0"]) == 9
    assert all(len(rows) == 12 for name, rows in frames.items() if name != "ann/0.wav@0")


def test_whole_recordings_keep_their_names_and_lengths(folder) -> None:
    data = audio(folder, length=0, level=False)
    frames = everything(data)
    assert sorted(frames) == sorted(SECONDS)
    for name, seconds in SECONDS.items():
        assert len(frames[name]) == 1 + int(seconds * 16_000) // 200
    wave, _ = soundfile.read(folder / "ann/1.flac", dtype="float32")
    np.testing.assert_allclose(frames["ann/1.flac"], analyse(wave, data.spectrogram), rtol=1e-4, atol=1e-4)


def test_a_recording_is_in_one_part_and_labelled(folder) -> None:
    data = audio(folder, labels="labels.csv", dynamic=("word",))
    parts = data.parts()
    homes = [{name.split("@")[0] for name in part.ids} for part in parts.values()]
    assert sum(map(len, homes)) == len(set.union(*homes)) == 5
    assert data.spec.factor("who").kind == "static"
    assert data.spec.factor("word").kind == "dynamic"
    for part in parts.values():
        for name, who, word in zip(part.ids, part.labels["who"], part.labels["word"], strict=True):
            assert data.spec.factor("who").classes[who] == name[:3]
            assert word == int(name.split("/")[1][0]) % 2
        assert len(np.unique(utterances(part.ids))) == len({name.split("@")[0] for name in part.ids})


def test_speakers_may_be_kept_apart(folder) -> None:
    parts = audio(folder, labels=str(folder / "labels.csv"), apart="who").parts()
    assert sorted(len(set(part.labels["who"])) for part in parts.values()) == [1, 1, 1]
    assert all(len(set(part.groups)) == 1 for part in parts.values())


def test_segments_of_a_recording_are_one_piece_of_evidence(folder) -> None:
    for part in audio(folder).parts().values():
        recordings = [name.split("@")[0] for name in part.ids]
        assert len(set(zip(part.groups, recordings, strict=True))) == len(set(part.groups)) == len(set(recordings))


def test_parts_may_be_left_out(folder) -> None:
    assert set(audio(folder, valid=0).parts()) == {"train", "test"}


def test_levels_are_equal_unless_asked_for(folder) -> None:
    spread = {}
    for level in (True, False):
        loudest = [np.exp(frames).max() for frames in everything(audio(folder, level=level, length=0)).values()]
        spread[level] = max(loudest) / min(loudest)
    assert spread[True] < 1.6 < 3 < spread[False]


def test_a_changed_file_is_read_again(folder) -> None:
    before = everything(audio(folder))
    soundfile.write(folder / "ann/0.wav", tone(800, 0.1), 16_000)
    after = everything(audio(folder))
    assert not np.array_equal(before["ann/0.wav@0"], after["ann/0.wav@0"])


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"path": "nowhere"}, DataError, "AudioFolder.path = 'nowhere': there is no such folder"),
        ({"valid": 0.5, "test": 0.5}, SettingsError, "nothing is left for train"),
        ({"apart": "who"}, SettingsError, "AudioFolder.apart: no label column who; there are: none"),
        ({"labels": "labels.csv", "dynamic": ("age",)}, SettingsError, "no label column age; there are: who, word"),
        ({"labels": "gone.csv"}, DataError, "gone.csv cannot be read .*expected a table of labels"),
        ({"length": 1}, SettingsError, "AudioFolder.length = 1: a Fourier transform of 512 samples needs 2 frames"),
        ({"rate": 100}, SettingsError, "AudioFolder.rate = 100"),
    ],
)
def test_mistakes_are_explained(folder, settings, error, message) -> None:
    with pytest.raises(error, match=message):
        audio(folder, **settings).parts()


def test_bad_files_are_named(folder, tmp_path) -> None:
    (folder / "labels.csv").write_text("file,who\nann/0.wav,ann\n")
    with pytest.raises(DataError, match=r"4 of 5 files have no row, such as ann/1\.flac"):
        audio(folder, labels="labels.csv").parts()
    rows = [f"{name},{'' if name.startswith('cat') else 'x'}" for name in SECONDS]
    (folder / "labels.csv").write_text("\n".join(["file,who", *rows]))
    with pytest.raises(DataError, match="column 'who' is empty for some recordings"):
        audio(folder, labels="labels.csv", apart="who").parts()
    (folder / "labels.csv").write_text("file,who\n" + "".join(f"{name},x\n" for name in SECONDS))
    with pytest.raises(DataError, match="1 values of 'who' cannot be divided into 3 parts"):
        audio(folder, labels="labels.csv", apart="who").parts()
    (folder / "bad.mp3").write_bytes(b"no sound")
    with pytest.raises(DataError, match=r"bad\.mp3: no sound that can be decoded"):
        audio(folder).parts()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no recordings: expected files ending in"):
        audio(tmp_path / "empty").parts()
