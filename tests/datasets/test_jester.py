import logging
import os
import shutil
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from seqdis.datasets import jester
from seqdis.datasets._jester_lists import GESTURES
from seqdis.datasets.jester import Jester
from seqdis.errors import DataError, SettingsError
from seqdis.factors import Factors
from seqdis.hyperparameters import from_dict, to_dict
from seqdis.protocols import LatentLeakage
from seqdis.sequences import DataSpec, Sequences

FIVE = Jester().gestures
OTHER = "Thumb Up"
BEST = [cv2.IMWRITE_JPEG_QUALITY, 100]  # keeps a plain grey as it is
TRAIN = {number: (*FIVE, OTHER)[number % 6] for number in range(1, 61)}
TEST = {number: (*FIVE, OTHER)[number % 6] for number in range(100, 118)}
LENGTH = 3
NAMES = ("jester-v1-train.csv", "jester-v1-validation.csv")


def frame(grey: int) -> np.ndarray:
    """Plain in its middle square, white beside it, each in blocks of its own to JPEG."""
    image = np.full((8, 24, 3), 255, dtype=np.uint8)
    image[:, 8:16] = grey
    return image


def grey(number: int, index: int) -> int:
    """Tells the frame, from 1, and something of the clip."""
    return 10 * (number % 10) + index


