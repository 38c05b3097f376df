from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from seqdis.errors import DataError
from seqdis.inputs import as_sequences, from_frame, scaled, standardised

DRAW = np.random.default_rng(0)
SERIES = DRAW.normal(size=(4, 5, 3))
VIDEO = DRAW.integers(0, 256, size=(4, 5, 3, 8, 9), dtype=np.uint8)


def frame(**more) -> pd.DataFrame:
    """Two sequences, of three and two rows, out of order."""
    columns = {
        "id": ["b", "a", "b", "a", "b"],
        "time": [1, 0, 0, 1, 2],
        "u": [11.0, 20, 10, 21, 12],
        "v": [1, 2, 3, 4, 5],
    }
    return pd.DataFrame(columns | more)


# What is understood


def test_series_become_float32() -> None:
    for given in (SERIES, SERIES.tolist(), torch.from_numpy(SERIES), list(SERIES)):
        made = as_sequences(given)
        assert (made.spec.kind, made.spec.shape, made.spec.length, made.spec.missing) == ("series", (3,), 5, False)
        assert made.x.dtype == np.float32
        assert made.mask is None
        assert made.lengths is None
        assert np.array_equal(made.x, SERIES.astype(np.float32))
        assert made.ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", [np.int16, np.float16, np.uint8, bool])
def test_numbers_of_any_type_are_series(dtype) -> None:
    assert as_sequences(np.ones((2, 3, 1), dtype=dtype)).x.tolist() == np.ones((2, 3, 1)).tolist()


def test_bfloat16_tensors_with_gradients_are_read() -> None:
    tensor = torch.ones(2, 3, 1, dtype=torch.bfloat16, requires_grad=True)
    assert as_sequences(tensor).x.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int32])
def test_integer_video_stays_bytes(dtype) -> None:
    made = as_sequences(VIDEO.astype(dtype))
    assert (made.spec.kind, made.spec.shape, made.spec.scale) == ("image", (3, 8, 9), (255.0,))
    assert made.x.dtype == np.uint8
    assert np.array_equal(made.x, VIDEO)


def test_float_video_and_channels_last() -> None:
    made = as_sequences(np.moveaxis(VIDEO / 255.0, 2, -1))
    assert (made.spec.shape, made.spec.scale, made.x.dtype) == ((3, 8, 9), (1.0,), np.float32)
    assert np.allclose(made.x, VIDEO / 255.0)
    assert as_sequences(VIDEO[:, :, :1] > 100).x.max() == 1.0


def test_spectrograms_are_asked_for() -> None:
    made = as_sequences(SERIES, kind="spectrogram")
    assert (made.spec.kind, made.spec.shape) == ("spectrogram", (3,))


def test_sequences_pass_and_keep_what_they_carry() -> None:
    made = as_sequences(SERIES)
    assert as_sequences(made) is made
    with pytest.raises(DataError, match="carry their own"):
        as_sequences(made, lengths=[1, 2, 3, 4])


def test_ragged_lists_are_padded_and_keep_their_type_and_values() -> None:
    parts = [np.array([[1], [2]]), np.array([[0.5], [0.25], [0.75]]), [[7]]]
    made = as_sequences(parts)
    assert made.lengths.tolist() == [2, 3, 1]
    assert made.x[..., 0].tolist() == [[1, 2, 0], [0.5, 0.25, 0.75], [7, 0, 0]]
    videos = as_sequences([VIDEO[0, :2], VIDEO[1]])
    assert (videos.x.dtype, videos.lengths.tolist(), videos.spec.kind) == (np.uint8, [2, 5], "image")


def test_nan_and_masks_mean_the_same() -> None:
    holes = SERIES.copy()
    holes[1, 2, 0] = np.nan
    by_nan = as_sequences(holes)
    seen = np.ones(SERIES.shape, bool)
    seen[1, 2, 0] = False
    for filler in (0.0, 1e30, np.inf, np.nan):
        by_mask = as_sequences(np.where(seen, SERIES, filler), mask=seen)
        assert by_mask.fingerprint() == by_nan.fingerprint()
    assert by_nan.spec.missing
    assert by_nan.x[1, 2, 0] == 0
    assert np.array_equal(by_nan.mask, seen)


