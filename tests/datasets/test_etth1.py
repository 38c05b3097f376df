import gzip

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from seqdis.datasets._download import check
from seqdis.datasets._hourly import month_rows
from seqdis.datasets.etth1 import ETTh1
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import from_dict, to_dict

HEADER = "date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT"
HOURS = pd.date_range("2016-07-01", "2018-06-26 19:00", freq="h")


@pytest.fixture(scope="module")
def table():
    """The published layout: HUFL counts the hours, the oil temperature is half of that."""
    rows = [f"{time},{i},2,3,4,5,{i % 24},{i / 2}" for i, time in enumerate(HOURS)]
    return "\n".join([HEADER, *rows, ""])


@pytest.fixture(scope="module")
def whole(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("whole")
    (folder / "ETTh1.csv").write_text(table)
    return str(folder)


def test_packed_and_plain_read_alike(tmp_path, table, whole, monkeypatch):
    (tmp_path / "ett").mkdir()
    (tmp_path / "ett" / "ETTh1.csv.gz").write_bytes(gzip.compress(table.encode()))
    plain = ETTh1(root=whole).fingerprint()
    assert ETTh1(root=str(tmp_path)).fingerprint() == plain
    assert ETTh1(root=str(tmp_path / "ett")).fingerprint() == plain
    monkeypatch.setenv("SEQDIS_DATA", str(tmp_path))
    assert ETTh1().fingerprint() == plain


def test_line_ends_do_not_matter(tmp_path, table, whole):
    (tmp_path / "ETTh1.csv").write_bytes(table.replace("\n", "\r\n").encode())
    assert ETTh1(root=str(tmp_path)).fingerprint() == ETTh1(root=whole).fingerprint()


def test_months_of_672_hours(whole):
    parts = ETTh1(root=whole).parts()
    assert {name: part.x.shape for name, part in parts.items()} == {
        "train": (14, 672, 6),
        "valid": (3, 672, 6),
        "test": (6, 672, 6),
    }
    assert parts["test"].ids.tolist() == [f"2016-{month:02d}-01" for month in range(7, 13)]
    assert parts["test"].labels["month"].tolist() == [6, 7, 8, 9, 10, 11]
    assert parts["test"].x[1, :, 0].tolist() == list(range(31 * 24, 31 * 24 + 672))
    others = sorted([*parts["train"].ids, *parts["valid"].ids])
    assert others == [f"{time:%Y-%m-%d}" for time in pd.date_range("2017-01-01", "2018-05-01", freq="MS")]
    assert parts["valid"].name == "etth1/valid"
    assert parts["train"].mask is None


def test_past_trains_and_future_tests(whole):
    parts = ETTh1(root=whole, split_rule="chronological").parts()
    assert [len(parts[name]) for name in ("train", "valid", "test")] == [12, 4, 4]
    starts = {name: part.x[:, 0, 0].tolist() for name, part in parts.items()}
    assert starts == {
        "train": [672 * k for k in range(12)],
        "valid": [8640 + 672 * k for k in range(4)],
        "test": [11520 + 672 * k for k in range(4)],
    }
    for part in parts.values():
        assert (np.diff(part.x[..., 0], axis=1) == 1).all()
    # Its middle is the 12th of August.
    assert parts["train"].ids[1] == "2016-07-29"
    assert parts["train"].labels["month"][1] == 7
    other = ETTh1(root=whole, split_rule="chronological", split_seed=1)
    assert other.fingerprint() == parts["train"].fingerprint()


def test_oil_temperature_goes_with_its_hours_and_is_no_input(whole):
    for rule in ("month", "chronological"):
        for part in ETTh1(root=whole, split_rule=rule).parts().values():
            np.testing.assert_array_equal(part.labels["oil_temperature"], part.x[..., 0] / 2)
            assert part.spec.feature_names == ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL")


def test_scales_come_from_training_months(whole):
    train, test = ETTh1(root=whole).split("train", "test")
    assert train.spec.center[0] == pytest.approx(train.x[..., 0].astype(np.float64).mean())
    assert train.spec.scale[0] == pytest.approx(train.x[..., 0].astype(np.float64).std())
    assert train.spec.scale[1] == 1.0  # a constant load
    assert test.spec == train.spec


def test_the_seed_shuffles_only_what_is_not_for_testing(whole):
    first, again, other = (ETTh1(root=whole, split_seed=seed).parts() for seed in (0, 0, 1))
    assert (first["train"].ids == again["train"].ids).all()
    assert set(first["valid"].ids) != set(other["valid"].ids)
    assert (first["test"].ids == other["test"].ids).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("LULL,OT", "LULL,XT", 1), "expected columns HUFL, .*'OT'"),
        (lambda text: text.replace("date", "time", 1), "expected columns .*'date'"),
        (lambda text: text.replace(",2,3,", ",two,3,", 1), "expected columns .*two"),
        (lambda text: text.replace(",2,3,", ",,3,", 1), "1 values are missing or infinite, expected none"),
        (lambda text: text.replace(",2,3,", ",inf,3,", 1), "1 values are missing or infinite, expected none"),
        (lambda text: text[: len(text) // 2], r"hours are missing, such as 2017-"),
        (lambda text: text + text.split("\n")[-2] + "\n", "1 hours are repeated, such as 2018-06-26 19:00"),
        (
            lambda text: text.replace("2016-07-01 05:00:00", "2016-07-01 04:00:00"),
            "repeated, .* 04:00.*missing, .*05:00",
        ),
        (lambda text: text.replace("2016-07-01 05:00:00", "yesterday"), "no dates"),
        (lambda text: HEADER + "\n", "17420 hours are missing"),
        (lambda text: "", "expected columns"),
    ],
)
def test_altered_tables_are_refused(tmp_path, table, change, message):
    (tmp_path / "ETTh1.csv").write_text(change(table))
    with pytest.raises(DataError, match=message) as raised:
        ETTh1(root=str(tmp_path)).parts()
    assert "ETTh1.csv" in str(raised.value)


