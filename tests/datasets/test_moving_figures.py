from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from seqdis.datasets.moving_figures import COLOURS, FACTORS, MOTIONS, MovingFigures
from seqdis.errors import DataError, SettingsError
from seqdis.sequences import Sequences

STATIC = ("shape", "colour", "size")
POSITION = ("position_x", "position_y")


@pytest.fixture(scope="module")
def data() -> MovingFigures:
    return MovingFigures(n_train=600, n_valid=50, n_test=300)


@pytest.fixture(scope="module")
def train(data: MovingFigures) -> Sequences:
    return data.split("train")[0]


@pytest.fixture(scope="module")
def test(data: MovingFigures) -> Sequences:
    return data.split("test")[0]


def small(**changes: object) -> MovingFigures:
    return MovingFigures(**{"n_train": 40, "n_valid": 10, "n_test": 10, **changes})


def centroids(frames: np.ndarray) -> np.ndarray:
    """Centre of brightness, (2, n, time): x then y, in pixels."""
    light = frames.sum(axis=2, dtype=float)
    grid = np.arange(frames.shape[-1]) + 0.5
    return np.stack([(light.sum(axis=2) * grid).sum(-1), (light.sum(axis=3) * grid).sum(-1)]) / light.sum((-1, -2))


def test_arrays_are_bytes_of_the_declared_shape(train: Sequences) -> None:
    assert train.x.dtype == np.uint8
    assert train.x.shape == (600, 8, 3, 32, 32)
    assert train.spec.kind == "image"
    assert (train.spec.center, train.spec.scale, train.spec.missing) == ((0.0,), (255.0,), False)
    assert train.mask is None
    assert {name: values.shape for name, values in train.labels.items()} == {
        **dict.fromkeys((*STATIC, "motion"), (600,)),
        **dict.fromkeys(POSITION, (600, 8)),
    }


def test_every_class_of_every_factor_occurs(train: Sequences) -> None:
    for factor in FACTORS:
        if factor.classes:
            assert set(train.labels[factor.name]) == set(range(len(factor.classes)))


@pytest.mark.parametrize("size", [16, 32, 64])
def test_figure_is_wholly_inside_every_frame(size: int) -> None:
    frames = small(size=size, length=20, n_train=300).split("train")[0].x
    border = np.concatenate([frames[..., [0, -1], :].ravel(), frames[..., :, [0, -1]].ravel()])
    assert border.max() < 60  # a figure that reached the edge would cover at least half of a pixel there
    assert (frames.max(axis=(2, 3, 4)) > 100).all()


def test_labels_hold_the_position_of_the_figure(train: Sequences) -> None:
    symmetric = train[train.labels["shape"] != 3]  # the centre of a triangle's box is not its centre of mass
    truth = np.stack([symmetric.labels["position_x"], symmetric.labels["position_y"]])
    assert np.abs(centroids(symmetric.x) - truth).max() < 0.15


def test_hybrid_with_itself_is_the_sequence(data: MovingFigures, test: Sequences) -> None:
    np.testing.assert_array_equal(data.hybrid(test, test), test.x)
    np.testing.assert_array_equal(data.hybrid(test[5:8], test[5:8]), test.x[5:8])


def test_hybrid_has_colour_and_size_of_one_and_trajectory_of_the_other(data: MovingFigures, test: Sequences) -> None:
    rows = np.flatnonzero(test.labels["shape"] != 3)
    a, b = test[rows[:100]], test[rows[100:200]]
    hybrid = data.hybrid(a, b)
    assert np.abs(centroids(hybrid) - np.stack([b.labels["position_x"], b.labels["position_y"]])).max() < 0.15
    brightest = hybrid.reshape(100, 8, 3, -1).max(axis=-1)
    np.testing.assert_array_equal(
        brightest, np.broadcast_to(np.array(list(COLOURS.values()))[a.labels["colour"], None], (100, 8, 3))
    )
    own = a.x.sum(axis=(1, 2, 3, 4), dtype=float)
    np.testing.assert_allclose(hybrid.sum(axis=(1, 2, 3, 4), dtype=float), own, rtol=0.04)


def test_copying_either_donor_is_a_poor_hybrid(data: MovingFigures, train: Sequences) -> None:
    a, b = train[:300], train[300:]
    truth = data.hybrid(a, b) / 255
    for donor in (a, b):
        assert 0.025 < np.mean((donor.x / 255 - truth) ** 2) < 0.042


def test_motion_is_read_from_a_trajectory_but_not_from_the_first_frame() -> None:
    train, test = MovingFigures(n_train=1500, n_valid=1, n_test=900, seed=5, size=16).split("train", "test")

    def accuracy(first: slice) -> float:
        views = [
            np.concatenate([s.labels["position_x"][:, first], s.labels["position_y"][:, first]], axis=1)
            for s in (train, test)
        ]
        forest = RandomForestClassifier(50, min_samples_leaf=2, random_state=0).fit(views[0], train.labels["motion"])
        return float(forest.score(views[1], test.labels["motion"]))

    assert accuracy(slice(8)) > 0.95
    assert accuracy(slice(1)) < 1 / len(MOTIONS) + 0.04  # four standard errors of chance on 900


def test_start_does_not_depend_on_the_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    before = small().split("train")[0]
    monkeypatch.setattr("seqdis.datasets.moving_figures.MOTIONS", MOTIONS[::-1])
    after = small().split("train")[0]
    for axis in POSITION:
        np.testing.assert_allclose(before.labels[axis][:, 0], after.labels[axis][:, 0], atol=1e-5)
        assert not np.allclose(before.labels[axis][:, 1], after.labels[axis][:, 1], atol=0.1)