def test_masks_of_whole_steps_integers_and_ragged_lists() -> None:
    steps = np.ones((4, 5), int)
    steps[2, 1] = 0
    made = as_sequences(SERIES, mask=steps)
    assert not made.mask[2, 1].any()
    assert made.mask.sum() == made.mask.size - 3
    ragged = as_sequences([SERIES[0, :2], SERIES[1, :3]], mask=[[True, True], [True, False, True]])
    assert ragged.mask[..., 0].tolist() == [[True, True, False], [True, False, True]]
    video = as_sequences(VIDEO, mask=torch.from_numpy(steps))
    assert video.mask.tolist() == (steps == 1).tolist()
    assert video.x[2, 1].max() == 0


def test_masks_of_video_have_its_own_shape_with_channels_last_too() -> None:
    last = np.moveaxis(VIDEO, 2, -1)
    seen = np.ones(last.shape, bool)
    seen[0, 3] = False
    assert as_sequences(last, mask=seen).mask.tolist()[0] == [True, True, True, False, True]


def test_what_is_hidden_is_never_judged() -> None:
    loud = SERIES.copy()
    loud[0, 3:] = np.inf
    assert as_sequences(loud, lengths=[3, 5, 5, 5]).x[0, 3:].max() == 0
    video = (VIDEO / 255.0).astype(np.float32)
    video[0, 3:] = 1e9
    assert as_sequences(video, lengths=[3, 5, 5, 5]).x.max() <= 1
    numbers = VIDEO.astype(np.int64)
    numbers[1, 2] = -7
    mask = np.ones((4, 5), bool)
    mask[1, 2] = False
    assert as_sequences(numbers, mask=mask).x.dtype == np.uint8
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        video[1] = np.nan
        with pytest.raises(DataError, match="first row 1"):
            as_sequences(video, lengths=[3, 5, 5, 5])


def test_input_is_never_modified() -> None:
    holes = SERIES.astype(np.float32)
    holes[0, 1] = np.nan
    before = holes.tobytes()
    holes.setflags(write=False)
    as_sequences(holes, lengths=np.array([3, 5, 5, 5]))
    assert holes.tobytes() == before


def test_labels_become_factors() -> None:
    labels = {
        "who": ["eve", "bob", "eve", "ann"],
        "step": np.arange(20).reshape(4, 5) % 3,
        "age": np.array([1.5, 2, 3, np.nan]),
    }
    made = as_sequences(SERIES, labels=labels)
    assert [(f.name, f.kind, f.classes) for f in made.spec.factors] == [
        ("who", "static", ("ann", "bob", "eve")),
        ("step", "dynamic", ("0", "1", "2")),
        ("age", "static", ()),
    ]
    assert made.labels["who"].tolist() == [2, 1, 2, 0]
    assert made.labels["age"].dtype == np.float64


# Long tables


def test_long_tables_are_sorted_into_ragged_sequences() -> None:
    made = from_frame(frame())
    assert made.ids.tolist() == ["a", "b"]
    assert made.lengths.tolist() == [2, 3]
    assert made.spec.feature_names == ("u", "v")
    assert made.x.tolist() == [[[20, 2], [21, 4], [0, 0]], [[10, 3], [11, 1], [12, 5]]]
    assert made.times.tolist() == [[0, 1, 0], [0, 1, 2]]
    assert as_sequences(frame()).fingerprint() == made.fingerprint()


