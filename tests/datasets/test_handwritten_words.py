import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from seqdis.datasets import HandwrittenWords
from seqdis.datasets._download import check
from seqdis.datasets._words import LETTERS, LEXICON
from seqdis.errors import DataError, SettingsError
from seqdis.factors import Factors
from seqdis.protocols import LatentLeakage

FOLDER = "images_background_small1"


def shade(writer: int, letter: int) -> int:
    """A value of its own for every writer, and for each letter in ranks that repeat after nine."""
    return 1 + writer * 9 + letter % 9


def png(value: int, side: int = 105) -> bytes:
    done, content = cv2.imencode(".png", np.full((side, side), 255 - value, dtype=np.uint8))
    assert done
    return content.tobytes()


def members() -> dict[str, bytes]:
    """Twenty drawers' letters, one of another alphabet, and a file that is none."""
    found = {
        f"{FOLDER}/Latin/character{letter + 1:02d}/{683 + letter:04d}_{writer + 1:02d}.png": png(shade(writer, letter))
        for writer in range(20)
        for letter in range(26)
    }
    return found | {f"{FOLDER}/Greek/character01/0394_01.png": png(7), f"{FOLDER}/Latin/notes.txt": b"none"}


@pytest.fixture(scope="module")
def files():
    return members()


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{FOLDER}.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory, files):
    return write(tmp_path_factory.mktemp("data") / "omniglot", files).parent


def small(root, **settings) -> HandwrittenWords:
    return HandwrittenWords(**{"root": str(root), "size": 8, **settings})


@pytest.fixture(scope="module")
def data(root):
    return small(root)


@pytest.fixture(scope="module")
def parts(data):
    return data.parts()


def test_the_lexicon_has_a_hundred_words_of_seven_letters_and_uses_all_letters():
    assert len(set(LEXICON)) == len(LEXICON) == 100
    assert {len(word) for word in LEXICON} == {7}
    assert min(sum(letter in word for word in LEXICON) for letter in LETTERS) == 6
    assert "science" in LEXICON


def test_every_frame_is_the_letter_that_its_labels_say(parts):
    for part in parts.values():
        expected = shade(part.labels["writer"][:, None], part.labels["letter"])
        np.testing.assert_array_equal(part.x, np.broadcast_to(expected[..., None, None, None], part.x.shape))
        assert part.x.shape[1:] == (7, 1, 8, 8)


def test_letters_spell_the_word(parts):
    test = parts["test"]
    for row in (0, 123, len(test) - 1):
        assert "".join(LETTERS[letter] for letter in test.labels["letter"][row]) == LEXICON[test.labels["word"][row]]
        assert test.ids[row] == f"{test.labels['writer'][row] + 1:02d}/{LEXICON[test.labels['word'][row]]}"


def pairs(part) -> set[tuple[int, int]]:
    return set(zip(part.labels["writer"].tolist(), part.labels["word"].tolist(), strict=True))


def test_every_writer_has_the_same_share_of_words_in_each_part(parts):
    assert {name: len(part) for name, part in parts.items()} == {"train": 1400, "valid": 200, "test": 400}
    assert set.union(*map(pairs, parts.values())) == {(i, j) for i in range(20) for j in range(100)}
    for name, count in (("train", 70), ("valid", 10), ("test", 20)):
        assert np.bincount(parts[name].labels["writer"]).tolist() == [count] * 20
    words = [set(parts["test"].labels["word"][parts["test"].labels["writer"] == writer]) for writer in range(20)]
    assert len(set(map(frozenset, words))) > 15  # each writer has words of their own there
    assert set(parts["train"].labels["word"].tolist()) == set(range(100))


def test_unseen_words_are_written_by_nobody_in_training(root):
    parts = small(root, unseen_words=True, valid=0).parts()
    assert set(parts) == {"train", "test"}
    train, test = (set(parts[name].labels["word"].tolist()) for name in ("train", "test"))
    assert len(train) == 80
    assert len(test) == 20
    assert not train & test


def test_fewer_words_and_another_seed(root, parts):
    few = small(root, words=10).parts()
    assert {name: len(part) for name, part in few.items()} == {"train": 140, "valid": 20, "test": 40}
    assert max(few["train"].labels["word"]) < 10
    assert pairs(small(root, seed=1).parts()["test"]) != pairs(parts["test"])


