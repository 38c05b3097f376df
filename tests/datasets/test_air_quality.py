import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from seqdis.datasets import _archives
from seqdis.datasets._air_quality_records import FEATURES, STATIONS, WEATHER_GROUPS, season_of
from seqdis.datasets._download import check, status
from seqdis.datasets.air_quality import BeijingAirQuality
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import from_dict, to_dict

COLUMNS = "No year month day hour PM2.5 PM10 SO2 NO2 CO O3 TEMP PRES DEWP RAIN wd WSPM station"
HEADER = ",".join(f'"{name}"' for name in COLUMNS.split())
HOURS = pd.date_range("2013-03-01", "2017-02-28 23:00", freq="h")
OUTER, INNER = "beijing+multi+site+air+quality+data.zip", "PRSA2017_Data_20130301-20170228.zip"
FOLDER = "PRSA_Data_20130301-20170228"


def file_name(station):
    return f"PRSA_Data_{station}_20130301-20170228.csv"


@pytest.fixture(scope="module")
def tables():
    """Every station's table as published: PM2.5 counts the hours, CO tells the station, rain falls at midnight."""
    clock = [f"{i + 1},{t.year},{t.month},{t.day},{t.hour},{i % 997}," for i, t in enumerate(HOURS)]
    rain = ["1.5" if t.hour == 0 else "0" for t in HOURS]
    made = {}
    for number, station in enumerate(STATIONS):
        tail = f'7,NA,5,{100 * number},77,-0.7,1023,-18.8,{{}},"NNW",4.4,"{station}"'
        rows = [start + tail.format(wet) for start, wet in zip(clock, rain, strict=True)]
        made[file_name(station)] = "\r\n".join([HEADER, *rows, ""]).encode()
    return made


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def inner(tables):
    return zipped({f"{FOLDER}/": b""} | {f"{FOLDER}/{name}": content for name, content in tables.items()})


def write(folder, tables):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tables.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tables):
    """A folder with the twelve plain tables, for tests that only read it."""
    return write(tmp_path_factory.mktemp("whole"), tables)


def damaged(folder, tables, station, change):
    """The tables, one of them changed as text."""
    name = file_name(station)
    return write(folder, tables | {name: change(tables[name].decode()).encode()})


def joined(parts):
    """x, ids and rain of all parts in the order of ids."""
    ids = np.concatenate([part.ids for part in parts.values()])
    order = np.argsort(ids)
    x = np.concatenate([part.x for part in parts.values()])
    rain = np.concatenate([part.labels["rain"] for part in parts.values()])
    return x[order], ids[order], rain[order]


def stations_of(part):
    return {STATIONS[code] for code in part.labels["station"]}


# ---- forms of the distribution


def test_every_form_of_the_distribution_reads_alike(tmp_path, tables, inner, whole):
    packed = {f"{name}.gz": gzip.compress(content, 1) for name, content in tables.items()}
    write(tmp_path / "packed" / "beijing_prsa", packed)
    write(tmp_path / "outer" / "beijing_prsa", {OUTER: zipped({INNER: inner, "test.csv": b"no table"})})
    write(tmp_path / "inner" / "beijing_prsa", {INNER: inner})
    write(tmp_path / "folder" / "beijing_prsa" / FOLDER, tables)
    expected = BeijingAirQuality(root=str(whole)).fingerprint()
    for form in ("packed", "outer", "inner", "folder"):
        for root in (tmp_path / form, tmp_path / form / "beijing_prsa"):
            assert BeijingAirQuality(root=str(root)).fingerprint() == expected, form


def test_tables_beside_their_packed_forms_are_read_once(tmp_path, tables, whole):
    write(tmp_path, tables)
    write(tmp_path, {f"{file_name('Dongsi')}.gz": gzip.compress(tables[file_name("Dongsi")], 1)})
    expected = BeijingAirQuality(root=str(whole)).fingerprint()
    assert BeijingAirQuality(root=str(tmp_path)).fingerprint() == expected
    # The packed one counts, whose checksum is known.
    (tmp_path / file_name("Dongsi")).write_bytes(b"altered")
    assert BeijingAirQuality(root=str(tmp_path)).fingerprint() == expected


def test_nested_archives_are_opened_one_level_deep(tmp_path):
    deep = zipped({"b.zip": zipped({"table.csv": b"deep"}), "table.csv": b"once"})
    write(tmp_path, {"a.zip": zipped({"b.zip": deep, "table.csv": b"top"})})
    assert list(_archives.read_members(tmp_path / "a.zip", r"table\.csv")) == [("table.csv", b"top")]
    found = list(_archives.read_members(tmp_path / "a.zip", r"table\.csv", r"b\.zip"))
    assert found == [("table.csv", b"once"), ("table.csv", b"top")]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("name", ["../evil.csv", "/evil.csv", "C:\\evil.csv", f"{FOLDER}/../../evil.csv"])
