"""TIMIT on a miniature corpus in the layout of the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from seqdis.datasets import TIMIT, _timit_corpus
from seqdis.datasets._timit_corpus import CORE_TEST, DEVELOPMENT, PHONES, SPEAKERS, Utterance, phones_at
from seqdis.errors import DataError
from seqdis.spectrogram import PUBLISHED, analyse, utterances
from sounds import timit_copy, timit_wave, write_sphere


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return timit_copy(tmp_path_factory.mktemp("data") / "timit").parent


def timit(root: Path, **settings) -> TIMIT:
    return TIMIT(**{"root": str(root), "complete": False, **settings})


def speakers(part) -> set[str]:
    return {part.spec.factor("speaker").classes[code] for code in part.labels["speaker"]}


def test_parts_have_the_published_speakers(root) -> None:
    corrected = timit(root).parts()
    assert {name: speakers(part) for name, part in corrected.items()} == {
        "train": {"fcjf0", "marc0"},
        "valid": {"faks0", "mmdb1"},
        "test": {"mdab0", "fpas0"},
    }
    published = timit(root, form="published").parts()
    assert {name: speakers(part) for name, part in published.items()} == {
        "train": {"fcjf0", "marc0", "faks0", "mmdb1"},
        "test": {"mdab0", "fpas0"},
    }


def test_lists_of_speakers_are_whole() -> None:
    assert SPEAKERS == {"train": 462, "development": 50, "test": 24}
    assert not CORE_TEST & DEVELOPMENT
    assert sum(speaker[0] == "f" for speaker in CORE_TEST) == 8
    assert SPEAKERS["test"] * _timit_corpus.SENTENCES == 192
    assert (SPEAKERS["train"] * _timit_corpus.SENTENCES, len(PHONES)) == (3_696, 39)


def test_segments_are_as_published(root) -> None:
    test = timit(root, form="published").split("test")[0]
    assert test.x.shape[1:] == (20, 201)
    assert test.lengths is None
    wave = np.rint(timit_wave("test/dr1/mdab0/si648") * 32767) / 32768
    whole, left = divmod(len(wave), 3_200)
    ids = [f"dr1/mdab0/si648@{20 * segment}" for segment in range(whole + (left > 0))]
    rows = [test.ids.tolist().index(name) for name in ids]
    filled = np.pad(wave, (0, 3_200 * len(ids) - len(wave))).reshape(-1, 3_200)
    np.testing.assert_allclose(test.x[rows], analyse(filled, PUBLISHED), rtol=1e-4, atol=1e-5)
    assert set(test.spec.scale) == {1.0}


def test_utterances_are_told_by_their_ids(root) -> None:
    test = timit(root).split("test")[0]
    assert len(np.unique(utterances(test.ids))) == 4  # two speakers, SA left out
    assert not any("/sa" in name for name in test.ids)
    np.testing.assert_array_equal(test.groups, test.labels["speaker"])


def test_silence_at_the_end_is_padding_unless_published(root) -> None:
    test = timit(root).split("test")[0]
    short = test.lengths < 20
    assert short.any()
    last = np.flatnonzero(np.diff(utterances(test.ids), append=-1))
    assert set(np.flatnonzero(short)) <= set(last.tolist())
    assert not test.x[~test.observed()].any()


def test_labels_say_who_and_what(root) -> None:
    test = timit(root).split("test")[0]
    for row, name in enumerate(test.ids):
        region, speaker, _ = name.split("/")
        assert test.spec.factor("speaker").classes[test.labels["speaker"][row]] == speaker
        assert test.spec.factor("dialect").classes[test.labels["dialect"][row]] == region
        assert test.spec.factor("sex").classes[test.labels["sex"][row]][0] == speaker[0]
    first = [row for row, name in enumerate(test.ids) if name.endswith("@0")]
    # Frames lie 165 samples apart: 0 to 1485 say h#, up to 2970 iy, then a glottal stop, which has no class.
    expected = [PHONES.index("sil")] * 10 + [PHONES.index("iy")] * 9 + [-1]
    assert (test.labels["phone"][first] == expected).all()
    assert (np.delete(test.labels["phone"], first, axis=0) == -1).all()


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("sphere", [True, False])
def test_every_kind_of_copy_gives_the_same_sequences(root, tmp_path, upper, sphere) -> None:
    expected = timit(root).parts()
    # The folder itself may be given as well.
    copy = timit(timit_copy(tmp_path, upper=upper, sphere=sphere, phones=False)).parts()
    for name, part in copy.items():
        np.testing.assert_allclose(part.x, expected[name].x, rtol=1e-2, atol=1e-3)
        assert part.ids.tolist() == expected[name].ids.tolist()
        assert "phone" not in part.labels


def test_a_copy_with_both_formats_has_each_utterance_once(root, tmp_path) -> None:
    for path in list(timit_copy(tmp_path).rglob("*.WAV")):
        wave, rate = soundfile.read(path)
        soundfile.write(f"{path}.wav", wave, rate, format="WAV")
    assert timit(tmp_path).split("train")[0].ids.tolist() == timit(root).split("train")[0].ids.tolist()


@pytest.mark.parametrize(("features", "bins"), [("logmagnitude", 201), ("logmel", 64)])
def test_logarithms_are_an_option(root, features, bins) -> None:
    data = timit(root, features=features)
    train = data.split("train")[0]
    assert train.x.shape[1:] == (20, bins) == (20, data.spectrogram.bins)
    assert len(train.spec.scale) == bins
    if features == "logmagnitude":
        raw = timit(root).split("train")[0]
        seen = raw.observed()
        np.testing.assert_allclose(train.x[seen], np.log(np.maximum(raw.x[seen], 1e-3)), rtol=1e-4, atol=1e-4)


def test_an_incomplete_copy_is_refused(root) -> None:
    with pytest.raises(
        DataError, match="this copy has 4 SX and SI sentences of 2 train speakers; expected 3696 of 462"
    ):
        TIMIT(root=str(root)).parts()


def test_a_complete_copy_is_not(root, monkeypatch) -> None:
    monkeypatch.setattr(_timit_corpus, "SPEAKERS", {"train": 2, "development": 2, "test": 2})
    monkeypatch.setattr(_timit_corpus, "SENTENCES", 2)
    assert set(TIMIT(root=str(root)).parts()) == {"train", "valid", "test"}


def test_a_missing_corpus_is_explained(tmp_path) -> None:
    write_sphere(tmp_path / "SX1.WAV", np.zeros(10))
    with pytest.raises(DataError, match="holds no utterances of development, test, train speakers"):
        timit(tmp_path).parts()


@pytest.mark.parametrize("text", ["0 100 zzz\n", "0 h#\n", "a b c\n", "0 100\n"])
def test_damaged_phones_are_named(tmp_path, text) -> None:
    (tmp_path / "SX1.PHN").write_text(text)
    with pytest.raises(DataError, match=r"SX1\.PHN: no table of phones"):
        phones_at(Utterance("train", 1, "a", "sx1", tmp_path / "SX1.WAV"), np.arange(3))
