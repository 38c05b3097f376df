import io
import itertools
import tarfile
import zipfile

import numpy as np
import pytest

from seqdis.datasets import _face_stills as stills_of
from seqdis.datasets._download import check
from seqdis.datasets._face_stills import COURSES, EXPRESSIONS, EYES, POSES
from seqdis.datasets.faces import FaceSequences
from seqdis.errors import DataError, SettingsError
from seqdis.sequences import Sequences

PEOPLE = ("ann", "bob", "cy", "dee")
GAP = "bob_left_happy_sunglasses.pgm"
COMBINATIONS = tuple(itertools.product(PEOPLE, POSES, EXPRESSIONS, EYES))


def shade(person: int, pose: int, expression: int, glasses: int) -> int:
    """A value of its own for every still, 1 to 128."""
    return 1 + ((person * 4 + pose) * 4 + expression) * 2 + glasses


def content(value: int, form: str = "P2") -> bytes:
    header = f"{form}\n# drawn for a test\n128 120\n151\n".encode()
    pixels = np.full(128 * 120, value, dtype=np.uint8)
    pixels[-1] = 150  # a corner, cut off
    return header + (pixels.tobytes() if form == "P5" else " ".join(map(str, pixels)).encode())


def files() -> dict[str, bytes]:
    found = {}
    for person, pose, expression, eyes in COMBINATIONS:
        value = shade(PEOPLE.index(person), POSES.index(pose), EXPRESSIONS.index(expression), EYES.index(eyes))
        found[f"{person}/{person}_{pose}_{expression}_{eyes}.pgm"] = content(value, "P5" if value % 2 else "P2")
    found.pop(f"bob/{GAP}")
    found["ann/ann_left_happy_open_2.pgm"] = b"half the resolution: not used"
    return found


def write(folder, members=None):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "faces_128x120.zip", "w") as archive:
        for name, value in (members or files()).items():
            archive.writestr(name, value)
    return folder.parent


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "cmu_faces")


def small(root, **settings) -> FaceSequences:
    return FaceSequences(**{"root": str(root), "size": 8, **settings})


@pytest.fixture(scope="module")
def data(root):
    return small(root)


@pytest.fixture(scope="module")
def parts(data):
    return data.parts()


# ---- courses


def test_timings_counted_by_hand():
    assert stills_of.timings(1, 3) == [(0, 0, 0)]
    assert stills_of.timings(2, 3) == [(0, 1, 1), (0, 0, 1)]
    assert stills_of.timings(3, 3) == [(0, 1, 2)]
    assert stills_of.timings(4, 3) == []
    assert len(stills_of.timings(4, 8)) == 35  # 7 over 3


def test_courses_begin_straight_and_neutral_and_never_coincide():
    ways = [stills_of.course_steps(course, 8) for course in range(len(COURSES))]
    assert len(COURSES) == 15
    sizes = {("still", "sad"): 7, ("nod", "neutral"): 35, ("left-right", "happy"): 245}
    assert {course: len(ways[COURSES.index(course)]) for course in sizes} == sizes
    together = np.concatenate(ways)
    assert (together[:, :, 0] == 0).all()
    assert len(np.unique(together, axis=0)) == len(together)
    assert (np.diff(together, axis=2) != 0).any(axis=(1, 2)).all()  # something happens in each


def test_a_course_goes_through_its_poses_in_order():
    for pose, expression in stills_of.course_steps(COURSES.index(("right-left", "angry")), 8):
        assert pose[np.flatnonzero(np.diff(pose, prepend=-1))].tolist() == [0, 2, 0, 1]
        assert expression[np.flatnonzero(np.diff(expression, prepend=-1))].tolist() == [0, 3]


# ---- sequences


def test_every_frame_is_the_still_that_its_labels_say(parts):
    for part in parts.values():
        person, glasses = part.labels["person"][:, None], part.labels["glasses"][:, None]
        expected = shade(person, part.labels["pose"], part.labels["expression"], glasses)
        np.testing.assert_array_equal(part.x[..., 0, 0, 0], expected)
        assert (part.x == part.x[..., :1, :1]).all()  # the corner is cut off
        assert part.x.shape[1:] == (8, 1, 8, 8)
    assert parts["train"].spec.scale == (160.0,)