def test_labels_of_long_tables_are_static_where_constant() -> None:
    table = frame(ward=["x", "y", "x", "y", "x"], state=["on", "on", "off", "off", "off"], dose=[0.5, 1, 2, 3, 4])
    made = from_frame(table, labels=["ward", "state", "dose"])
    assert [(f.name, f.kind, f.classes) for f in made.spec.factors] == [
        ("ward", "static", ("x", "y")),
        ("state", "dynamic", ("off", "on")),
        ("dose", "dynamic", ()),
    ]
    assert made.labels["ward"].tolist() == [1, 0]
    assert made.labels["state"].tolist() == [[1, 0, -1], [0, 1, 0]]
    assert np.array_equal(made.labels["dose"], [[1, 3, np.nan], [2, 0.5, 4]], equal_nan=True)


def test_dates_become_hours() -> None:
    stamps = pd.to_datetime("2024-01-01") + pd.to_timedelta([25, 0, 24, 1, 49], unit="h")
    assert np.diff(from_frame(frame(time=stamps)).times[1]).tolist() == [1.0, 24.0]


def test_long_tables_may_have_levels_durations_truth_values_and_gaps_of_pandas() -> None:
    plain = from_frame(frame())
    for other in (
        frame().set_index(["id", "time"]),
        frame().set_index("id"),
        frame(time=pd.to_timedelta(frame()["time"], unit="h")),
        frame(v=frame()["v"].astype("Int64")),
    ):
        assert from_frame(other).fingerprint() == plain.fingerprint()
    yes = from_frame(frame(v=[True, False, True, True, False]))
    assert sorted(yes.x[..., 1].ravel()) == [0, 0, 0, 1, 1, 1]
    gaps = from_frame(frame(v=frame()["v"].astype("Int64").mask([True, False, False, False, False])))
    assert (~gaps.observed()).sum() == 3  # the value, and a padded step of both features


