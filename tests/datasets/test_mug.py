import builtins
from collections import Counter

import cv2
import numpy as np
import pytest

from seqdis.datasets import _mug_clips as clips_of
from seqdis.datasets._mug_clips import EXPRESSIONS, Clip
from seqdis.datasets.mug import MUG
from seqdis.errors import DataError, SettingsError
from seqdis.sequences import Sequences

TAKES, FRAMES = 4, 40


def frame(number: int, shade: int, size: tuple[int, int] = (20, 16)) -> np.ndarray:
    """A grey picture whose blue channel tells its number."""
    image = np.full((*size, 3), shade, dtype=np.uint8)
    image[..., 0] = number  # OpenCV writes blue first
    return image


def write_clip(folder, frames: int, shade: int = 100, first: int = 0) -> None:
    folder.mkdir(parents=True)
    for number in range(first, first + frames):
        cv2.imwrite(str(folder / f"img_{number}.png"), frame(number, shade))  # 9 before 10, unlike as words


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for subject in range(3):
        for code, name in enumerate(EXPRESSIONS):
            for take in range(TAKES):
                folder = root / "mug" / f"subjects{subject % 2}" / f"{subject:03d}" / name / f"take00{take}"
                write_clip(folder, FRAMES, shade=10 * subject + code)
    write_clip(root / "mug" / "subjects0" / "000" / "neutral" / "take000", 5)
    return root


def tiny(root, **settings) -> MUG:
    return MUG(**{"root": str(root), "crop": "none", "size": 8, **settings})


@pytest.fixture(scope="module")
def parts(root):
    return tiny(root).parts()


def numbers(part: Sequences) -> np.ndarray:
    """(n, length): the number of every frame."""
    return part.x[:, :, 2, 0, 0]


def clips(part: Sequences) -> list[str]:
    return [str(name).split("@")[0] for name in part.ids]


def clip(n: int) -> Clip:
    return Clip("a/anger/take", "a", 0, tuple(range(n)))  # type: ignore[arg-type]


# ---- parts


def test_three_quarters_train_and_no_clip_is_in_two_parts(parts):
    assert {name: len(part) for name, part in parts.items()} == {"train": 49, "valid": 5, "test": 18}
    assert len(set().union(*map(clips, parts.values()))) == 72
    assert parts["train"].spec.factor("subject").classes == ("000", "001", "002")
    assert parts["train"].spec.factor("expression").classes == EXPRESSIONS
    assert parts["test"].x.shape == (18, 15, 3, 8, 8)
    assert parts["test"].spec.scale == (255.0,)


def test_every_subject_and_expression_gives_its_share(parts):
    test = parts["test"]
    count = Counter(zip(test.labels["subject"].tolist(), test.labels["expression"].tolist(), strict=True))
    assert count == {(subject, code): 1 for subject in range(3) for code in range(6)}


def test_labels_are_those_of_the_pixels(parts):
    for part in parts.values():
        shade = part.x[:, 0, 0, 0, 0]
        np.testing.assert_array_equal(shade, 10 * part.labels["subject"] + part.labels["expression"])


def test_single_takes_are_drawn_by_the_seed(tmp_path):
    for subject in range(4):
        for name in EXPRESSIONS:
            write_clip(tmp_path / f"{subject}" / name / "take000", 15)
    drawn = [tiny(tmp_path, split_seed=seed).parts()["test"] for seed in range(3)]
    assert [len(part) for part in drawn] == [6] * 3  # in the folder itself, without mug/
    assert len({frozenset(clips(part)) for part in drawn}) == 3
    assert all(np.bincount(part.labels["subject"]).max() <= 2 for part in drawn)


def test_without_validation(root):
    assert list(tiny(root, valid=0).parts()) == ["train", "test"]


# ---- windows