def test_courses_are_what_the_steps_show(parts):
    train = parts["train"]
    for course, pose, expression in zip(
        train.labels["course"], train.labels["pose"], train.labels["expression"], strict=True
    ):
        ways = stills_of.course_steps(course, 8)
        assert (ways == np.stack([pose, expression])).all(axis=(1, 2)).any()
    assert train.spec.factor("course").classes[0] == "still, happy"


def test_a_person_with_gaps_is_left_out_with_those_glasses_only(parts):
    looks = {
        pair for part in parts.values() for pair in zip(part.labels["person"], part.labels["glasses"], strict=True)
    }
    assert looks == set(itertools.product(range(4), range(2))) - {(1, 1)}
    assert sum(map(len, parts.values())) == 7 * 15 * 4


def test_without_complete_only_sequences_that_need_the_missing_still_are_left_out(root):
    n = sum(map(len, small(root, complete=False, variants=300).parts().values()))
    ways = [stills_of.course_steps(course, 8) for course in range(15)]
    left_happy = sum(((way[:, 0] == 1) & (way[:, 1] == 1)).any(axis=1).sum() for way in ways)
    assert left_happy > 0
    assert n == 8 * sum(map(len, ways)) - left_happy


def test_stills_of_which_no_course_is_whole_are_refused(tmp_path):
    few = {name: value for name, value in files().items() if "straight_angry" in name}
    data = small(write(tmp_path / "cmu_faces", few), complete=False)
    with pytest.raises(DataError, match="no course of 8 steps has all its stills"):
        data.parts()


def test_no_person_and_course_are_in_two_parts_and_no_sequence_either(parts):
    pairs = {name: set(zip(part.labels["person"], part.labels["course"], strict=True)) for name, part in parts.items()}
    assert {name: len(some) for name, some in pairs.items()} == {"train": 43, "valid": 5, "test": 12}
    assert len(set().union(*pairs.values())) == 60
    videos = [frames.tobytes() for part in parts.values() for frames in part.x]
    assert len(set(videos)) == len(videos)
    assert {pair[0] for pair in pairs["train"]} == set(range(4))
    assert {pair[1] for pair in pairs["train"]} == set(range(15))


def test_settings_change_what_they_say(root):
    assert sum(map(len, small(root, variants=1).parts().values())) == 7 * 15
    assert list(small(root, valid=0).parts()) == ["train", "test"]
    assert small(root, length=4).split("train")[0].x.shape[1] == 4
    first, again, other = (small(root, seed=seed).fingerprint() for seed in (0, 0, 1))
    assert first == again != other


# ---- hybrids


def test_the_hybrid_has_the_person_of_one_and_the_course_of_the_other(data, parts):
    test = parts["test"]
    rows = np.random.default_rng(0).permutation(len(test))
    a, b = test, test[rows]
    mixed = data.hybrid(a, b)
    expected = shade(
        a.labels["person"][:, None], b.labels["pose"], b.labels["expression"], a.labels["glasses"][:, None]
    )
    np.testing.assert_array_equal(mixed[..., 0, 3, 3], expected)
    np.testing.assert_array_equal(data.hybrid(a, a), a.x)


def test_a_hybrid_that_needs_a_missing_still_is_refused_by_its_name(root):
    data = small(root, complete=False, variants=20)
    train = data.split("train")[0]
    whose = np.flatnonzero((train.labels["person"] == 1) & (train.labels["glasses"] == 1))[:1]
    needs = (train.labels["pose"] == 1) & (train.labels["expression"] == 1)
    with pytest.raises(DataError, match=r"hybrid 0 needs the still bob_left_happy_sunglasses, which does not exist"):
        data.hybrid(train[whose], train[np.flatnonzero(needs.any(axis=1))[:1]])
    np.testing.assert_array_equal(data.hybrid(train[whose], train[whose]), train.x[whose])


def test_hybrid_refuses_what_cannot_be_paired(root, data, parts):
    test = parts["test"]
    with pytest.raises(DataError, match="hybrid of 3 and 4 sequences"):
        data.hybrid(test[:3], test[:4])
    with pytest.raises(DataError, match=r"need sequences of face-sequences of shape \(1, 9, 9\)"):
        small(root, size=9).hybrid(test[:3], test[:3])
    with pytest.raises(DataError, match=r"mine: .* labels none"):
        data.hybrid(test[:3], Sequences(x=test.x[:3], spec=test.spec, name="mine"))