def test_rows_that_lack_are_said(caplog) -> None:
    from_frame(frame())
    from_frame(frame(time=[3.5, 0, 0, 4, 4]))  # uneven by nature
    assert not caplog.records
    longer = pd.concat([frame(id="c", time=[0, 1, 2, 3, 5]), frame()])
    from_frame(longer)
    (record,) = caplog.records
    assert record.getMessage().startswith("frame: rows lie 1 apart in 'time', but 1 of 7 lie further")
    from_frame(frame(id=list("abcde")))  # one row each: nothing between
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (lambda: frame().drop(columns="time"), "no column 'time'; has: id, u, v. A long table needs"),
        (lambda: frame(time=[1, 0, 0, 1, 1]), r"the same \(id, time\) stands in several rows"),
        (lambda: frame(v=list("vwxyz")), "columns v are not numeric"),
        (lambda: frame()[["id", "time"]], "no feature column is left"),
        (lambda: frame().iloc[:0], "no rows"),
        (lambda: frame(id=["b", None, "b", "a", "b"]), "id or time is missing"),
        (lambda: frame(time=["a", "b", "b", "a", "c"]), "'time' holds neither numbers nor dates"),
        (lambda: frame(v=[1, np.inf, 3, 4, 5]), "infinite values"),
        (lambda: frame(time=[0, 1, np.inf, 3, 4]), "'time' holds infinite times"),
        (lambda: frame(time=["31/01/2024"] * 5), "dates like 2024-01-31 12:00, such as '31/01/2024'"),
        (lambda: frame(id=["b", 1, "b", 1, "b"]), "'id' holds words and numbers"),
        (lambda: frame(u=np.nan, v=[1, np.nan, 1, np.nan, 1]), r"1 sequence\(s\) without .* such as id a"),
    ],
)
def test_long_tables_that_are_refused(table, words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_frame(table())


def test_long_tables_take_no_mask_beside() -> None:
    for extra in ({"mask": np.ones((2, 3))}, {"lengths": [2, 3]}, {"labels": {"w": [0, 1]}}):
        with pytest.raises(DataError, match="a long table holds its own"):
            as_sequences(frame(), **extra)
    with pytest.raises(DataError, match="no column 'wing'"):
        from_frame(frame(), labels=["wing"])


# What is refused


def nan_row() -> np.ndarray:
    x = SERIES.copy()
    x[2] = np.nan
    return x


def half_frame() -> np.ndarray:
    x = VIDEO / 255.0
    x[1, 2, 0] = np.nan
    return x


BAD = {
    "empty list": (lambda: as_sequences([]), "an empty list; at least one sequence"),
    "no sequences": (lambda: as_sequences(np.zeros((0, 5, 3))), r"^array is empty \(shape \(0, 5, 3\)\)"),
    "no steps": (lambda: as_sequences(np.zeros((2, 0, 3))), r"2 sequence\(s\) without a single observed value"),
    "an empty sequence in a list": (lambda: as_sequences([SERIES[0], SERIES[1, :0]]), r"^array\[1\] is empty"),
    "rank 2": (lambda: as_sequences(SERIES[0]), r"got shape \(5, 3\); .*for one sequence x\[None\]"),
    "rank 4": (lambda: as_sequences(VIDEO[:, :, 0]), r"got shape \(4, 5, 8, 9\); .*grey video use x\[:, :, None\]"),
    "rank 6": (lambda: as_sequences(VIDEO[None]), r"got shape \(1, 4, 5, 3, 8, 9\); expected"),
    "a number": (lambda: as_sequences(3.0), r"got shape \(\)"),
    "nothing": (lambda: as_sequences(None), "expected|sequences of different lengths"),
    "words": (lambda: as_sequences(np.full((2, 3, 1), "x")), "values of type <U1; expected real numbers"),
    "complex": (lambda: as_sequences(SERIES + 1j), "values of type complex128"),
    "objects": (lambda: as_sequences(np.array([SERIES[0], SERIES[1, :2]], dtype=object)), "Give a list of arrays"),
    "video as series": (
        lambda: as_sequences(VIDEO, kind="series"), r"got shape .*; series data need \(n, time, features"
    ),
    "series as video": (lambda: as_sequences(SERIES, kind="image"), r"got shape \(4, 5, 3\); image data need"),
    "five channels": (lambda: as_sequences(np.zeros((2, 3, 5, 8, 8))), "expected 1, 3 or 4 channels, third or last"),
    "integers beyond bytes": (
        lambda: as_sequences(VIDEO.astype(int) + 1), "integer video with values 1..256; expected bytes"
    ),
    "negative integers": (lambda: as_sequences(VIDEO.astype(int) - 1), "values -1..254"),
    "floats beyond 1": (
        lambda: as_sequences(VIDEO.astype(float)), r"float video with values 0..255; expected \[0, 1\]"
    ),
    "negative floats": (lambda: as_sequences(VIDEO / 255.0 - 0.5), r"values -0.5..0.5; expected \[0, 1\]"),
    "infinite": (lambda: as_sequences(np.where(SERIES > 1, np.inf, SERIES)), "infinite values. Use NaN"),
    "too large": (lambda: as_sequences(SERIES * 1e300), r"values up to .*e\+300 do not fit 32-bit floats"),
    "all NaN": (lambda: as_sequences(nan_row()), r"1 sequence\(s\) without a single observed value, first row 2"),
    "part of a frame NaN": (lambda: as_sequences(half_frame()), "only whole frames may be"),
    "lengths beyond time": (
        lambda: as_sequences(SERIES, lengths=[1, 2, 3, 6]), r"length 6 given; lengths must lie in 1..5"
    ),
    "zero length": (lambda: as_sequences(SERIES, lengths=[1, 0, 3, 5]), "length 0 given"),
    "negative length": (lambda: as_sequences(SERIES, lengths=[1, -2, 3, 5]), "length -2 given"),
    "float lengths": (lambda: as_sequences(SERIES, lengths=[1.0, 2, 3, 4]), "must be 4 integers.*got float64"),
    "too few lengths": (lambda: as_sequences(SERIES, lengths=[1, 2]), r"must be 4 integers.*got int64 \(2,\)"),
    "lengths of a ragged list": (
        lambda: as_sequences([SERIES[0], SERIES[1, :2]], lengths=[5, 5]), "has its own; leave `lengths` out"
    ),
    "mask of another shape": (
        lambda: as_sequences(SERIES, mask=np.ones((4, 3), bool)), r"shape \(4, 3\); expected \(4, 5, 3\) or \(4, 5\)"
    ),
    "mask of numbers": (lambda: as_sequences(SERIES, mask=SERIES), "mask of type float64; expected booleans"),
    "masks of other lengths": (
        lambda: as_sequences([SERIES[0], SERIES[1, :2]], mask=[np.ones(5), np.ones(3)]), "shapes unlike its sequences"
    ),
    "other features in a list": (
        lambda: as_sequences([SERIES[0], SERIES[1, :, :2]]), r"different shapes: \[\(2,\), \(3,\)\]"
    ),
    "numbers in a list": (lambda: as_sequences([1.0, 2.0]), "different shapes"),
    "too few labels": (lambda: as_sequences(SERIES, labels={"who": [1, 2]}), "'who' has 2 entries for 4 sequences"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refused_with_what_was_given(case: str) -> None:
    call, words = BAD[case]
    with pytest.raises(DataError, match=words):
        call()


# Standardisation


def test_standardised_by_what_is_observed() -> None:
    x = np.array([[[1.0, 5.0], [3.0, 5.0]], [[5.0, 5.0], [1e9, 5.0]]])
    spec = standardised(as_sequences(x, lengths=[2, 1]))
    assert spec.center == pytest.approx((3.0, 5.0))
    assert spec.scale == pytest.approx((np.sqrt(8 / 3), 1.0))  # the second feature is constant


def test_a_feature_that_is_never_observed_keeps_scale_one() -> None:
    x = SERIES.copy()
    x[..., 1] = np.nan
    spec = standardised(as_sequences(x))
    assert (spec.center[1], spec.scale[1]) == (0.0, 1.0)


def test_a_feature_that_is_never_observed_is_said(caplog) -> None:
    scaled(as_sequences(SERIES))
    assert not caplog.records
    x = SERIES.copy()
    x[..., 1] = np.nan
    scaled(as_sequences(x))
    scaled(from_frame(frame(v=np.nan)))
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "array: never observed: feature number 1",
        "frame: never observed: feature v",
    ]


def test_a_large_constant_is_not_blown_up() -> None:
    spec = standardised(as_sequences(np.full((3, 4, 1), 1234.567)))
    assert spec.scale == (1.0,)


def test_standardised_spectrograms_leave_missing_frames_out() -> None:
    x = np.array([[[1.0], [3.0], [np.nan]]])
    spec = standardised(as_sequences(x, kind="spectrogram"))
    assert (spec.center, spec.scale) == ((2.0,), (1.0,))


def test_dates_become_hours_and_sort_as_times() -> None:
    frame = pd.DataFrame(
        {"id": 1, "time": ["2024-01-10 00:00", "2024-01-09 12:00", "2024-01-09 00:00"], "a": [2.0, 1.0, 0.0]}
    )
    found = from_frame(frame)
    assert found.x[0, :, 0].tolist() == [0.0, 1.0, 2.0]
    assert np.diff(found.times[0]).tolist() == [12.0, 12.0]


def test_row_counter_of_a_saved_index_is_refused() -> None:
    frame = pd.DataFrame({"Unnamed: 0": [0, 1], "id": [1, 1], "time": [0, 1], "a": [0.0, 1.0]})
    with pytest.raises(DataError, match="index=False"):
        from_frame(frame)


def test_missing_word_label_is_unknown_not_a_class() -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "time": 0, "a": 0.5, "sex": ["m", None, "f"]})
    found = from_frame(frame, labels=["sex"])
    assert found.labels["sex"].tolist() == [1, -1, 0]
    assert found.spec.factor("sex").classes == ("f", "m")


