import logging

import cv2
import numpy as np
import pytest

from seqdis.datasets import Letters
from seqdis.datasets._words import LETTERS
from seqdis.errors import DataError

WRITERS = ("2", "10", "7")


def draw(path, value: int, shape=(6, 6), paper: int = 255) -> None:
    """A page with one dot in its middle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = np.full((*shape, 3), paper, dtype=np.uint8)
    page[shape[0] // 2, shape[1] // 2] = value
    assert cv2.imwrite(str(path), page)


def copy(folder, writers=WRITERS):
    for number, writer in enumerate(writers):
        for letter in LETTERS:
            for sample in range(2):
                draw(folder / writer / letter / f"{sample + 1}.png", 200 - 60 * number - 20 * sample)
    (folder / "readme.txt").write_text("not a writer")
    (folder / writers[0] / "A").mkdir()  # no lower-case letter
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return copy(tmp_path_factory.mktemp("data") / "letters").parent


def small(root, **settings) -> Letters:
    return Letters(**{"root": str(root), "size": 8, "words": 20, **settings})


def test_writers_are_in_the_order_of_their_numbers(root):
    data = small(root)
    assert data.spec.factors[0].classes == ("2", "7", "10")
    assert {name: len(part) for name, part in data.parts().items()} == {"train": 42, "valid": 6, "test": 12}
    assert Letters(root=str(root / "letters"), size=8, words=20).fingerprint() == data.fingerprint()


def test_ink_is_bright_and_either_image_of_a_letter_may_stand(root):
    train = small(root).parts()["train"]
    brightest = train.x.max(axis=(2, 3, 4))
    assert train.x[:, :, 0, 0, 0].max() == 0
    for writer, number in ((0, 0), (1, 2), (2, 1)):
        seen = np.unique(brightest[train.labels["writer"] == writer])
        inks = [255 - (200 - 60 * number - 20 * sample) for sample in range(2)]
        # An image of 6 pixels is made larger, which makes its dot paler.
        assert len(seen) == 2
        assert seen[0] / seen[1] == pytest.approx(inks[0] / inks[1], abs=0.03)


def test_bright_ink_on_dark_is_left_as_it_is_and_pages_become_square(tmp_path):
    copy(tmp_path / "letters")
    for letter in LETTERS:
        draw(tmp_path / "letters" / "2" / letter / "1.png", 240, shape=(4, 8), paper=10)
        (tmp_path / "letters" / "2" / letter / "2.png").unlink()
    train = small(tmp_path).parts()["train"]
    page = train.x[train.labels["writer"] == 0][0, 0, 0]
    assert page.max() == 240
    assert np.argwhere(page == 240).tolist() == [[4, 4]]  # two rows of paper above the page of four
    assert (page == 10).sum() == 63


def test_writers_without_a_letter_are_left_out_or_refused(tmp_path, caplog):
    folder = copy(tmp_path / "letters")
    for letter in "xz":
        for image in (folder / "10" / letter).iterdir():
            image.unlink()
    with caplog.at_level(logging.WARNING):
        assert small(tmp_path).spec.factors[0].classes == ("2", "7")
    assert "1 of 3 writers have no image of some letters: 10 (xz); they are left out" in caplog.text
    with pytest.raises(DataError, match=r"10 \(xz\); .* Add the images, or leave such writers out"):
        small(tmp_path, complete=False).parts()
    (folder / "2" / "q" / "1.png").unlink()
    (folder / "2" / "q" / "2.png").unlink()
    with pytest.raises(DataError, match=r"expected two or more that have all\. Add the images\.$"):
        small(tmp_path).parts()


def test_missing_and_damaged_images_are_named(tmp_path):
    with pytest.raises(DataError, match=r"holds images of 0 writer\(s\) in folders writer/letter"):
        small(tmp_path).parts()
    folder = copy(tmp_path / "letters")
    (folder / "7" / "q" / "2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"q.2\.png is no image that OpenCV can read"):
        small(tmp_path).parts()


def test_transparent_paper_is_white_and_a_page_without_ink_is_refused(tmp_path):
    folder = copy(tmp_path / "letters")
    clear = np.zeros((8, 8, 4), dtype=np.uint8)  # black ink is all that can be seen
    clear[4, 4, 3] = 255
    assert cv2.imwrite(str(folder / "2" / "a" / "1.png"), clear)
    (folder / "2" / "a" / "2.png").unlink()
    train = small(tmp_path).parts()["train"]
    page = train.x[(train.labels["letter"] == 0) & (train.labels["writer"] == 0)[:, None]][0]
    assert np.argwhere(page[0] == 255).tolist() == [[4, 4]]
    assert (page == 0).sum() == 63
    assert cv2.imwrite(str(folder / "2" / "a" / "1.png"), np.full((8, 8, 3), 250, dtype=np.uint8))
    with pytest.raises(DataError, match=r"1\.png has no ink: all its pixels are 250"):
        small(tmp_path).parts()


def test_a_tight_crop_full_of_ink_is_not_taken_for_dark_paper(tmp_path, caplog):
    folder = copy(tmp_path / "letters")
    stroke = np.full((8, 4, 3), 255, dtype=np.uint8)
    stroke[:, :3] = 20  # most of the image and of its edge is ink
    for sample in (1, 2):
        assert cv2.imwrite(str(folder / "7" / "l" / f"{sample}.png"), stroke)
    with caplog.at_level(logging.WARNING):
        train = small(tmp_path).parts()["train"]
    assert "paper of writer 7 is taken as bright; the edges of 2 of 52 images" in caplog.text
    row, step = np.argwhere((train.labels["letter"] == LETTERS.index("l")) & (train.labels["writer"] == 1)[:, None])[0]
    assert train.x[row, step, 0, 0].tolist() == [0, 0, 235, 235, 235, 0, 0, 0]
    dark = small(tmp_path, paper="dark").parts()["train"]
    assert dark.x[row, step, 0, 0, 2:6].tolist() == [20, 20, 20, 255]


def test_what_is_no_writer_is_passed_over(tmp_path):
    folder = copy(tmp_path / "letters")
    for name in (".Trash", "__MACOSX", "lost+found"):
        draw(folder / name / "a" / "1.png", 0)
    assert small(tmp_path, complete=False).spec.factors[0].classes == ("2", "7", "10")


def test_another_split_shows_the_same_images(root):
    one, other = (small(root, unseen_words=flag, valid=0.2) for flag in (False, True))
    of = [
        {row_id: x.tobytes() for part in data.parts().values() for row_id, x in zip(part.ids, part.x, strict=True)}
        for data in (one, other)
    ]
    assert of[0] == of[1]
    assert len(of[0]) == 60