def test_members_that_point_outside_are_refused_at_both_levels(tmp_path, name):
    for content in ({name: b""}, {INNER: zipped({name: b""})}):
        write(tmp_path, {OUTER: zipped(content)})
        with pytest.raises(DataError, match="points outside the archive"):
            BeijingAirQuality(root=str(tmp_path)).parts()
    assert [entry.name for entry in tmp_path.iterdir()] == [OUTER]


def test_damaged_archives_are_named(tmp_path, inner):
    for content in (zipped({INNER: inner})[:-400], zipped({INNER: inner[:-400]}), b""):
        write(tmp_path, {OUTER: content})
        with pytest.raises(DataError, match=r"data\.zip is cut short or damaged.*fetch or copy it again"):
            BeijingAirQuality(root=str(tmp_path)).parts()


def test_a_damaged_packed_table_is_named(tmp_path, tables):
    packed = {f"{name}.gz": gzip.compress(content, 1) for name, content in tables.items()}
    name = f"{file_name('Gucheng')}.gz"
    write(tmp_path, packed | {name: packed[name][:-4000]})
    with pytest.raises(DataError, match=rf"{name} is cut short or damaged"):
        BeijingAirQuality(root=str(tmp_path)).parts()


def test_missing_files_say_where_and_how(tmp_path, tables, monkeypatch):
    monkeypatch.setenv("SEQDIS_DATA", str(tmp_path))
    with pytest.raises(
        DataError, match=r"found neither beijing\+multi.*nor.*seqdis data fetch air-quality.*SEQDIS_DATA"
    ):
        BeijingAirQuality().parts()
    some = {name: tables[name] for name in (file_name("Dongsi"), file_name("Wanliu"))}
    write(tmp_path / "beijing_prsa", some)
    with pytest.raises(DataError, match="found 2 of 12 stations; missing: Aotizhongxin, Changping, "):
        BeijingAirQuality().parts()