def test_missing_and_damaged_files_say_what_to_do(tmp_path, table):
    with pytest.raises(DataError, match=r"found no ETTh1\.csv or ETTh1\.csv\.gz in .*ett.*seqdis data fetch etth1"):
        ETTh1(root=str(tmp_path)).parts()
    packed = gzip.compress(table.encode())
    for content in (packed[: len(packed) // 2], b"not packed"):
        (tmp_path / "ETTh1.csv.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"ETTh1\.csv\.gz is cut short or damaged"):
            ETTh1(root=str(tmp_path)).parts()
    assert [entry.state for entry in check(ETTh1(root=str(tmp_path)))] == ["altered"]


def test_settings_are_a_declaration():
    data = ETTh1(split_rule="chronological", split_seed=3)
    assert from_dict(ETTh1, to_dict(data)) == data == clone(data)
    with pytest.raises(SettingsError, match=r"split_rule = 'year': expected Literal\['month', 'chronological'\]"):
        ETTh1(split_rule="year").parts()


def test_month_rows_by_hand():
    # The last two days of January, a whole February of a leap year, a March one hour short of 28 days.
    hours = pd.date_range("2016-01-30", periods=48 + 29 * 24 + 671, freq="h")
    rows = month_rows(hours)
    assert rows.shape == (1, 672)
    assert rows[0, [0, -1]].tolist() == [48, 48 + 671]
    assert month_rows(hours[:100]).shape == (0, 672)


# ---- the real data


@pytest.fixture
def real(data_root):
    if not (data_root / "ett").is_dir():
        pytest.skip("no ett folder")
    return str(data_root)


def daily(part):
    return part.labels["oil_temperature"].reshape(-1, 24).mean(1)


@pytest.mark.data
def test_the_known_sizes_and_constants(real):
    train, valid, test = (daily(part) for part in ETTh1(root=real).split("train", "valid", "test"))
    assert [len(days) // 28 for days in (train, valid, test)] == [14, 3, 6]
    both = np.concatenate([train, valid])
    assert both.mean() == pytest.approx(10.628, abs=5e-4)
    assert test.mean() == pytest.approx(21.590, abs=5e-4)
    assert np.abs(test - both.mean()).mean() == pytest.approx(11.951, abs=5e-4)
    assert np.abs(test - train.mean()).mean() == pytest.approx(11.848, abs=5e-4)
    assert np.abs(test - np.median(both)).mean() == pytest.approx(12.383, abs=5e-4)
    assert np.abs(test).mean() == pytest.approx(21.604, abs=5e-4)


@pytest.mark.data
def test_the_chronological_split_of_the_real_data(real):
    data = ETTh1(root=real, split_rule="chronological")
    train, valid, test = (daily(part) for part in data.split("train", "valid", "test"))
    assert [len(days) // 28 for days in (train, valid, test)] == [12, 4, 4]
    assert (train.mean(), test.mean()) == pytest.approx((17.103, 4.926), abs=5e-4)


@pytest.mark.data
def test_the_file_is_verified(real):
    assert [entry.state for entry in check(ETTh1(root=real))] == ["verified"]
