"""Spoken words: on an archive written here, and on the real one."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_score

from seqdis.datasets import SpokenWords
from seqdis.datasets._audio_features import Preparation
from seqdis.datasets.spoken_words import WORDS
from seqdis.errors import DataError, SettingsError
from seqdis.spectrogram import analyse, waveform
from sounds import tone

SUBSET = "dspspeech20_subset_flac.zip"
PARTS = ("train", "valid", "test")


def encoded(wave: np.ndarray, form: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, 16_000, format=form)
    return file.getvalue()


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Eight speakers (pitch and level), three words (duration), takes 1, 2 and 11; the last speaker is clipped."""
    folder = tmp_path_factory.mktemp("data") / "dspspeech20"
    folder.mkdir()
    with zipfile.ZipFile(folder / SUBSET, "w") as archive:
        for who in range(8):
            for word in range(3):
                wave = tone(200 + 50 * who, 0.2 + 0.1 * word, level=0.02 * (who + 1))
                wave = wave if who < 7 else (20 * wave).clip(-1, 1)
                silence = np.zeros(4_000, np.float32)
                for take in (1, 2, 11):
                    name = f"S{who + 1:02d}/S{who + 1:02d}-{word:02d}-{take:02d}.flac"
                    archive.writestr(name, encoded(np.concatenate([silence, wave, silence])))
    return folder.parent


def words(root: Path, **settings) -> SpokenWords:
    return SpokenWords(**{"root": str(root), "length": 40, **settings})


def test_speakers_are_apart_and_takes_chosen(root) -> None:
    parts = words(root, valid=0.2, test=0.3).parts()
    assert list(parts) == list(PARTS)
    speakers = [set(part.labels["speaker"].tolist()) for part in parts.values()]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 7  # the clipped one is left out
    assert sum(map(len, parts.values())) == 7 * 3 * 2
    for part in parts.values():
        assert {name.split("-")[2] for name in part.ids} == {"01", "11"}
        for name, who, word in zip(part.ids, part.labels["speaker"], part.labels["word"], strict=True):
            assert (part.spec.factor("speaker").classes[who], f"{word:02d}") == tuple(name.split("-")[:2])
    assert parts["train"].spec.factor("word").kind == "dynamic"
    assert len(WORDS) == len(set(WORDS)) == 20


def test_recordings_may_be_divided_instead(root) -> None:
    parts = words(root, split_rule="recording", valid=0.2, test=0.2).parts()
    assert set(parts["test"].labels["speaker"]) <= set(parts["train"].labels["speaker"])
    names = np.concatenate([part.ids for part in parts.values()])
    assert len(np.unique(names)) == len(names) == 42


def test_seeds_draw_other_speakers(root) -> None:
    first, again, other = (words(root, split_seed=seed).split("test")[0].ids.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_silence_clipping_and_levels_have_switches(root) -> None:
    whole = words(root, max_clipped=1, takes=(), trim=0, level=False, length=60)
    everything = list(whole.parts().values())
    assert sum(map(len, everything)) == 8 * 3 * 3
    lengths = np.concatenate([part.lengths for part in everything])
    assert lengths.min() == 1 + (8_000 + 3_200) // 200
    trimmed = np.concatenate([part.lengths for part in words(root).parts().values()])
    assert trimmed.min() <= 1 + 3_200 // 200 + 4 < lengths.min()
    level = {}
    for data in (whole, words(root)):
        train = data.split("train")[0]
        seen = train.x.max(axis=(1, 2))
        level[data.level] = seen.max() - seen.min()
    assert level[True] < 0.3 < level[False]


def test_the_publishers_archive_serves_as_well(root, tmp_path) -> None:
    folder = tmp_path / "dspspeech20"
    folder.mkdir()
    published = SpokenWords.files()[0].name
    with zipfile.ZipFile(root / "dspspeech20" / SUBSET) as subset, zipfile.ZipFile(folder / published, "w") as archive:
        for name in subset.namelist():
            wave, _ = soundfile.read(io.BytesIO(subset.read(name)), dtype="int16")
            student = name.split("/")[1].replace("S", "163071").replace(".flac", ".wav")
            archive.writestr(f"DSPSpeech-20-x/{student.split('-')[0]}/{student}", encoded(wave, "WAV"))
    assert words(tmp_path).fingerprint() == words(root).fingerprint()


def test_mistakes_are_explained(root, tmp_path) -> None:
    with pytest.raises(DataError, match=r"found none of .* in .*dspspeech20.*seqdis data fetch spoken-words"):
        words(tmp_path).parts()
    with pytest.raises(DataError, match=r"holds no recordings such as .* of takes \(7,\)"):
        words(root, takes=(7,)).parts()
    for test in (0.5, 0.6):
        with pytest.raises(SettingsError, match=rf"SpokenWords\.test = {test}: nothing is left"):
            words(root, valid=0.5, test=test).parts()


@pytest.fixture(scope="module")
def real(data_root) -> SpokenWords:
    if not (data_root / "dspspeech20").is_dir():
        pytest.skip("no dspspeech20 in the data folder")
    return SpokenWords(root=str(data_root))


@pytest.mark.data
def test_real_parts(real) -> None:
    parts = real.parts()
    speakers = {name: set(part.labels["speaker"].tolist()) for name, part in parts.items()}
    assert {name: len(some) for name, some in speakers.items()} == {"train": 22, "valid": 4, "test": 8}
    assert len(set.union(*speakers.values())) == 34
    assert {name: len(part) for name, part in parts.items()} == {"train": 864, "valid": 160, "test": 320}
    assert all(len(np.unique(part.labels["word"])) == 20 for part in parts.values())


@pytest.mark.data
def test_real_clipping_agrees_with_the_index(real, data_root) -> None:
    with (data_root / "dspspeech20" / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    clipped = {Path(row["file"]).stem for row in rows if float(row["clipped_fraction"]) > real.max_clipped}
    kept = set(np.concatenate([part.ids for part in real.parts().values()]))
    assert {Path(row["file"]).stem for row in rows} - kept == clipped
    assert len(clipped) == 16


@pytest.mark.data
def test_real_levels_tell_no_speaker(real) -> None:
    """A linear probe that sees the level of a word alone: well above chance before, at chance after."""
    clips, speaker, _ = real._clips(real._archive())
    accuracy = {}
    for level in (False, True):
        preparation = Preparation(spectrogram=real.spectrogram, length=real.length, trim=real.trim, level=level)
        waves = [preparation.sound(clip)[0] for clip in clips[::2]]
        rms = np.log([np.sqrt((wave.astype(float) ** 2).mean()) for wave in waves])
        x = (rms - rms.mean())[:, None] / max(rms.std(), 1e-6)
        accuracy[level] = cross_val_score(LinearDiscriminantAnalysis(), x, speaker[::2], cv=4).mean()
    chance = 1 / 34
    assert accuracy[False] > 1.5 * chance
    assert accuracy[True] < 1.2 * chance


@pytest.mark.data
def test_real_words_come_back_as_sound(real) -> None:
    test, settings = real.split("test")[0], real.spectrogram
    for row in (0, 100, 300):
        frames = test.x[row, : test.lengths[row]]
        again = analyse(waveform(frames, settings), settings)
        assert np.linalg.norm(np.exp(again) - np.exp(frames)) < 0.15 * np.linalg.norm(np.exp(frames))