def test_frames_are_every_second_one_in_the_order_of_their_numbers(parts):
    for name, part in parts.items():
        assert (np.diff(numbers(part).astype(int), axis=1) == 2).all(), name
    start = numbers(parts["test"])[:, 0]
    assert (start == (FRAMES - 29) // 2).all()  # centred: 5 before and 6 after
    assert len(np.unique(numbers(parts["train"])[:, 0])) > 4
    assert [int(str(name).split("@")[1]) for name in parts["train"].ids] == numbers(parts["train"])[:, 0].tolist()


def test_windows_per_clip_are_different_starts_in_training_only(root):
    parts = tiny(root, windows_per_clip=3).parts()
    assert {name: len(part) for name, part in parts.items()} == {"train": 147, "valid": 5, "test": 18}
    assert set(Counter(clips(parts["train"])).values()) == {3}
    assert len(np.unique(parts["train"].ids)) == 147


@pytest.mark.parametrize(
    ("frames", "expected"),
    [(40, ([5], 2)), (30, ([0], 2)), (29, ([0], 2)), (28, ([6], 1)), (15, ([0], 1)), (17, ([1], 1))],
)
def test_centred_start_and_step(frames, expected):
    assert clips_of.window_starts(clip(frames), 15, 2, None) == expected


def test_random_starts_cover_all_that_fit_and_no_more():
    draws = [clips_of.window_starts(clip(31), 15, 2, np.random.default_rng(seed))[0][0] for seed in range(60)]
    assert set(draws) == {0, 1, 2}
    assert clips_of.window_starts(clip(31), 15, 2, np.random.default_rng(0), windows=9) == ([0, 1, 2], 2)


def test_a_clip_that_is_too_short_is_named(tmp_path):
    for take in range(2):
        write_clip(tmp_path / f"mug/000/anger/take00{take}", 14)
    with pytest.raises(DataError, match=r"clip 000/anger/take00\d has 14 frames; expected 15"):
        tiny(tmp_path, valid=0, test=0.5).parts()
    with pytest.raises(SettingsError, match="2 clips leave none for train"):
        tiny(tmp_path, length=5, valid=0, test=0.9).parts()


def test_prepared_frames_follow_the_images(tmp_path):
    for take in range(4):
        write_clip(tmp_path / f"mug/000/anger/take00{take}", 3, shade=50)
    before = tiny(tmp_path, length=3, valid=0).parts()["train"]
    for take in range(4):
        cv2.imwrite(str(tmp_path / f"mug/000/anger/take00{take}/img_1.png"), frame(1, 77, (24, 24)))
    after = tiny(tmp_path, length=3, valid=0).parts()["train"]
    assert before.x[0, :, 0, 0, 0].tolist() == [50, 50, 50]
    assert after.x[0, :, 0, 0, 0].tolist() == [50, 77, 50]


# ---- the face


def boxed(monkeypatch, boxes):
    monkeypatch.setattr(clips_of, "_faces", lambda images: iter(boxes))


def test_a_frame_without_a_face_is_cut_like_the_last_one_with_a_face(monkeypatch):
    a, b = (1, 2, 3, 3), (4, 5, 6, 6)
    boxed(monkeypatch, [None, a, None, b, None])
    assert clips_of._boxes(clip(5), [None] * 5) == [a, a, a, b, b]


def test_a_clip_without_a_face_is_named(root):
    with pytest.raises(DataError, match=r"no face was found in clip subjects\d/00\d/\w+/take00\d.*crop='none'"):
        tiny(root, crop="haar").parts()


def test_the_box_is_left_top_width_height(monkeypatch, tmp_path):
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[10:20, 30:40] = 200
    cv2.imwrite(str(tmp_path / "0.png"), image)
    boxed(monkeypatch, [(30, 10, 10, 10)])
    cut = clips_of.read_window(clip(1), [tmp_path / "0.png"], 8, "haar")
    assert cut.shape == (1, 3, 8, 8)
    assert (cut == 200).all()


@pytest.mark.data
def test_the_cascade_finds_the_faces_of_photographs(data_root):
    archive = data_root / "cmu_faces" / "faces_128x120.zip"
    if not archive.is_file():
        pytest.skip("no cmu_faces folder")
    from seqdis.datasets._face_stills import read_stills

    stills = read_stills(archive, 120)
    faces = [image[0] for (_, pose, expression, eyes), image in stills.items() if (pose, expression, eyes) == FRONT]
    found = list(clips_of._faces([np.repeat(face[..., None], 3, axis=2) for face in faces]))
    assert len(found) == 20
    assert sum(box is not None for box in found) >= 17
    assert all(box is None or (box[2] == box[3] and 24 <= box[2] <= 120) for box in found)


FRONT = ("straight", "neutral", "open")


# ---- refusals


def test_a_session_is_no_subject(tmp_path):
    for path in (
        "subjects3/002/session0/anger/take000",
        "subjects3/002/Session1/anger/take000",
        "subjects3/003/anger/t",
    ):
        write_clip(tmp_path / path, 1)
    found = clips_of.find_clips(tmp_path)
    assert [clip.subject for clip in found] == ["002", "002", "003"]
    assert len({clip.name for clip in found}) == 3


def test_no_images_and_no_folder_are_explained(tmp_path):
    (tmp_path / "mug" / "anger").mkdir(parents=True)
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=r"holds no images in folders subject/expression/take.*Ask the MUG group"):
            tiny(root).parts()
    cv2.imwrite(str(tmp_path / "mug" / "anger" / "img_1.png"), frame(1, 1))
    with pytest.raises(DataError, match="holds no images in folders"):
        tiny(tmp_path).parts()


def test_a_damaged_image_is_named(tmp_path):
    for take in range(4):
        write_clip(tmp_path / f"mug/000/anger/take00{take}", 3)
        (tmp_path / f"mug/000/anger/take00{take}/img_1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"img_1\.png is no image"):
        tiny(tmp_path, length=3, valid=0).parts()


def test_without_opencv_the_extra_is_named(root, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "cv2":
            raise ImportError("no cv2")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(DataError, match=r"pip install 'seqdis\[video\]'"):
        tiny(root, size=9).parts()


@pytest.mark.parametrize("wrong", [{"crop": "dlib"}, {"length": 0}, {"stride": 0}, {"test": 0.0}, {"valid": -0.1}])
def test_nonsense_is_refused_by_name(root, wrong):
    with pytest.raises(SettingsError, match=f"MUG.{next(iter(wrong))} = "):
        tiny(root, **wrong).parts()
