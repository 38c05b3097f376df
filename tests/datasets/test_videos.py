from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from seqdis.datasets import _video_files
from seqdis.datasets._images import decoded, frame_files, resized
from seqdis.datasets.videos import VideoFolder
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import from_dict, signature, to_dict
from seqdis.sequences import Sequences

LENGTHS = {"a.avi": 12, "b.mp4": 7, "c.avi": 4, "d": 9, "e": 3}


def picture(number: int, video: int, size: tuple[int, int] = (32, 48)) -> np.ndarray:
    """A plain picture, blue first: red tells the frame, green the video."""
    image = np.zeros((*size, 3), dtype=np.uint8)
    image[..., 2], image[..., 1] = 20 * number, 40 * video
    return image


def write_video(path, frames: int, video: int) -> None:
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, (48, 32))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(picture(number, video))
    writer.release()


def write_frames(folder, frames: int, video: int, size=(32, 48)) -> None:
    folder.mkdir(parents=True)
    for number in range(frames):
        cv2.imwrite(
            str(folder / f"frame{number + 5}.png"), picture(number, video, size)
        )  # 5 to 14: 10 before 5 as words


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos") / "gestures"
    folder.mkdir()
    for video, (name, frames) in enumerate(LENGTHS.items()):
        write = write_video if "." in name else write_frames
        write(folder / name, frames, video)
    (folder / "notes.txt").write_text("no video")
    (folder / "empty").mkdir()
    table = pd.DataFrame({"file": [*LENGTHS, "absent.mp4"], "who": ["ann", "bob", "ann", "cy", "bob", "x"]})
    table["move"], table["speed"] = [0, 1, 2, 1, 0, 9], [0.5, 1, 2, 4, 8, 9]
    table.to_csv(folder / "labels.csv", index=False)
    return folder


def videos(folder, **settings) -> VideoFolder:
    return VideoFolder(**{"path": str(folder), "size": 16, "valid": 0.2, "test": 0.2, **settings})


def numbers(part: Sequences) -> np.ndarray:
    """(n, length): number of each frame, as its red tells; coding loses a little."""
    return np.rint(part.x[:, :, 0, 8, 8] / 20).astype(int)


def names(part: Sequences) -> list[str]:
    return [str(name).split("@")[0] for name in part.ids]


def test_whole_videos_are_padded_to_the_longest(folder):
    part = videos(folder, length=0).whole()
    assert part.x.shape == (5, 12, 3, 16, 16)
    assert part.ids.tolist() == list(LENGTHS)
    assert part.lengths.tolist() == list(LENGTHS.values())
    assert part.name == "gestures"
    for row, n in zip(numbers(part), part.lengths, strict=True):
        assert row.tolist() == list(range(n)) + [0] * (12 - n)
    assert not part.x[~part.observed()].any()
    green = part.x[:, 0, 1, 8, 8].astype(int)
    assert (np.abs(green - 40 * np.arange(5)) <= 6).all()
    assert (part.x[:, 0, 2] <= 12).all()  # no blue, up to what coding loses


def test_sequences_are_as_many_as_fit_and_one_at_least(folder):
    part = videos(folder, length=4).whole()
    starts = {"a.avi": [0, 4, 8], "b.mp4": [0], "c.avi": [0], "d": [0, 4], "e": [0]}
    assert part.ids.tolist() == [f"{name}@{start}" for name, each in starts.items() for start in each]
    assert part.lengths.tolist() == [4] * 7 + [3]
    assert numbers(part)[1].tolist() == [4, 5, 6, 7]
    assert videos(folder, length=3).whole().lengths is None


def test_stride_takes_every_so_many_frames(folder):
    part = videos(folder, length=3, stride=3).whole()
    assert part.ids.tolist() == ["a.avi@0", "b.mp4@0", "c.avi@0", "d@0", "e@0"]
    assert numbers(part)[0].tolist() == [0, 3, 6]
    assert part.lengths.tolist() == [3, 3, 2, 3, 1]


def test_parts_divide_videos_and_not_their_sequences(folder):
    parts = videos(folder, length=2).parts()
    of = {part: set(names(some)) for part, some in parts.items()}
    assert {part: len(some) for part, some in of.items()} == {"train": 3, "valid": 1, "test": 1}
    assert set().union(*of.values()) == set(LENGTHS)
    for part in parts.values():
        assert len(set(zip(part.groups, names(part), strict=True))) == len(set(part.groups)) == len(set(names(part)))
    assert parts["valid"].name == "gestures/valid"
    seeds = [frozenset(names(videos(folder, length=2, split_seed=seed).parts()["test"])) for seed in range(6)]
    assert len(set(seeds)) > 1
    assert list(videos(folder, valid=0).parts()) == ["train", "test"]