def write_clip(folder, number: int, frames: int, step: int = 1) -> None:
    """Chosen frames are pictures; the others are garbage, which no decoder would pass."""
    folder.mkdir(parents=True)
    chosen = list(range(frames))[:: max(1, frames // LENGTH)][:LENGTH]
    for index in range(frames):
        path = folder / f"{index * step + 1:05d}.jpg"
        if index in chosen:
            cv2.imwrite(str(path), frame(grey(number, index)), BEST)
        else:
            path.write_bytes(b"no picture")


def frames_of(number: int) -> int:
    return LENGTH + number % 7  # 3 to 9: steps of 1, 2 and 3


def lines(clips: dict[int, str]) -> str:
    return "".join(f"{number};{gesture}\n" for number, gesture in clips.items())


def write_lists(folder, train=TRAIN, test=TEST, names=NAMES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, clips in zip(names, (train, test), strict=True):
        (folder / name).write_text(lines(dict(reversed(clips.items()))))  # lists are in no order


def copy(folder, train=TRAIN, test=TEST, places=("20bn-jester-v1", "20bn-jester-v1")):
    """A copy that is laid out as the publisher's."""
    for place, clips in zip(places, (train, test), strict=True):
        for number in clips:
            write_clip(folder / place / str(number), number, frames_of(number))
    write_lists(folder, train, test)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    copy(root / "jester")
    return root


@pytest.fixture
def small(tmp_path):
    """Two gestures, four clips each for training and one each for testing."""
    gestures = ("Shaking Hand", OTHER)
    return copy(tmp_path, *({n: gestures[n % 2] for n in numbers} for numbers in (range(1, 9), range(20, 22))))


def tiny(root, **settings) -> Jester:
    return Jester(**{"root": str(root), "size": 8, "length": LENGTH, **settings})


def two(root, **settings) -> Jester:
    return tiny(root, **{"gestures": ("Shaking Hand", OTHER), "valid": 0.25, **settings})


@pytest.fixture(scope="module")
def parts(root):
    return tiny(root).parts()


def numbers(part: Sequences) -> list[int]:
    return [int(name) for name in part.ids]


# ---- parts and labels


def test_the_validation_list_is_for_testing_and_a_share_of_each_gesture_for_validation(parts):
    assert {name: len(part) for name, part in parts.items()} == {"train": 45, "valid": 5, "test": 15}
    assert set(numbers(parts["test"])) == {number for number, gesture in TEST.items() if gesture in FIVE}
    learnt = numbers(parts["train"]) + numbers(parts["valid"])
    assert sorted(learnt) == [number for number, gesture in TRAIN.items() if gesture in FIVE]
    assert sorted(parts["valid"].labels["gesture"]) == [0, 1, 2, 3, 4]
    assert parts["test"].x.shape == (15, LENGTH, 3, 8, 8)
    assert parts["test"].name == "jester/test"


def test_the_gesture_is_the_only_factor_and_one_label_for_the_sequence(parts):
    (factor,) = parts["train"].spec.factors
    assert (factor.name, factor.kind, factor.classes) == ("gesture", "dynamic", FIVE)
    for part in parts.values():
        named = [FIVE[code] for code in part.labels["gesture"]]
        assert named == [(TRAIN | TEST)[number] for number in numbers(part)]


def test_pixels_are_those_of_the_clip_at_even_steps_from_the_first_frame(parts):
    for part in parts.values():
        for number, clip in zip(numbers(part), part.x, strict=True):
            step = frames_of(number) // LENGTH
            assert clip[:, 0, 4, 4].tolist() == [grey(number, index) for index in (0, step, 2 * step)]


def test_another_seed_chooses_other_clips_for_validation(root, parts):
    other = tiny(root, split_seed=1).parts()
    assert numbers(other["valid"]) != numbers(parts["valid"])
    assert numbers(other["test"]) == numbers(parts["test"])
    assert list(tiny(root, valid=0).parts()) == ["train", "test"]


def test_other_gestures_leave_the_choice_for_validation_alone(root, parts):
    some = tiny(root, gestures=("Thumb Up", "Shaking Hand"))
    assert some.spec.factor("gesture").classes == ("Shaking Hand", "Thumb Up")
    shaking = {number for number, gesture in TRAIN.items() if gesture == "Shaking Hand"}
    assert shaking & set(numbers(some.parts()["valid"])) == shaking & set(numbers(parts["valid"]))
    assert some.fingerprint() == tiny(root, gestures=("Shaking Hand", "Thumb Up")).fingerprint()


def test_all_gestures_are_an_empty_choice(root):
    assert len(GESTURES) == len(set(GESTURES)) == 27
    assert sorted(GESTURES) == list(GESTURES)
    everything = tiny(root, gestures=())
    assert everything._gestures() == GESTURES
    with pytest.raises(DataError, match="the part train has no clip of 'Doing other things', 'Drumming Fingers'"):
        everything.parts()
    assert from_dict(Jester, to_dict(everything)) == everything


def test_the_middle_is_cut_out_or_the_whole_is_stretched(root, parts):
    assert (parts["test"].x < 200).all()
    stretched = tiny(root, fit="stretch").parts()["test"].x
    assert (stretched[..., 0] > 200).all()
    np.testing.assert_array_equal(stretched[..., 4], parts["test"].x[..., 4])


# ---- layouts


@pytest.mark.parametrize("names", [NAMES, ("Train.csv", "Validation.csv"), ("train.csv", "validation.csv")])
@pytest.mark.parametrize("place", ["annotations", "labels", "20bn-jester-download-package-labels/labels"])
def test_lists_may_lie_in_folders_and_have_other_names(small, place, names):
    for name in NAMES:
        (small / place).mkdir(parents=True, exist_ok=True)
        (small / name).rename(small / place / dict(zip(NAMES, names, strict=True))[name])
    assert [len(part) for part in two(small).parts().values()] == [6, 2, 2]


@pytest.mark.parametrize("places", [("Train", "Validation"), ("rawframes", "rawframes"), (".", ".")])
def test_clips_may_lie_in_other_folders(small, places):
    for place, clips in zip(places, (range(1, 9), range(20, 22)), strict=True):
        (small / place).mkdir(exist_ok=True)
        for number in clips:
            (small / "20bn-jester-v1" / str(number)).rename(small / place / str(number))
    assert [len(part) for part in two(small).parts().values()] == [6, 2, 2]


def test_a_folder_of_training_clips_is_not_asked_for_test_clips(small):
    (small / "20bn-jester-v1").rename(small / "Train")
    with pytest.raises(DataError, match="2 of 10 listed clips have no folder, such as 20"):
        two(small).parts()


def test_a_table_with_a_header_is_read_by_its_columns(small):
    before = two(small).parts()["train"]
    for name in NAMES:
        rows = [line.split(";") for line in (small / name).read_text().split("\n") if line]
        text = "".join(f'{gesture},{number},37,"(37, 100, 176, 3)"\r\n' for number, gesture in rows)
        (small / name).unlink()
        table = {"jester-v1-train.csv": "Train.csv", "jester-v1-validation.csv": "Validation.csv"}[name]
        (small / table).write_bytes(("\ufefflabel,video_id,frames,shape\r\n" + text).encode())
    assert two(small).parts()["train"].fingerprint() == before.fingerprint()


def test_other_files_and_gaps_in_the_numbers_are_passed_over(small):
    clip = small / "20bn-jester-v1" / "20"
    for path in clip.iterdir():
        path.unlink()
    clip.rmdir()
    write_clip(clip, 20, 7, step=2)
    for name in ("flow_x_00001.jpg", "._00001.jpg", "00099.txt", "Thumbs.db"):
        (clip / name).write_bytes(b"something else")
    part = two(small).parts()["test"]
    assert part.x[0, :, 0, 4, 4].tolist() == [grey(20, 0), grey(20, 2), grey(20, 4)]


# ---- prepared frames


def test_prepared_frames_are_used_again_until_a_chosen_image_changes(small, monkeypatch):
    first = two(small).parts()["test"]
    asked = []
    monkeypatch.setattr(jester, "decoded", lambda path, real=jester.decoded: asked.append(path) or real(path))
    assert two(small).parts()["test"].fingerprint() == first.fingerprint()
    assert not asked
    cv2.imwrite(str(small / "20bn-jester-v1" / "20" / "00001.jpg"), frame(199), BEST)
    again = two(small).parts()["test"]
    assert again.x[0, :, 0, 4, 4].tolist() == [199, *first.x[0, 1:, 0, 4, 4]]
    assert len(asked) == 10 * LENGTH
    os.utime(small / "20bn-jester-v1" / "20" / "00001.jpg", ns=(0, 0))
    two(small).parts()
    assert len(asked) == 20 * LENGTH


def test_settings_have_prepared_frames_of_their_own(small):
    assert len({two(small, fit=fit, size=size).fingerprint() for fit in ("crop", "stretch") for size in (8, 9)}) == 4


# ---- clips that cannot be used


def test_clips_without_a_folder_are_counted_or_left_out(small, caplog):
    before = two(small).parts()
    first, second = numbers(before["train"])[:2]
    for number in (first, second):
        folder = small / "20bn-jester-v1" / str(number)
        folder.rename(small / f"away{number}")
    folder.touch()  # a file is no folder
    with pytest.raises(DataError, match=rf"2 of 10 listed clips have no folder, such as {first}\. .*complete=False"):
        two(small).parts()
    with caplog.at_level(logging.WARNING):
        some = two(small, complete=False).parts()
    assert "2 of 10 listed clips have no folder" in caplog.text
    assert "left out" in caplog.text
    assert numbers(some["train"]) == numbers(before["train"])[2:]
    assert numbers(some["valid"]) == numbers(before["valid"])  # not drawn anew


def test_clips_with_too_few_frames_are_counted_or_left_out(small):
    clip = small / "20bn-jester-v1" / str(numbers(two(small).parts()["train"])[0])
    for path in sorted(clip.iterdir())[2:]:
        path.unlink()
    with pytest.raises(DataError, match=f"1 of 10 have fewer than 3 frames, such as {clip.name} with 2"):
        two(small).parts()
    assert clip.name not in two(small, complete=False).parts()["train"].ids


def test_a_gesture_that_is_left_nowhere_in_a_part_is_named(small):
    (small / "20bn-jester-v1" / "21").rename(small / "away")
    with pytest.raises(DataError, match="the part test has no clip of 'Thumb Up' of which all frames are there"):
        two(small, complete=False).parts()


def test_a_damaged_image_is_named(small):
    (small / "20bn-jester-v1" / "20" / "00001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"20bn-jester-v1/20/00001\.jpg is no image"):
        two(small).parts()
    (small / "20bn-jester-v1" / "20" / "00001.jpg").unlink()
    (small / "20bn-jester-v1" / "20" / "00001.jpg").symlink_to(small / "nowhere")
    with pytest.raises(DataError, match=r"20/00001\.jpg cannot be read .*Check the link"):
        two(small).parts()


def test_two_images_of_one_frame_are_refused(small):
    (small / "20bn-jester-v1" / "20" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"20: both .*are frame 1\. Remove one"):
        two(small).parts()


def test_two_folders_of_one_clip_are_refused(small):
    write_clip(small / "20bn-jester-v1" / "0020", 20, 4)
    with pytest.raises(DataError, match=r"20 and .*20 are both clip 20\. Remove one"):
        two(small).parts()


def test_another_copy_of_equal_names_sizes_and_dates_has_frames_of_its_own(small, tmp_path_factory):
    two(small).parts()
    other = tmp_path_factory.mktemp("other") / "jester"
    shutil.copytree(small, other)  # with the dates
    for path in (other / "20bn-jester-v1" / "20").iterdir():
        found = path.stat()
        path.write_bytes(b"x" * found.st_size)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(DataError, match="is no image that OpenCV can read"):
        two(other).parts()


def test_a_list_may_begin_with_an_empty_line(small):
    before = two(small).parts()["train"].ids.tolist()
    path = small / NAMES[0]
    path.write_text("\n" + path.read_text())
    assert two(small).parts()["train"].ids.tolist() == before


# ---- lists that cannot be used


@pytest.mark.parametrize("left", [(), NAMES[:1], ("jester-v1-train.csv", "Validation.csv")])
def test_without_both_lists_their_names_are_told(tmp_path, left):
    for name in left:
        (tmp_path / name).write_text("1;Thumb Up\n")
    with pytest.raises(DataError, match=r"does not hold the two lists.*jester-v1-train\.csv.*Qualcomm.*SEQDIS_DATA"):
        tiny(tmp_path).parts()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no clips"),
        ("\n\n", "lists no clips"),
        ("1;Thumb Up\n\n1;Thumb Up\n", "line 3: clip 1 is listed before"),
        ("1;Thumb Up\n2;Thumbs Up\n", "line 2: unknown gesture 'Thumbs Up'. Did you mean 'Thumb Up'"),
        ("1;Thumb Up\n2\n", "line 2: '2'; expected the number of a clip and its gesture"),
        ("1;Thumb Up\n../2;Thumb Up\n", r"line 2: '../2;Thumb Up'; expected the number"),
        ("1\n2\n", "line 1: '1'; expected the number of a clip and its gesture"),
        ("clip,label\n1,Thumb Up\n", "begins with 'clip, label'; expected .*video_id"),
        ("id,frames\n1,37\n", "begins with 'id, frames'"),
        ("1;Thumb Up\n20;Thumb Up\n", "1 clips are in both .*, such as 20"),
        ("1;Thumb Up\n", "the part train has no clip of 'Shaking Hand' in its list"),
        ("1;Thumb Up\n2;Shaking Hand\n", r"1 clips of 'Shaking Hand' cannot be divided into 2 parts"),
    ],
)
def test_a_wrong_list_is_refused_in_words(small, text, message):
    (small / NAMES[0]).write_text(text)
    with pytest.raises(DataError, match=message):
        two(small).parts()


def test_the_order_of_the_lines_does_not_matter(small):
    before = two(small).parts()
    for name in NAMES:
        rows = (small / name).read_text().splitlines()
        (small / name).write_text("\n".join(reversed(rows)))
    assert {name: numbers(part) for name, part in two(small).parts().items()} == {
        name: numbers(part) for name, part in before.items()
    }


def test_a_list_that_is_no_text_is_refused(small):
    (small / NAMES[1]).write_bytes(b"\xff\xfe1\x00")
    with pytest.raises(DataError, match=r"jester-v1-validation\.csv cannot be read"):
        two(small).parts()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"gestures": ("Thumbs up",)}, r"Jester\.gestures: unknown gesture 'Thumbs up'\. Did you mean 'Thumb Up'\?"),
        ({"gestures": (OTHER, "Stop Sign", OTHER)}, r"Jester\.gestures: 'Thumb Up' is named 2 times"),
        ({"gestures": "Thumb Up"}, r"Jester\.gestures = 'Thumb Up'"),
        ({"fit": "squeeze"}, r"Jester\.fit = "),
        ({"length": 0}, r"Jester\.length = 0"),
        ({"valid": 1.0}, r"Jester\.valid = 1\.0"),
    ],
)
def test_nonsense_is_refused_by_name(root, wrong, message):
    with pytest.raises(SettingsError, match=message):
        tiny(root, **wrong).parts()


# ---- a protocol on it


@dataclass
class Middle:
    """Codes are the middle pixels: of all frames together, and of each."""

    spec_: DataSpec

    static_dim = dynamic_dim = 3

    def encode(self, X: Sequences) -> Factors:
        middle = torch.from_numpy(np.array(X.x[:, :, :, 4, 4])).float()
        return Factors(middle.mean(1), middle)

    def untrained(self) -> "Middle":
        return self


def test_leakage_is_read_for_the_gesture_alone_beside_printed_numbers(parts):
    report = LatentLeakage(repeats=2, resamples=5).run(Middle(parts["train"].spec), parts)
    assert {row.factor for row in report.find(method="Middle")} == {"gesture from static", "gesture from dynamic"}
    printed = report.find(role="published", method="SPYL", factor="gesture from dynamic", metric="accuracy (SVC)")
    assert 0.2770 in [pytest.approx(row.value) for row in printed]