def test_a_masked_array_is_refused_with_the_way_to_pass_it():
    x = np.ma.masked_less(np.arange(24.0).reshape(2, 4, 3), 5)
    with pytest.raises(DataError, match=r"masked array; pass `X.filled\(0\)`"):
        as_sequences(x)
    assert as_sequences(x.filled(0), mask=~np.ma.getmaskarray(x)).mask.sum() == 19


def test_large_integers_are_numbers_and_no_classes():
    x = np.zeros((3, 4, 1), dtype=np.float32)
    spec = as_sequences(x, labels={"record": np.array([3_000_000, 7, 8]), "ward": np.array([0, 1, 2])}).spec
    assert [len(factor.classes) for factor in spec.factors] == [0, 3]


def test_an_unknown_label_does_not_make_a_factor_dynamic() -> None:
    table = pd.DataFrame({"id": [1, 1, 2, 2, 3, 3], "time": [0, 1] * 3, "u": range(6)})
    table["ward"] = ["a", None, "b", "b", None, None]
    table["died"] = [0, 0, 1, np.nan, np.nan, np.nan]
    table["weight"] = [60.5, np.nan, np.nan, 71.0, np.nan, np.nan]
    table["stage"] = [0, np.nan, 1, 2, np.nan, np.nan]
    found = from_frame(table, labels=("ward", "died", "weight", "stage"))
    assert [(f.name, f.kind, f.classes) for f in found.spec.factors] == [
        ("ward", "static", ("a", "b")),
        ("died", "static", ("0", "1")),
        ("weight", "static", ()),
        ("stage", "dynamic", ("0", "1", "2")),
    ]
    assert found.labels["ward"].tolist() == [0, 1, -1]
    assert found.labels["died"].tolist() == [0, 1, -1]
    np.testing.assert_array_equal(found.labels["weight"], [60.5, 71.0, np.nan])
    assert found.labels["stage"].tolist() == [[0, -1], [1, 2], [-1, -1]]