def test_labels_follow_their_videos(folder):
    data = videos(folder, labels="labels.csv", dynamic=("move",), length=4)
    parts = data.parts()
    table = pd.read_csv(folder / "labels.csv").set_index("file")
    for part in parts.values():
        who = np.array(part.spec.factor("who").classes)[part.labels["who"]]
        assert who.tolist() == table.loc[names(part), "who"].tolist()
        assert part.labels["move"].tolist() == table.loc[names(part), "move"].tolist()
        assert part.labels["speed"].tolist() == table.loc[names(part), "speed"].tolist()
    spec = data.spec
    assert [(factor.name, factor.kind) for factor in spec.factors] == [
        ("who", "static"),
        ("move", "dynamic"),
        ("speed", "static"),
    ]
    assert spec.factor("who").classes == ("ann", "bob", "cy")  # the row of no video adds none
    assert spec.factor("move").classes == ("0", "1", "2")


def test_labels_may_lie_elsewhere(folder, tmp_path):
    (tmp_path / "mine.csv").write_bytes((folder / "labels.csv").read_bytes())
    here = videos(folder, labels=str(tmp_path / "mine.csv"))
    assert here.fingerprint() == videos(folder, labels="labels.csv").fingerprint()
    assert here.fingerprint() != videos(folder).fingerprint()


def test_grey_files_and_other_sizes_become_the_same_size(tmp_path):
    write_frames(tmp_path / "small", 3, 1, size=(10, 20))
    write_frames(tmp_path / "large", 3, 1, size=(200, 100))
    (tmp_path / "grey").mkdir()
    cv2.imwrite(str(tmp_path / "grey" / "1.pgm"), np.full((30, 30), 77, dtype=np.uint8))
    part = videos(tmp_path, length=0).whole()
    assert part.x.shape == (3, 3, 3, 16, 16)
    assert (part.x[0, 0] == 77).all()
    np.testing.assert_array_equal(numbers(part)[1:], [[0, 1, 2], [0, 1, 2]])


def test_crop_takes_the_middle_square_and_stretch_all():
    image = np.zeros((4, 8, 3), dtype=np.uint8)
    image[:, :2] = 200
    image[:, 2:4] = 100
    assert resized(image, 2, "crop")[0].tolist() == [[100, 0]] * 2
    assert resized(image, 2, "stretch")[0].tolist() == [[150, 0]] * 2
    assert resized(image[..., :1], 2).shape == (1, 2, 2)
    stripes = np.tile(np.array([0, 200], dtype=np.uint8), (2, 8))[..., None]  # finer than the wanted 4 columns
    assert resized(stripes, 4, "stretch")[0].tolist() == [[100] * 4] * 4  # averaged, though the height grows


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("f10.png", "f9.png", "cover.png", "f11.PNG", ".f1.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in frame_files(tmp_path)] == ["cover.png", "f9.png", "f10.png", "f11.PNG"]


def test_a_frame_that_is_missing_between_others_is_named(tmp_path):
    write_frames(tmp_path / "a", 6, 1)
    (tmp_path / "a" / "frame8.png").unlink()
    with pytest.raises(DataError, match=r"no frame between frame7\.png and frame9\.png, where others are 1 apart"):
        videos(tmp_path, length=0).whole()
    for number in (6, 10):  # every other one of a longer video
        (tmp_path / "a" / f"frame{number}.png").unlink()
    np.testing.assert_array_equal(numbers(videos(tmp_path, length=0).whole()), [[0, 2, 4]])


def test_animated_pictures_are_videos(tmp_path):
    image = pytest.importorskip("PIL.Image")
    frames = [image.fromarray(picture(number, 1)[..., ::-1]) for number in (0, 4, 8)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    part = videos(tmp_path, length=0).whole()
    np.testing.assert_array_equal(numbers(part), [[0, 4, 8]])


@pytest.mark.parametrize("ending", ["png", "tiff", "webp"])
def test_what_is_transparent_is_black_and_not_the_colour_behind_it(tmp_path, ending):
    image = np.full((8, 8, 4), 200, dtype=np.uint8)
    image[..., 3] = 255
    image[:4, :, 3], image[:, :4, 3] = 0, 128
    (tmp_path / "a").mkdir()
    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if ending == "webp" else []
    cv2.imwrite(str(tmp_path / "a" / f"1.{ending}"), image, lossless)
    shown = decoded(tmp_path / "a" / f"1.{ending}")
    assert shown.shape == (8, 8, 3)
    assert [int(shown[row, column, 0]) for row, column in ((6, 6), (6, 1), (1, 6))] == [200, 100, 0]
    white = decoded(tmp_path / "a" / f"1.{ending}", paper=255)
    assert [int(white[row, column, 0]) for row, column in ((6, 6), (6, 1), (1, 6))] == [200, 227, 255]


def test_wrong_folders_and_files_are_explained(tmp_path):
    for path in ("", str(tmp_path / "nowhere")):
        with pytest.raises(DataError, match="there is no such folder"):
            videos(path).parts()
    with pytest.raises(DataError, match=r"holds no videos: expected files ending in \.mp4, .*folders of images"):
        videos(tmp_path).parts()
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"a\.mp4: no frame could be read"):
        videos(tmp_path).parts()
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1\.png is no image"):
        videos(tmp_path).parts()
    (tmp_path / "b" / "1.png").unlink()
    write_frames(tmp_path / "c", 2, 1)
    with pytest.raises(DataError, match="1 videos cannot be divided into 3 parts"):
        videos(tmp_path).parts()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,who\na.avi,ann\n", "4 of 5 files have no row, such as b.mp4"),
        ("name,who\na.avi,ann\n", "columns name, who; expected 'file'"),
        ("file\na.avi\n", "columns file; expected"),
        ("file,who\n" + "".join(f"{name},x\n" for name in [*LENGTHS, "e"]), "e has several rows"),
        ("", "cannot be read"),
    ],
)
def test_wrong_labels_are_explained(tmp_path, folder, table, message):
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        videos(folder, labels=str(tmp_path / "labels.csv")).parts()