def test_a_hybrid_is_the_word_in_the_other_hand(data, parts):
    test = parts["test"]
    np.testing.assert_array_equal(data.hybrid(test, test), test.x)
    one, other = test[:5], test[-5:]
    expected = shade(one.labels["writer"][:, None], other.labels["letter"])
    np.testing.assert_array_equal(data.hybrid(one, other)[..., 0, 0, 0], expected)
    with pytest.raises(DataError, match="hybrid of 5 and 4 sequences"):
        data.hybrid(one, other[:4])
    with pytest.raises(DataError, match="hybrids need sequences of handwritten-words of shape"):
        data.replace(size=16).hybrid(one, other)
    unknown = replace(one, labels=one.labels | {"writer": np.full(5, -1)})
    with pytest.raises(DataError, match="labels of writer from -1 to -1; hybrids need known ones, 0 to 19"):
        data.hybrid(unknown, other)
    with pytest.raises(DataError, match="one label 'letter' per sequence; expected one per step"):
        data.hybrid(one, replace(other, labels=other.labels | {"letter": other.labels["letter"][:, 0]}))


def test_an_unpacked_folder_serves_as_well(tmp_path, files, parts):
    for name, content in files.items():
        path = tmp_path / "omniglot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert small(tmp_path).parts()["test"].fingerprint() == parts["test"].fingerprint()


def test_a_folder_unpacked_by_windows_serves_and_one_without_letters_is_named(tmp_path, files, parts):
    inside = tmp_path / "omniglot" / "images_background_small1"
    (inside / "Latin").mkdir(parents=True)
    (inside / "Latin" / "character01.txt").write_text("a note")
    with pytest.raises(DataError, match=r"expected Latin/character01 to character26 in it\. Unpack the archive again"):
        small(tmp_path).parts()
    for name, content in files.items():
        path = inside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert small(tmp_path).parts()["test"].fingerprint() == parts["test"].fingerprint()


def test_damage_is_named(tmp_path, files):
    with pytest.raises(DataError, match=r"found neither images_background_small1\.zip nor .* data fetch handwritten"):
        small(tmp_path).parts()
    name = next(iter(files))
    write(tmp_path / "omniglot", {other: content for other, content in files.items() if other != name})
    with pytest.raises(DataError, match=r"1 of 520 Latin letters are missing, such as a \(0683_01\.png\)"):
        small(tmp_path).parts()
    write(tmp_path / "omniglot", files | {name: png(3, side=104)})
    with pytest.raises(DataError, match=r"0683_01\.png is no image of 105 x 105 pixels \(104 x 104"):
        small(tmp_path).parts()
    write(tmp_path / "omniglot", files | {name: b""})
    with pytest.raises(DataError, match=r"0683_01\.png is no image .*\(no image\)"):
        small(tmp_path).parts()


def test_shares_that_leave_nothing_are_refused(root):
    with pytest.raises(SettingsError, match="nothing is left for train"):
        small(root, test=0.6, valid=0.5).parts()


class Reader:
    """Stands in for a model: its static code is the writer, its dynamic codes are the ranks of the letters."""

    def encode(self, part):
        shades = torch.from_numpy(part.x[..., 0, 0, 0].astype(np.float32)) - 1
        return Factors((shades // 9).mean(1, keepdim=True), (shades % 9).unsqueeze(-1))


def test_letters_are_read_position_by_position(root):
    report = LatentLeakage(classifiers=("KNN",), forms=("corrected",), resamples=0).run(
        Reader(), small(root, words=20), controls=False
    )
    found = {score.factor: score.value for score in report if score.metric == "accuracy (KNN)"}
    assert found["writer from static"] == 1.0
    assert found["writer from dynamic"] < 0.2
    assert 0.3 < found["letter from dynamic"] < 0.9  # letters nine apart look alike


@pytest.mark.data
def test_the_published_images_have_ink_in_the_middle_and_paper_around():
    data = HandwrittenWords(size=32)
    assert [status.state for status in check(data)] == ["verified"]
    test = data.split("test")[0]
    ink = (test.x > 0).mean(axis=(0, 1, 2))
    assert 0.02 < ink.mean() < 0.25
    assert ink[12:20, 12:20].mean() > 5 * ink[[0, -1]].mean()
    assert test.x.max() == 255
    np.testing.assert_array_equal(data.hybrid(test, test), test.x)
