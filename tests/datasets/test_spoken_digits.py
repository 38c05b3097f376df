"""Spoken digits: on recordings written here, and on the real ones."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from seqdis.datasets import SpokenDigits
from seqdis.errors import DataError
from sounds import tone

SPEAKERS = ("ann", "bob", "cat", "dan", "eve", "fay")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Six speakers, two digits, takes 0 to 11, in a folder."""
    folder = tmp_path_factory.mktemp("data") / "fsdd" / "recordings"
    folder.mkdir(parents=True)
    for number, who in enumerate(SPEAKERS):
        for digit in range(2):
            for take in range(12):
                wave = tone(200 + 40 * number, 0.2 + 0.1 * digit, 8_000, level=0.02 + 0.01 * take)
                soundfile.write(folder / f"{digit}_{who}_{take}.wav", wave, 8_000)
    return folder.parent.parent


def takes(part) -> set[int]:
    return {int(name.split("_")[2]) for name in part.ids}


def test_takes_are_divided_as_published(root) -> None:
    parts = SpokenDigits(root=str(root)).parts()
    assert {name: takes(part) for name, part in parts.items()} == {
        "train": {10, 11},
        "valid": {5, 6, 7, 8, 9},
        "test": {0, 1, 2, 3, 4},
    }
    for part in parts.values():
        assert part.spec.factor("speaker").classes == SPEAKERS
        assert part.spec.factor("digit").kind == "dynamic"
        for name, who, digit in zip(part.ids, part.labels["speaker"], part.labels["digit"], strict=True):
            assert name.split("_")[:2] == [str(digit), SPEAKERS[who]]
    assert sorted(set(parts["test"].lengths)) == [17, 25]


def test_speakers_may_be_apart(root) -> None:
    parts = SpokenDigits(root=str(root), split_rule="speaker").parts()
    speakers = [set(part.labels["speaker"].tolist()) for part in parts.values()]
    assert [len(some) for some in speakers] == [4, 1, 1]
    assert len(set.union(*speakers)) == 6
    other = SpokenDigits(root=str(root), split_rule="speaker", split_seed=1).split("test", "valid")
    assert [set(part.labels["speaker"].tolist()) for part in other] != [speakers[2], speakers[1]]


def test_an_archive_serves_as_well(root, tmp_path) -> None:
    (tmp_path / "fsdd").mkdir()
    with zipfile.ZipFile(tmp_path / "fsdd" / "recordings.zip", "w") as archive:
        for path in (root / "fsdd" / "recordings").iterdir():
            archive.write(path, f"recordings/{path.name}")
    assert SpokenDigits(root=str(tmp_path)).fingerprint() == SpokenDigits(root=str(root)).fingerprint()


def test_features_are_a_choice(root) -> None:
    data = SpokenDigits(root=str(root), features="magnitude")
    assert data.spec.shape == (201,) == (data.spectrogram.bins,)
    assert set(data.spec.scale) == {1.0}


def test_missing_files_are_explained(tmp_path) -> None:
    with pytest.raises(DataError, match=r"found none of .*recordings\.zip.*seqdis data fetch spoken-digits"):
        SpokenDigits(root=str(tmp_path)).parts()
    (tmp_path / "fsdd" / "recordings").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds no recordings such as 0_george_0\.wav"):
        SpokenDigits(root=str(tmp_path)).parts()


@pytest.mark.data
def test_real_parts(data_root) -> None:
    if not (data_root / "fsdd").is_dir():
        pytest.skip("no fsdd in the data folder")
    parts = SpokenDigits(root=str(data_root)).parts()
    assert {name: len(part) for name, part in parts.items()} == {"train": 2_400, "valid": 300, "test": 300}
    for part in parts.values():
        counts = np.bincount(10 * part.labels["speaker"] + part.labels["digit"], minlength=60)
        assert len(set(counts)) == 1  # every speaker says every digit equally often
    assert np.isfinite(parts["train"].x).all()