def test_pieces_of_one_set_are_that_set_again() -> None:
    x = np.random.default_rng(0).normal(size=(4, 5, 2))
    x[1, 2, 0] = np.nan
    whole = as_sequences(x, lengths=[5, 4, 3, 5], labels={"who": ["a", "b", "a", "b"]})
    again = as_sequences([whole[i] for i in range(4)])
    assert again.fingerprint() == whole.fingerprint()
    assert again.ids.tolist() == whole.ids.tolist()
    with pytest.raises(DataError, match="not pieces of one set"):
        as_sequences([whole[0], as_sequences(x[:, :, :1], lengths=[5, 4, 3, 5])[0]])
    with pytest.raises(DataError, match="not pieces of one set"):
        as_sequences([whole[0], replace(whole[1], mask=None)])


def test_a_large_offset_that_float32_cannot_hold_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(6, 5, 2))
    x[..., 1] += 1.7e9
    with pytest.raises(
        DataError, match=r"values of feature 1 .* differ by about .* at a size of 1.7e\+09, which 32-bit"
    ):
        as_sequences(x)
    x[..., 1] = 1.7e9 + 0.3  # a constant loses nothing
    as_sequences(x)
    x[..., 1] = 5e5 + np.random.default_rng(1).normal(0, 30, (6, 5))
    as_sequences(x)


def test_columns_of_one_name_and_lists_of_frames_are_refused() -> None:
    table = pd.DataFrame([[1, 0, 2.0, 3.0]], columns=["id", "time", "a", "a"])
    with pytest.raises(DataError, match="several columns are called a; give each a name of its own"):
        from_frame(table)
    frames = [pd.DataFrame({"a": [1.0, 2.0], "b": [0.0, 1.0]}) for _ in range(2)]
    with pytest.raises(DataError, match=r"a list of data frames, .* pd\.concat") as caught:
        as_sequences(frames)
    assert "reset_index" in str(caught.value)
    joined = pd.concat(dict(enumerate(frames)), names=["id", "time"]).reset_index()  # what the error advises
    assert from_frame(joined).x.shape == (2, 2, 2)
