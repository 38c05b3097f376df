import struct
import zipfile
from string import ascii_uppercase

import numpy as np
import pytest
import torch
from sklearn.base import clone

from seqdis.datasets import AirWriting
from seqdis.datasets._download import check
from seqdis.datasets.air_writing import averaged
from seqdis.errors import DataError, SettingsError
from seqdis.factors import Factors
from seqdis.hyperparameters import from_dict, to_dict
from seqdis.protocols import LatentLeakage

NPZ = "airwriting_words.npz"
FOLDER = "data_NP2DuvNV2D"
ARCHIVE = "6DMG-3205821b2181fd728a373b24f78b2d758b7616e1"
WRITERS = [f"{letter}1" for letter in ascii_uppercase[:18]]
COMMON = [f"{first}{rest}" for first in ascii_uppercase[:25] for rest in ("AN", "EN", "IT", "OT")]


def published() -> dict[str, np.ndarray]:
    """As published, but short: the same 100 words of every writer and 50 of each one's own, of 2 to 12 frames.

    x is the number of the writer, y that of the frame in its word, vx twice y, and vy the number of the word in the
    file.
    """
    text = []
    for letter in ascii_uppercase[:18]:
        own = [f"{first}{second}{letter}S" for first in ascii_uppercase[:25] for second in "UY"]
        text += sorted([*COMMON, *own[1:], f"Z{letter}"])
    lengths = 2 + np.arange(2700) % 11
    offsets = np.cumsum([0, *lengths])
    word = np.repeat(np.arange(2700), lengths)
    frame = np.arange(offsets[-1]) - offsets[word]
    frames = np.stack([word // 150, frame, 2 * frame, word], axis=1).astype(np.float32)
    return {"frames": frames, "offsets": offsets, "writer": np.repeat(WRITERS, 150), "text": np.array(text)}


def htk(frames: np.ndarray) -> bytes:
    return struct.pack(">iihh", len(frames), 1, 16, 9) + frames.astype(">f4").tobytes()


def members(arrays) -> dict[str, bytes]:
    pieces = np.split(arrays["frames"], arrays["offsets"][1:-1])
    names = [f"{who}_{what}.htk" for who, what in zip(arrays["writer"], arrays["text"], strict=True)]
    return {name: htk(piece) for name, piece in zip(names, pieces, strict=True)}


@pytest.fixture(scope="module")
def arrays():
    return published()


@pytest.fixture(scope="module")
def root(tmp_path_factory, arrays):
    folder = tmp_path_factory.mktemp("data") / "airwriting_6dmg"
    folder.mkdir()
    np.savez(folder / NPZ, **arrays)
    return str(folder.parent)


def small(root, **settings) -> AirWriting:
    return AirWriting(**{"root": str(root), "every": 5, **settings})


def words_of(part) -> set[str]:
    return {name.split("/")[1] for name in part.ids}


def writers_of(part) -> set[str]:
    return {name.split("/")[0] for name in part.ids}


def test_means_by_hand():
    frames = np.array([[0], [1], [2], [10], [20], [30], [40], [7]], dtype=np.float32)
    x, lengths = averaged(frames, np.array([0, 3, 7, 8]), 2)
    assert lengths.tolist() == [2, 2, 1]
    assert x[..., 0].tolist() == [[0.5, 2.0], [15.0, 35.0], [7.0, 0.0]]
    assert x.dtype == np.float32
    x, lengths = averaged(frames, np.array([0, 3, 7, 8]), 1)
    assert lengths.tolist() == [3, 4, 1]
    assert x[1, :, 0].tolist() == [10, 20, 30, 40]


def test_every_word_keeps_its_own_frames(root, arrays):
    place = {f"{who}/{what}": i for i, (who, what) in enumerate(zip(arrays["writer"], arrays["text"], strict=True))}
    seen = 0
    for part in small(root, words="all").parts().values():
        for row in range(len(part)):
            word = place[part.ids[row]]
            last = arrays["offsets"][word + 1] - arrays["offsets"][word] - 1
            steps = [np.arange(first, min(first + 4, last) + 1).mean() for first in range(0, last + 1, 5)]
            assert part.lengths[row] == len(steps)
            expected = [[word // 150, step, 2 * step, word] for step in steps]
            np.testing.assert_array_equal(part.x[row, : len(steps)], np.array(expected, dtype=np.float32))
            assert not part.x[row, len(steps) :].any()
            assert part.labels["writer"][row] == word // 150
            seen += 1
    assert seen == 2700


def test_labels_say_what_was_written(root):
    for words in ("common", "all"):
        for part in small(root, words=words).parts().values():
            spec = part.spec
            assert [factor.name for factor in spec.factors if factor.kind == "static"] == ["writer"]
            names = {name: np.array(spec.factor(name).classes)[part.labels[name]] for name in part.labels}
            for row, name in enumerate(part.ids):
                who, what = name.split("/")
                assert (names["writer"][row], names["word"][row]) == (who, what)
                assert (names["first_letter"][row], names["last_letter"][row]) == (what[0], what[-1])
                assert names["letter_count"][row] == str(len(what))
    assert spec.factor("letter_count").classes == ("2", "3", "4")
    assert len(spec.factor("word").classes) == 1000
    assert len(small(root).spec.factor("word").classes) == 100


def test_new_words_are_written_by_nobody_in_training(root):
    parts = small(root).parts()
    assert {name: part.x.shape for name, part in parts.items()} == {
        "train": (1260, 3, 4),
        "valid": (180, 3, 4),
        "test": (360, 3, 4),
    }
    words = {name: words_of(part) for name, part in parts.items()}
    assert sum(map(len, words.values())) == len(set.union(*words.values())) == 100
    for part in parts.values():
        assert writers_of(part) == set(WRITERS)
        np.testing.assert_array_equal(part.groups, part.labels["word"])


def test_the_common_words_of_a_part_are_the_same_among_all_words(root):
    common, everything = small(root).parts(), small(root, words="all").parts()
    assert {name: len(part) for name, part in everything.items()} == {"train": 1890, "valid": 270, "test": 540}
    for name, part in common.items():
        assert words_of(everything[name]) & set(COMMON) == words_of(part)
    words = {name: words_of(part) for name, part in everything.items()}
    assert sum(map(len, words.values())) == len(set.union(*words.values())) == 1000


def test_new_writers_have_written_nothing_in_training(root):
    parts = small(root, test="writers").parts()
    assert {name: len(part) for name, part in parts.items()} == {"train": 1200, "valid": 200, "test": 400}
    writers = {name: writers_of(part) for name, part in parts.items()}
    assert sum(map(len, writers.values())) == len(set.union(*writers.values())) == 18
    for part in parts.values():
        assert words_of(part) == set(COMMON)
        assert len(part.spec.factor("writer").classes) == 18
        np.testing.assert_array_equal(part.groups, part.labels["writer"])


def test_new_recordings_share_words_and_writers(root):
    parts = small(root, test="sequences").parts()
    assert {name: len(part) for name, part in parts.items()} == {"train": 1260, "valid": 180, "test": 360}
    assert len(set.union(*(set(part.ids) for part in parts.values()))) == 1800
    assert words_of(parts["test"]) <= words_of(parts["train"])
    assert writers_of(parts["test"]) == set(WRITERS)
    assert parts["test"].groups is None


@pytest.mark.parametrize("test", ["words", "writers", "sequences"])
def test_the_seed_draws_the_parts(root, test):
    first, again, other = (small(root, test=test, split_seed=seed).parts() for seed in (0, 0, 1))
    assert first["test"].ids.tolist() == again["test"].ids.tolist()
    assert set(first["test"].ids) != set(other["test"].ids)
    assert set(first["valid"].ids) != set(other["valid"].ids)


def test_scales_come_from_training_alone(root):
    train, valid, test = small(root, test="writers").split("train", "valid", "test")
    steps = np.concatenate([row[:length] for row, length in zip(train.x, train.lengths, strict=True)])
    np.testing.assert_allclose(train.spec.center, steps.astype(np.float64).mean(0))
    np.testing.assert_allclose(train.spec.scale, steps.astype(np.float64).std(0))
    assert train.spec == valid.spec == test.spec


def test_archive_folder_and_clone_read_alike(tmp_path, arrays, root):
    expected = {name: part.fingerprint() for name, part in small(root).parts().items()}
    files = members(arrays)
    for place in (
        tmp_path / "folder" / "airwriting_6dmg" / FOLDER,
        tmp_path / f"clone/data_htk/airwriting_spot/truth/{FOLDER}",
    ):
        place.mkdir(parents=True)
        for name, content in files.items():
            (place / name).write_bytes(content)
    (tmp_path / "archive").mkdir()
    with zipfile.ZipFile(tmp_path / "archive" / f"{ARCHIVE}.zip", "w") as archive:
        for part in ("truth", "train"):  # train/ holds what a detector cut out, under the same names
            for name, content in files.items():
                inside = f"{ARCHIVE}/data_htk/airwriting_spot/{part}/{FOLDER}/{name}"
                archive.writestr(inside, content if part == "truth" else htk(np.zeros((3, 4))))
            archive.writestr(f"{ARCHIVE}/data_htk/airwriting_spot/{part}/gen_global_mlf.pl", b"none")
    for place in ("folder", "clone", "archive"):
        parts = small(tmp_path / place).parts()
        assert {name: part.fingerprint() for name, part in parts.items()} == expected, place


def altered(**changes):
    """The published arrays with some changed; None leaves one out."""

    def change(arrays):
        found = {**arrays, **{name: how and how(arrays[name]) for name, how in changes.items()}}
        return {name: values for name, values in found.items() if values is not None}

    return change


def put(index, value):
    def change(values):
        values = values.copy()
        values[index] = value
        return values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (altered(writer=None), "expected arrays frames, offsets, writer, text; found frames, offsets, text"),
        (
            altered(text=lambda text: text.astype(object)),
            "cut short or damaged, or holds Python objects, which are never",
        ),
        (altered(frames=lambda frames: frames.astype(object)), "holds Python objects"),
        (altered(frames=put((7, 2), np.nan)), "1 frames hold NaN or infinite values, first frame 7"),
        (altered(frames=put((slice(3, 5), 0), np.inf)), "2 frames hold NaN or infinite values, first frame 3"),
        (altered(frames=lambda frames: frames[:, :3]), r"'frames' is float32 \(\d+, 3\); expected floating-point"),
        (altered(frames=lambda frames: frames.astype(int)), r"'frames' is int64 .*; expected floating-point numbers"),
        (altered(offsets=lambda offsets: offsets.astype(float)), r"'offsets' is float64 \(2701,\); expected integers"),
        (altered(text=lambda text: np.arange(2700)), r"'text' is int64 \(2700,\); expected text"),
        (altered(text=lambda text: text[0]), r"'text' is <U\d \(\); expected text"),
        (altered(frames=lambda frames: frames[:-1]), r"offsets run from 0 to \d+; expected them to ascend from 0 to"),
        (altered(offsets=put(0, 1)), "offsets run from 1 to"),
        (altered(offsets=put(4, 0)), "expected them to ascend"),
        (altered(offsets=lambda offsets: offsets[:-1]), "found 2699 words, 2700 writers and 2700 texts of them"),
        (altered(offsets=lambda offsets: offsets[:0]), "found -1 words"),
        (altered(text=put(5, "dog")), "dog is no word of two to four capital letters"),
        (altered(writer=put(5, "Z9")), "found 19 writers with 1 to 150 words"),
        (altered(text=put(5, "AAN")), "2699 of 2700 of them different; expected 18 with 150 different words each"),
    ],
)
def test_altered_arrays_are_refused(tmp_path, arrays, change, message):
    np.savez(tmp_path / NPZ, **change(arrays))
    with pytest.raises(DataError, match=message) as raised:
        small(tmp_path).parts()
    assert str(raised.value).startswith(str(tmp_path / NPZ))
    assert "allow_pickle" not in str(raised.value)


def test_damaged_and_missing_files_say_what_to_do(tmp_path, root):
    with pytest.raises(
        DataError, match=r"found none of 6DMG-.*npz.* in .*airwriting_6dmg.*seqdis data fetch air-writing"
    ):
        small(tmp_path).parts()
    content = (AirWriting(root=root).location() / NPZ).read_bytes()
    plain = tmp_path / "plain.npy"
    np.save(plain, np.zeros(3))
    for damage in (content[: len(content) // 2], b"", b"no archive", plain.read_bytes()):
        (tmp_path / NPZ).write_bytes(damage)
        with pytest.raises(DataError, match=r"words\.npz cannot be read .* cut short or damaged"):
            small(tmp_path).parts()
    assert [entry.state for entry in check(small(tmp_path))] == ["altered"]
    (tmp_path / f"{ARCHIVE}.zip").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"\.zip cannot be read .* cut short or damaged"):
        small(tmp_path).parts()
    with zipfile.ZipFile(tmp_path / f"{ARCHIVE}.zip", "w") as archive:
        archive.writestr("other/C1_ACCO.htk", b"")
    with pytest.raises(DataError, match=r"\.zip holds no words such as C1_ACCO\.htk"):
        small(tmp_path).parts()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes and states 0 frames"),
        (
            htk(np.zeros((5, 4)))[:-1],
            "has 91 bytes and states 5 frames of 16, kind 9; expected 12 bytes and 16 a frame",
        ),
        (htk(np.zeros((5, 4)))[:7], "has 7 bytes"),
        (struct.pack(">iihh", 5, 1, 12, 9) + bytes(60), "5 frames of 12"),
        (struct.pack(">iihh", 5, 1, 16, 6) + bytes(80), "kind 6"),
        (struct.pack("<iihh", 5, 1, 16, 9) + bytes(80), "states 83886080 frames"),
        (htk(np.zeros((0, 4))), "with a frame of every word"),
        (htk(np.full((2, 4), np.nan)), "2 frames hold NaN"),
    ],
    ids=["empty", "short", "no header", "three values", "other kind", "other byte order", "no frames", "NaN"],
)
def test_altered_words_are_refused(tmp_path, arrays, content, message):
    files = {**members(arrays), "C1_CEN.htk": content}
    with zipfile.ZipFile(tmp_path / f"{ARCHIVE}.zip", "w") as archive:
        for name, packed in files.items():
            archive.writestr(f"{ARCHIVE}/data_htk/airwriting_spot/truth/{FOLDER}/{name}", packed)
    with pytest.raises(DataError, match=message):
        small(tmp_path).parts()


def test_a_copy_that_lacks_words_is_refused(tmp_path, arrays):
    (tmp_path / FOLDER).mkdir()
    for name, content in list(members(arrays).items())[:3]:
        (tmp_path / FOLDER / name).write_bytes(content)
    with pytest.raises(DataError, match="found 3 words, 3 writers and 3 texts of them; expected 2700 of each"):
        small(tmp_path).parts()


class Reader:
    """Stands in for a model: its static code is the writer, its dynamic codes are the other values of a step."""

    def encode(self, part):
        x = torch.from_numpy(part.x)
        return Factors(x[:, 0, :1], x[..., 1:3], torch.from_numpy(part.lengths), 1)


def test_protocols_read_the_writer_and_the_last_letter(root):
    report = LatentLeakage(classifiers=("KNN",), forms=("corrected",), resamples=20).run(
        Reader(), small(root), controls=False
    )
    found = {score.factor: score.value for score in report if score.metric == "accuracy (KNN)"}
    assert found["writer from static"] == 1.0
    assert found["writer from dynamic"] < 0.2
    assert "last_letter from dynamic" in found


def test_settings_are_a_declaration(root):
    data = AirWriting(words="all", test="writers", every=4, split_seed=3)
    assert from_dict(AirWriting, to_dict(data)) == data == clone(data)
    for settings, message in (
        ({"words": "some"}, r"words = 'some': expected Literal\['common', 'all'\]"),
        ({"test": "letters"}, "test = 'letters': expected Literal"),
        ({"every": 0}, "every = 0"),
        ({"every": 46}, "every = 46"),
        ({"split_seed": -1}, "split_seed = -1"),
    ):
        with pytest.raises(SettingsError, match=message):
            small(root, **settings).parts()


# ---- the real data


@pytest.mark.data
def test_the_published_words(data_root):
    if not (data_root / "airwriting_6dmg").is_dir():
        pytest.skip("no airwriting_6dmg folder")
    data = AirWriting(root=str(data_root), words="all")
    assert [entry.state for entry in check(data)] == ["verified"]
    parts = data.parts()
    assert {name: len(part) for name, part in parts.items()} == {"train": 1890, "valid": 270, "test": 540}
    lengths = np.concatenate([part.lengths for part in parts.values()])
    assert (lengths.min(), lengths.max()) == (12, 97)
    writer = np.concatenate([part.labels["writer"] for part in parts.values()])
    assert np.bincount(writer).tolist() == [150] * 18
    assert len(data.spec.factor("word").classes) == 1000
    assert data.spec.factor("writer").classes[:3] == ("C1", "C3", "C4")

    whole = data.replace(every=1).parts()
    assert sum(int(part.lengths.sum()) for part in whole.values()) == 820_028
    for part in whole.values():
        # The publisher gave the positions of every word mean 0, and y a spread of 1.
        x, seen, count = part.x.astype(np.float64), part.observed(), part.lengths[:, None]
        mean = x.sum(axis=1) / count
        spread = np.sqrt(((x - mean[:, None]) ** 2).sum(axis=1, where=seen) / count)
        np.testing.assert_allclose(mean[:, :2], 0, atol=1e-4)
        np.testing.assert_allclose(spread[:, 1], 1, atol=0.01)
        assert np.abs(part.x[..., 2:]).max() <= 2

    common = data.replace(words="common").parts()
    assert sum(map(len, common.values())) == 1800
    assert len(common["train"].spec.factor("word").classes) == 100
    test = common["test"]
    known = np.isin(test.labels["last_letter"], common["train"].labels["last_letter"])
    assert known.mean() == pytest.approx(0.85)