def test_absent_labels_and_columns_are_explained(tmp_path, folder):
    with pytest.raises(DataError, match=r"none\.csv cannot be read .*expected a table of labels"):
        videos(folder, labels=str(tmp_path / "none.csv")).parts()
    with pytest.raises(SettingsError, match="dynamic: no label column action; there are: who, move, speed"):
        videos(folder, labels="labels.csv", dynamic=("action",)).parts()
    with pytest.raises(SettingsError, match="dynamic: no label column move; there are: none"):
        videos(folder, dynamic=("move",)).parts()


@pytest.mark.parametrize("wrong", [{"size": 4}, {"length": -1}, {"stride": 0}, {"fit": "zoom"}, {"test": 1.0}])
def test_nonsense_is_refused_by_name(folder, wrong):
    with pytest.raises(SettingsError, match=f"VideoFolder.{next(iter(wrong))} = "):
        videos(folder, **wrong).parts()


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (0.9, 0.9)])
def test_parts_that_leave_nothing_for_train_are_refused(folder, valid, test):
    with pytest.raises(
        SettingsError, match=rf"valid = {valid} and VideoFolder.test = {test}: nothing is left for train"
    ):
        videos(folder, valid=valid, test=test).parts()


def test_a_frame_that_cannot_be_decoded_is_named(folder, monkeypatch):
    class Torn:
        def __init__(self, path):
            self.capture, self.frame = cv2.VideoCapture(path), -1

        def grab(self):
            self.frame += 1
            return self.capture.grab()

        def retrieve(self):
            return (False, None) if self.frame == 6 else self.capture.retrieve()

        def get(self, what):
            return self.capture.get(what)

        def release(self):
            self.capture.release()

    fake = SimpleNamespace(VideoCapture=Torn, CAP_PROP_FRAME_COUNT=cv2.CAP_PROP_FRAME_COUNT)
    monkeypatch.setattr(_video_files, "opencv", lambda: fake)
    with pytest.raises(DataError, match=r"a\.avi: frame 6 \(counted from 0\) cannot be decoded"):
        _video_files.read_video(folder / "a.avi", 16, 3, "crop")
    assert len(_video_files.read_video(folder / "a.avi", 16, 4, "crop")) == 3  # frame 6 is not wanted


@pytest.mark.parametrize("end", [7, 11])
def test_a_video_that_is_cut_short_is_refused(folder, monkeypatch, end):
    class Short:
        """As OpenCV reads a file whose list of frames stands at its start."""

        def __init__(self, path):
            self.capture, self.left = cv2.VideoCapture(path), end

        def grab(self):
            self.left -= 1
            return self.left >= 0 and self.capture.grab()

        def __getattr__(self, name):
            return getattr(self.capture, name)

    fake = SimpleNamespace(VideoCapture=Short, CAP_PROP_FRAME_COUNT=cv2.CAP_PROP_FRAME_COUNT)
    monkeypatch.setattr(_video_files, "opencv", lambda: fake)
    for stride in (1, 5):  # whichever frames are wanted
        if end == 7:
            with pytest.raises(DataError, match=r"a\.avi: 7 frames could be read, and the file states 12: it is cut"):
                _video_files.read_video(folder / "a.avi", 16, stride, "crop")
        else:  # decoders leave out a frame of a whole file
            assert len(_video_files.read_video(folder / "a.avi", 16, stride, "crop")) == -(-end // stride)


def test_a_moved_folder_is_the_same_run():
    here, there = VideoFolder(path="a"), VideoFolder(path="b", labels="c.csv")
    assert signature(here) == signature(there) != signature(VideoFolder(path="a", stride=2))
    assert from_dict(VideoFolder, to_dict(here)) == here