def test_motions_move_as_named(train: Sequences) -> None:
    dx, dy = np.diff(train.labels["position_x"], axis=1), np.diff(train.labels["position_y"], axis=1)
    turn = dx[:, :-1] * dy[:, 1:] - dy[:, :-1] * dx[:, 1:]  # above 0: to the right, as y points down
    of = {motion.name: train.labels["motion"] == code for code, motion in enumerate(MOTIONS)}
    assert (turn[of["clockwise"]] > 0.1).all()
    assert (turn[of["anticlockwise"]] < -0.1).all()
    for name in ("left-right", "left-right fast"):
        assert np.abs(dy[of[name]]).max() < 1e-5
    assert np.abs(dx[of["up-down"]]).max() < 1e-5
    np.testing.assert_allclose(dx[of["falling diagonal"]], dy[of["falling diagonal"]], atol=1e-4)
    np.testing.assert_allclose(dx[of["rising diagonal"]], -dy[of["rising diagonal"]], atol=1e-4)
    assert np.abs(dx[of["left-right fast"]]).mean() > 1.5 * np.abs(dx[of["left-right"]]).mean()


def test_noise_changes_pixels_only() -> None:
    clean, noisy = small().split("train")[0], small(noise=0.1).split("train")[0]
    for name in clean.labels:
        np.testing.assert_array_equal(clean.labels[name], noisy.labels[name])
    middle = (clean.x > 100) & (clean.x < 155)  # where clipping does not matter
    error = (noisy.x.astype(float) - clean.x)[middle] / 255
    assert error.std() == pytest.approx(0.1, rel=0.1)
    assert abs(error.mean()) < 0.01
    assert noisy.fingerprint() != clean.fingerprint()


@pytest.mark.parametrize("rate", [0.3, 0.9])
def test_missing_frames_are_black_marked_and_as_many_as_asked(rate: float) -> None:
    clean, gaps = (small(missing_rate=r, n_train=500, size=16).split("train")[0] for r in (0.0, rate))
    assert gaps.mask is not None
    assert gaps.mask.shape == (500, 8)
    assert gaps.spec.missing
    assert gaps.mask.any(axis=1).all()
    rescued = rate**8 / 8  # one frame of the sequences that would have lost all
    assert (~gaps.mask).mean() == pytest.approx(rate - rescued, abs=0.025)
    assert not gaps.x[~gaps.mask].any()
    np.testing.assert_array_equal(gaps.x[gaps.mask], clean.x[gaps.mask])


@pytest.mark.parametrize("unseen", [0.1, 0.5])
def test_unseen_combinations_are_in_test_only(unseen: float) -> None:
    data = MovingFigures(n_train=3000, n_valid=300, n_test=600, size=16, length=2, unseen=unseen)
    pairs = {}
    for name, part in data.parts().items():
        pairs[name] = set(zip(*(part.labels[factor] for factor in (*STATIC, "motion")), strict=True))
    assert not pairs["test"] & (pairs["train"] | pairs["valid"])
    share = len(pairs["test"]) / (6 * 6 * 3 * len(MOTIONS))
    assert 0.6 * unseen < share <= unseen + 0.001  # never more than held out; 600 draws miss some of them
    assert {pair[:3] for pair in pairs["test"]} <= {pair[:3] for pair in pairs["train"]}
    assert {pair[3] for pair in pairs["train"]} == set(range(len(MOTIONS)))


def test_same_seed_same_data_and_parts_differ() -> None:
    first, again, other = (small(noise=0.05, spread=0.6, seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    starts = [part.labels["position_x"][:, 0] for part in first.parts().values()]
    assert len(np.unique(np.concatenate(starts))) == sum(map(len, starts))


def test_one_frame_one_sequence() -> None:
    part = small(length=1, n_train=1, missing_rate=0.9).split("train")[0]
    assert part.x.shape == (1, 1, 3, 32, 32)
    assert part.x.any()


@pytest.mark.parametrize(
    "wrong", [{"n_train": 0}, {"size": 8}, {"length": 0}, {"noise": -0.1}, {"missing_rate": 1.0}, {"unseen": 0.9}]
)
def test_nonsense_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"MovingFigures.{next(iter(wrong))} = "):
        small(**wrong).parts()


def test_hybrid_refuses_what_cannot_be_paired(data: MovingFigures, test: Sequences) -> None:
    with pytest.raises(DataError, match="hybrid of 3 and 4 sequences"):
        data.hybrid(test[:3], test[:4])
    unlabelled = Sequences(x=test.x[:3], spec=test.spec, name="mine")
    with pytest.raises(DataError, match=r"mine: elements of shape \(3, 32, 32\) with labels none; hybrids need"):
        data.hybrid(test[:3], unlabelled)
    with pytest.raises(DataError, match=r"need sequences of moving-figures of shape \(3, 64, 64\)"):
        small(size=64).hybrid(test[:3], test[:3])


def test_without_spread_every_motion_is_one_course_from_the_middle() -> None:
    labels = small(n_train=200).split("train")[0].labels
    course = np.stack([labels["position_x"], labels["position_y"]], axis=-1)
    assert (course[:, 0] == 16).all()  # the first frame shows nothing of the course
    for motion in range(9):
        assert len(np.unique(course[labels["motion"] == motion], axis=0)) == 1


def test_spread_lets_the_same_motion_begin_and_go_on_differently() -> None:
    labels = small(n_train=200, spread=0.4).split("train")[0].labels
    course = np.stack([labels["position_x"], labels["position_y"]], axis=-1)[labels["motion"] == 5]
    assert len(np.unique(course[:, 0], axis=0)) == len(course)
    assert len(np.unique((course - course[:, :1]).round(3), axis=0)) == len(course)