def test_people_of_another_choice_are_not_mistaken_for_each_other(tmp_path):
    members = {name: value for name, value in files().items() if name != "ann/ann_up_sad_open.pgm"}
    members.pop("ann/ann_up_sad_sunglasses.pgm")  # now complete=True knows three people
    root = write(tmp_path / "cmu_faces", members)
    train = small(root, complete=False).split("train")[0]
    with pytest.raises(DataError, match="with its classes of person"):
        small(root).hybrid(train, train)


# ---- files


def test_tar_archives_and_folders_serve_as_well(tmp_path, data):
    for form in ("tar", "folder"):
        home = tmp_path / form / "cmu_faces"
        home.mkdir(parents=True)
        if form == "tar":
            with tarfile.open(home / "faces.tar.gz", "w:gz") as archive:
                for name, value in files().items():
                    member = tarfile.TarInfo(f"faces/{name}")
                    member.size = len(value)
                    archive.addfile(member, io.BytesIO(value))
        else:
            for name, value in files().items():
                (home / "faces" / name).parent.mkdir(parents=True, exist_ok=True)
                (home / "faces" / name).write_bytes(value)
            with zipfile.ZipFile(home / "cmu+face+images.zip", "w") as archive:
                archive.writestr("readme", b"stills are elsewhere")
        assert small(tmp_path / form).fingerprint() == data.fingerprint()


def test_wrong_files_are_explained(tmp_path):
    home = tmp_path / "cmu_faces"
    with pytest.raises(DataError, match=r"found no stills such as an2i.*data fetch face-sequences"):
        small(tmp_path).parts()
    name = "ann/ann_left_happy_open.pgm"
    for value, words in {
        b"P2 64 60 255 " + b"1 " * 3840: r"no grey PGM image of 128 x 120 pixels \(size \(64, 60\)\)",
        content(3)[:-900]: "cannot reshape",
        content(3).replace(b" 3 ", b" 999 ", 1): "no grey PGM image",
        b"JFIF": r"\(size None\)",
    }.items():
        write(home, {**files(), name: value})
        with pytest.raises(DataError, match=words):
            small(tmp_path).parts()
    with pytest.raises(DataError, match=r"ann_left_happy_open\.pgm is there twice"):
        small(write(home, {**files(), "copy/ann_left_happy_open.pgm": content(3)})).parts()
    with pytest.raises(DataError, match="all 16 stills of 0 people are there"):
        small(write(home, {name: content(3)})).parts()


@pytest.mark.parametrize("wrong", [{"variants": 0}, {"size": 121}, {"length": 3}, {"test": 0.0}, {"valid": 0.9}])
def test_nonsense_is_refused_by_name(root, wrong):
    with pytest.raises(SettingsError, match=f"FaceSequences.{next(iter(wrong))} = "):
        small(root, **wrong).parts()


@pytest.mark.data
def test_the_published_stills(data_root):
    if not (data_root / "cmu_faces").is_dir():
        pytest.skip("no cmu_faces folder")
    data = FaceSequences(root=str(data_root))
    assert [entry.state for entry in check(data)] == ["verified"]
    stills = data._stills()
    assert len(stills) == 624
    assert max(int(still.max()) for still in stills.values()) < stills_of.WHITE
    parts = data.parts()
    assert len(parts["train"].spec.factor("person").classes) == 19
    looks = {
        pair for part in parts.values() for pair in zip(part.labels["person"], part.labels["glasses"], strict=True)
    }
    assert len(looks) == 29
    assert sum(map(len, parts.values())) == 29 * 15 * 4
    videos = [frames.tobytes() for part in parts.values() for frames in part.x]
    assert len(set(videos)) == len(videos)
    more = data.replace(complete=False).parts()
    assert sum(map(len, more.values())) == 2282  # of 40 x 15 x 4; the others need one of the 16 missing stills
    for part in more.values():
        eyes = np.array(EYES)[part.labels["glasses"]]
        people = np.array(part.spec.factor("person").classes)[part.labels["person"]]
        for row in zip(people, part.labels["pose"], part.labels["expression"], eyes, strict=True):
            for pose, expression in zip(row[1], row[2], strict=True):
                assert (row[0], POSES[pose], EXPRESSIONS[expression], row[3]) in stills