def test_what_is_needed_depends_on_what_is_here(tmp_path, tables, whole):
    states = [(entry.file.name, entry.state) for entry in status(BeijingAirQuality(root=str(tmp_path)))]
    assert states == [(OUTER, "missing")]
    assert [entry.state for entry in check(BeijingAirQuality(root=str(whole)))] == ["present"] * 12
    write(tmp_path, {file_name("Dongsi"): tables[file_name("Dongsi")]})
    assert [entry.state for entry in status(BeijingAirQuality(root=str(tmp_path)))] == ["missing"]
    write(tmp_path, {OUTER: b""})
    assert [entry.state for entry in status(BeijingAirQuality(root=str(tmp_path)))] == ["present"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"O3"', '"O4"', 1), "station Shunyi: expected columns year, .*'O3'"),
        (lambda text: text.replace(",1023,", ",high,", 1), "expected columns .*high"),
        (lambda text: text[: len(text) // 2], "EOF inside string.*cut short"),
        (lambda text: "\r\n".join(text.split("\r\n")[:-500]), r"499 hours are missing, such as 2017-02-08 05:00"),
        (lambda text: text + text.split("\r\n")[-2] + "\r\n", "1 hours are repeated, such as 2017-02-28 23:00"),
        (lambda text: text.replace("\r\n8,2013,3,1,7,", "\r\n8,2013,3,1,6,"), "repeated, .* 06:00.*missing, .* 07:00"),
        (lambda text: text.replace("\r\n8,2013,3,1,", "\r\n8,2013,3,41,"), "no date"),
        (lambda text: text.replace("\r\n8,2013,", "\r\n8,2012,"), "outside of it, such as 2012-03-01 07:00"),
        (lambda text: text.replace("Shunyi", "Wanliu"), "the rows state Wanliu; the file was renamed"),
        (lambda text: text.replace("Shunyi", "Wanliu", 1), "the rows state Shunyi, Wanliu"),
        (lambda text: text.split("\r\n")[0] + "\r\n", "the rows state no station"),
    ],
)
def test_altered_tables_are_refused(tmp_path, tables, change, message):
    root = damaged(tmp_path, tables, "Shunyi", change)
    with pytest.raises(DataError, match=message):
        BeijingAirQuality(root=str(root)).parts()


def test_rows_in_another_order_are_refused(tmp_path, tables):
    def swap(text):
        lines = text.split("\r\n")
        return "\r\n".join([lines[0], lines[2], lines[1], *lines[3:]])

    with pytest.raises(DataError, match="the rows are not in order"):
        BeijingAirQuality(root=str(damaged(tmp_path, tables, "Shunyi", swap))).parts()


# ---- sequences


def test_a_sequence_is_the_first_672_hours_of_a_month_at_a_station(whole):
    parts = BeijingAirQuality(root=str(whole)).parts()
    assert {name: part.x.shape for name, part in parts.items()} == {
        "train": (367, 672, 10),
        "valid": (65, 672, 10),
        "test": (144, 672, 10),
    }
    x, ids, rain = joined(parts)
    assert ids[[0, 11, 12, 575]].tolist() == [
        "2013-03 Aotizhongxin",
        "2013-03 Wanshouxigong",
        "2013-04 Aotizhongxin",
        "2017-02 Wanshouxigong",
    ]
    first_of_april = 31 * 24
    assert x[14, :, FEATURES.index("PM2.5")].tolist() == [(first_of_april + hour) % 997 for hour in range(672)]
    assert set(x[14, :, FEATURES.index("CO")]) == {200.0}
    assert (rain.reshape(576, 28, 24).sum(2) == 1.5).all()
    assert (rain[:, ::24] == 1.5).all()


def test_what_is_missing_is_masked_and_zero(whole):
    parts = BeijingAirQuality(root=str(whole)).parts()
    so2 = FEATURES.index("SO2")
    for part in parts.values():
        assert not part.mask[..., so2].any()
        assert part.mask[..., [i for i in range(10) if i != so2]].all()
        assert not part.x[..., so2].any()
    assert parts["train"].spec.missing
    assert (parts["train"].spec.center[so2], parts["train"].spec.scale[so2]) == (0.0, 1.0)


def test_missing_rain_is_unknown_and_values_keep_their_place(tmp_path, tables):
    def change(text):
        lines = text.split("\r\n")
        lines[3] = lines[3].replace("77,-0.7,1023,-18.8,0,", "NA,-0.7,1023,-18.8,NA,")
        return "\r\n".join(lines)

    parts = BeijingAirQuality(root=str(damaged(tmp_path, tables, "Aotizhongxin", change))).parts()
    part = next(part for part in parts.values() if "2013-03 Aotizhongxin" in part.ids)
    row = part.ids.tolist().index("2013-03 Aotizhongxin")
    assert np.flatnonzero(np.isnan(part.labels["rain"][row])).tolist() == [2]
    assert np.flatnonzero(~part.mask[row, :, FEATURES.index("O3")]).tolist() == [2]
    assert sum(np.isnan(part.labels["rain"]).sum() for part in parts.values()) == 1


def test_scales_come_from_observed_training_values(whole):
    train, test = BeijingAirQuality(root=str(whole)).split("train", "test")
    values = train.x[..., 0].astype(np.float64)
    assert train.spec.center[0] == pytest.approx(values.mean())
    assert train.spec.scale[0] == pytest.approx(values.std())
    assert test.spec == train.spec
    assert train.spec.center[0] != pytest.approx(test.x[..., 0].mean(), rel=1e-6)


def test_labels(whole):
    (test,) = BeijingAirQuality(root=str(whole)).split("test")
    spec = test.spec
    assert test.ids[0] == "2016-01 Aotizhongxin"
    assert [spec.factor("month").classes[code] for code in test.labels["month"][::12][:3]] == [
        "January",
        "February",
        "March",
    ]
    assert [STATIONS[code] for code in test.labels["station"][:12]] == list(STATIONS)
    assert set(test.labels["year"]) == {2016.0}
    seasons = [spec.factor("season").classes[code] for code in season_of(np.arange(12))]
    expected = ["winter"] * 2 + ["spring"] * 3 + ["summer"] * 3 + ["autumn"] * 3 + ["winter"]
    assert seasons == expected
    assert (test.labels["season"] == season_of(test.labels["month"])).all()
    assert test.labels["rain"].shape == (144, 672)


# ---- splits


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({}, (367, 65, 144)),
        ({"test_year": 2014}, (367, 65, 144)),
        ({"test_year": 2013}, (387, 69, 120)),
        ({"valid": "year"}, (288, 144, 144)),
        ({"valid": "year", "test_year": 2013}, (312, 144, 120)),
        ({"split_rule": "station"}, (288, 144, 144)),
    ],
)
def test_sizes_and_no_sequence_in_two_parts(whole, settings, sizes):
    parts = BeijingAirQuality(root=str(whole), **settings).parts()
    assert tuple(len(parts[name]) for name in ("train", "valid", "test")) == sizes
    assert len(np.unique(joined(parts)[1])) == 576
    assert parts["valid"].name == "air-quality/valid"


@pytest.mark.parametrize(("test_year", "valid_year"), [(2016, 2015), (2015, 2016), (2014, 2016), (2013, 2016)])
def test_a_whole_year_validates(whole, test_year, valid_year):
    parts = BeijingAirQuality(root=str(whole), test_year=test_year, valid="year").parts()
    years = {name: set(part.labels["year"]) for name, part in parts.items()}
    assert years["test"] == {test_year}
    assert years["valid"] == {valid_year}
    assert years["train"] == {2013, 2014, 2015, 2016, 2017} - {test_year, valid_year}


def test_the_seed_shuffles_only_what_is_not_for_testing(whole):
    first, again, other = (BeijingAirQuality(root=str(whole), split_seed=seed).parts() for seed in (0, 0, 1))
    assert (first["train"].ids == again["train"].ids).all()
    assert set(first["train"].ids) != set(other["train"].ids)
    assert (first["test"].ids == other["test"].ids).all()


@pytest.mark.parametrize("seed", [*range(12), 119, 148])  # in the last two, pairs are left for a single place
def test_stations_that_share_their_weather_stay_together(whole, seed):
    parts = BeijingAirQuality(root=str(whole), split_rule="station", split_seed=seed).parts()
    held = {name: stations_of(part) for name, part in parts.items()}
    assert [len(held[name]) for name in ("train", "valid", "test")] == [6, 3, 3]
    assert sum(map(len, held.values())) == len(set().union(*held.values())) == 12
    for group in WEATHER_GROUPS:
        assert sum(set(group) <= stations for stations in held.values()) == 1, group


def test_every_station_is_held_out_by_some_seed(whole):
    data = [BeijingAirQuality(root=str(whole), split_rule="station", split_seed=seed) for seed in range(12)]
    assert set().union(*(stations_of(each.parts()["test"]) for each in data)) == set(STATIONS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test_year": 2012}, "test_year = 2012: expected a value at least 2013"),
        ({"test_year": 2017}, "test_year = 2017: expected a value at most 2016"),
        ({"split_rule": "month"}, r"split_rule = 'month': expected Literal\['year', 'station'\]"),
        (
            {"split_rule": "station", "test_year": 2015},
            "with split_rule = 'station'.*Leave test_year out",
        ),
        ({"split_rule": "station", "valid": "year"}, "valid = 'year' with split_rule = 'station'.*Leave valid"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        BeijingAirQuality(**settings).parts()


def test_settings_are_a_declaration():
    data = BeijingAirQuality(split_rule="station", split_seed=3)
    assert from_dict(BeijingAirQuality, to_dict(data)) == data == clone(data)
    assert data.files()[0].url == f"https://archive.ics.uci.edu/static/public/501/{OUTER}"


# ---- the real data


@pytest.fixture
def real(data_root):
    if not (data_root / "beijing_prsa").is_dir():
        pytest.skip("no beijing_prsa folder")
    return str(data_root)


@pytest.mark.data
def test_the_known_sizes_and_missing_values(real):
    parts = BeijingAirQuality(root=real).parts()
    assert {name: len(part) for name, part in parts.items()} == {"train": 367, "valid": 65, "test": 144}
    assert sum((~part.mask).sum() for part in parts.values()) == 65_937
    assert sum(np.isnan(part.labels["rain"]).sum() for part in parts.values()) == 377
    assert parts["test"].x[..., FEATURES.index("TEMP")].min() >= -19.9
    months = np.bincount(np.concatenate([part.labels["month"] for part in parts.values()]), minlength=12)
    assert months.tolist() == [48] * 12


@pytest.mark.data
def test_files_are_verified(real):
    states = {entry.state for entry in check(BeijingAirQuality(root=real))}
    assert states <= {"verified", "present"}  # a packed copy of one's own has no known checksum


@pytest.mark.data
def test_weather_is_the_same_within_groups_and_only_there(real):
    (train,) = BeijingAirQuality(root=real, valid="year").split("train")
    where = {name: train[train.labels["station"] == code] for code, name in enumerate(STATIONS)}
    temperature = {name: part.x[..., FEATURES.index("TEMP")] for name, part in where.items()}
    alike = {
        frozenset((one, other))
        for one in STATIONS
        for other in STATIONS
        if one < other and np.mean(np.abs(temperature[one] - temperature[other]) < 0.11) > 0.99
    }
    assert alike == {frozenset((a, b)) for group in WEATHER_GROUPS for a in group for b in group if a < b}
