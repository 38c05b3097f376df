import io
import tarfile
import zipfile

import numpy as np
import pytest
from sklearn.base import clone

from seqdis.datasets import _cache, _physionet_records, physionet
from seqdis.datasets._download import check, status
from seqdis.datasets.physionet import ALL_FEATURES, TEN_FEATURES, PhysioNet2012
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import from_dict, to_dict

OUTCOME_COLUMNS = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"


def stay(record, measured, age=54, gender=0, height=-1, unit=4, weight=-1):
    """Text of one record; ``measured`` is a list of (HH:MM, parameter, value)."""
    described = [("RecordID", record), ("Age", age), ("Gender", gender), ("Height", height)]
    described += [("ICUType", unit), ("Weight", weight)]
    rows = [("00:00", *pair) for pair in described] + list(measured)
    return "Time,Parameter,Value\n" + "".join(f"{time},{name},{value}\n" for time, name, value in rows)


def full_stay(record, hours=48, seed=0, **described):
    """A stay with the ten features measured on the half hour."""
    rng = np.random.default_rng(seed + record)
    rows = [("00:05", "HR", 80)]
    for hour in range(hours):
        rows += [(f"{hour:02d}:30", name, round(float(rng.uniform(30, 40)), 1)) for name in TEN_FEATURES]
    return stay(record, rows, **described)


def write(folder, stays, form="folder", letter="a", outcomes=None):
    """A miniature distribution: {record: text} in one of the forms in which people have it."""
    folder.mkdir(parents=True, exist_ok=True)
    members = {f"set-{letter}/{record}.txt": text.encode() for record, text in stays.items()}
    if form == "folder":
        (folder / f"set-{letter}").mkdir()
        for name, content in members.items():
            (folder / name).write_bytes(content)
    elif form == "zip":
        with zipfile.ZipFile(folder / f"set-{letter}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        write_tar(folder / f"set-{letter}.{form}", members)
    outcomes = outcomes or {record: f"{record},6,1,5,-1,{record % 2}" for record in stays}
    (folder / f"Outcomes-{letter}.txt").write_text("\n".join([OUTCOME_COLUMNS, *outcomes.values()]) + "\n")
    return folder


def write_tar(path, members):
    with tarfile.open(path, f"w:{path.suffix[1:]}") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture(scope="module")
def ten_stays():
    return {record: full_stay(record) for record in range(100, 110)}


def everything(parts):
    """All stays of all parts in the order of record ids: x, mask, ids."""
    ids = np.concatenate([part.ids for part in parts.values()])
    order = np.argsort(ids)
    return tuple(
        np.concatenate([getattr(part, name) for part in parts.values()])[order] for name in ("x", "mask", "ids")
    )


# ---- forms of the distribution


def test_every_form_of_the_distribution_reads_alike(tmp_path, ten_stays):
    prints = set()
    for form in ("folder", "tar.gz", "tar.xz", "zip"):
        root = write(tmp_path / form / "physionet2012", ten_stays, form)
        for given in (root, root.parent):
            data = PhysioNet2012(root=str(given))
            assert [len(part) for part in data.split("train", "valid", "test")] == [6, 2, 2]
            prints.add(data.fingerprint())
    assert len(prints) == 1


def test_the_data_root_comes_from_the_environment(tmp_path, ten_stays, monkeypatch):
    write(tmp_path / "physionet2012", ten_stays)
    monkeypatch.setenv("SEQDIS_DATA", str(tmp_path))
    assert len(PhysioNet2012().parts()) == 3


def test_missing_files_say_where_and_how(tmp_path, ten_stays, monkeypatch):
    monkeypatch.setenv("SEQDIS_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"found no set-a\.tar\.gz, .*physionet2012.*seqdis data fetch.*SEQDIS_DATA"):
        PhysioNet2012().parts()
    write(tmp_path / "physionet2012", ten_stays)
    (tmp_path / "physionet2012" / "Outcomes-a.txt").unlink()
    with pytest.raises(DataError, match=r"found no Outcomes-a\.txt"):
        PhysioNet2012().parts()
    with pytest.raises(DataError, match="set b: found no"):
        PhysioNet2012(sets=("b",)).parts()


@pytest.mark.parametrize("form", ["tar.gz", "tar.xz", "zip"])
def test_a_truncated_archive_is_named(tmp_path, ten_stays, form):
    root = write(tmp_path, ten_stays, form)
    path = root / f"set-a.{form}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"set-a\.{form} is cut short or damaged.*fetch or copy it again"):
        PhysioNet2012(root=str(root)).parts()


@pytest.mark.parametrize("name", ["../132539.txt", "/tmp/132539.txt", "set-a/../../132539.txt", "C:\\132539.txt"])
@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_members_that_point_outside_are_refused(tmp_path, ten_stays, name, form):
    root = write(tmp_path / "inside", ten_stays, form)
    content = full_stay(132539).encode()
    if form == "zip":
        with zipfile.ZipFile(root / "set-a.zip", "a") as archive:
            archive.writestr(name, content)
    else:
        write_tar(root / "set-a.tar.gz", {"set-a/100.txt": ten_stays[100].encode(), name: content})
    with pytest.raises(DataError, match="points outside the archive"):
        PhysioNet2012(root=str(root)).parts()
    assert [entry.name for entry in tmp_path.iterdir()] == ["inside"]


def test_altered_records_are_refused(tmp_path, ten_stays):
    cases = {
        "states another RecordID": {**ten_stays, 110: full_stay(111)},
        "110.txt states no RecordID": {**ten_stays, 110: "Time,Parameter,Value\n00:10,HR,80\n"},
        "110.txt starts with": {**ten_stays, 110: "RecordID;110\n"},
        "not rows of time": {**ten_stays, 110: stay(110, [("00:10", "HR", "eighty")])},
        "not rows of time, parameter": {**ten_stays, 110: stay(110, [("noon", "HR", 80)])},
        "set-a: not rows": {**ten_stays, 110: stay(110, [("00:10", "HR", '"80'), ("00:20", "HR", 81)])},
    }
    for number, (message, stays) in enumerate(cases.items()):
        root = write(tmp_path / str(number), stays)
        with pytest.raises(DataError, match=message):
            PhysioNet2012(root=str(root)).parts()


def test_outcomes_of_other_stays_are_refused(tmp_path, ten_stays):
    root = write(tmp_path, ten_stays)
    (root / "set-a" / "103.txt").unlink()
    with pytest.raises(DataError, match=r"set-a and Outcomes-a\.txt differ in 1 records, such as 103"):
        PhysioNet2012(root=str(root)).parts()
    (root / "Outcomes-a.txt").write_text("RecordID,SOFA\n100,1\n")
    with pytest.raises(DataError, match=r"Outcomes-a\.txt: expected columns RecordID, SAPS-I"):
        PhysioNet2012(root=str(root)).parts()


def test_a_folder_without_records_is_refused(tmp_path, ten_stays):
    root = write(tmp_path, ten_stays)
    for file in (root / "set-a").iterdir():
        file.rename(file.with_suffix(".csv"))
    with pytest.raises(DataError, match="holds no records"):
        PhysioNet2012(root=str(root)).parts()


# ---- cleaning and hourly means


def read(tmp_path, text, record=1):
    (tmp_path / f"{record}.txt").write_text(text)
    return _physionet_records.split_descriptors(_physionet_records.read_records(tmp_path))


@pytest.mark.parametrize(
    ("parameter", "given", "kept"),
    [
        ("DiasABP", [-1, 0.5, 1, 200, 200.5], [None, None, 1, 200, None]),
        ("SysABP", [0, 0.9, 1, 300], [None, None, 1, 300]),
        ("NIMAP", [0, 90], [None, 90]),
        ("RespRate", [0, 20], [None, 20]),
        ("WBC", [0.1, 1.1], [None, 1.1]),
        ("HR", [0, 1, 299, 300], [None, 1, 299, None]),
        ("PaCO2", [0.4, 1, 4.1, 10, 41], [None, 10, 41, 10, 41]),
        ("PaO2", [0.4, 9.5, 20, 95], [None, 95, 20, 95]),
        ("pH", [0.74, 7.4, 74, 735, 6.4, 8.1, 0.65], [7.4, 7.4, 7.4, 7.35, None, None, None]),
        ("Temp", [36.6, 98.6, 2, -17.8, 45.1, 25, 113], [36.6, 37, 35.6, None, None, 25, None]),
        ("Weight", [34, 35, 299, 300], [None, 35, 299, None]),
        ("GCS", [3, 15], [3, 15]),
    ],
)
def test_cleaning_of_measurements(tmp_path, parameter, given, kept):
    text = stay(1, [(f"01:{minute:02d}", parameter, value) for minute, value in enumerate(given)])
    _, measured = read(tmp_path, text)
    assert measured["value"].to_list() == pytest.approx([np.nan if v is None else v for v in kept], nan_ok=True)


@pytest.mark.parametrize(
    ("given", "height"),
    [(-1, np.nan), (1.8, 180), (18, 180), (81.8, 179.96), (175.3, 175.3), (1800, 180), (400, 157.48)],
)
def test_cleaning_of_heights(tmp_path, given, height):
    assert read(tmp_path, stay(1, [], height=given))[0]["Height"].to_list() == pytest.approx([height], nan_ok=True)


def test_cleaning_of_ages_and_weights(tmp_path):
    for record, (age, weight) in enumerate([(54, 80), (200, 34.9), (131, 299.1), (90, -1)]):
        descriptors, _ = read(tmp_path, stay(record, [], age=age, weight=weight), record)
    assert descriptors["Age"].to_list() == [54, 91.4, 91.4, 90]
    assert descriptors["Weight"].to_list() == pytest.approx([80, np.nan, np.nan, np.nan], nan_ok=True)


def test_hourly_means_by_hand(tmp_path):
    rows = [
        ("00:07", "GCS", 3),  # the first minute of all belongs to no row
        ("00:08", "GCS", 15),
        ("01:07", "GCS", 14),  # exactly one hour after the first: still row 0
        ("01:08", "GCS", 10),
        ("01:30", "Temp", 98.6),
        ("01:30", "Temp", 38),
        ("01:45", "Temp", 0),  # removed by cleaning
        ("02:10", "HR", 0),  # removed by cleaning
        ("03:07", "HR", 70),
        ("03:20", "HR", 90),  # after the last full hour before the last measurement
    ]
    _, measured = read(tmp_path, stay(1, rows))
    means, lengths = _physionet_records.hourly_means(measured, np.array([1]), ("GCS", "Temp", "HR"))
    nan = np.nan
    assert lengths.tolist() == [3]
    np.testing.assert_allclose(means, [[[14.5, nan, nan], [10, 37.5, nan], [nan, nan, 70]]], atol=1e-12)


def test_a_cleaned_value_still_marks_the_time_of_a_measurement(tmp_path):
    _, measured = read(tmp_path, stay(1, [("00:00", "HR", 0), ("01:10", "HR", 70), ("03:01", "Temp", 0)]))
    means, lengths = _physionet_records.hourly_means(measured, np.array([1]), ("HR",))
    assert lengths.tolist() == [3]
    np.testing.assert_array_equal(means[0, :, 0], [np.nan, 70, np.nan])


def test_a_record_without_measurements_has_no_rows(tmp_path):
    (tmp_path / "2.txt").write_text(stay(2, [("05:00", "HR", 70)]))
    _, measured = read(tmp_path, stay(1, []))
    means, lengths = _physionet_records.hourly_means(measured, np.array([1, 2]), ("HR",))
    assert lengths.tolist() == [0, 0]
    assert np.isnan(means).all()


def test_rows_without_a_parameter_name_are_skipped(tmp_path):
    _, measured = read(tmp_path, stay(1, [("00:10", "", 5), ("00:20", "Na", 140), ("47:00", "", -1)]))
    assert measured[["minute", "parameter", "value"]].to_numpy().tolist() == [[20, "Na", 140]]


def test_line_ends_and_a_missing_last_one_do_not_matter(tmp_path):
    text = stay(1, [("00:10", "Na", 139), ("00:20", "K", 4)])
    for changed in (text.replace("\n", "\r\n"), text.rstrip("\n"), text + "\n\n"):
        _, measured = read(tmp_path, changed)
        assert measured["value"].to_list() == [139, 4]


# ---- sequences


def test_shapes_mask_and_padding(tmp_path, ten_stays):
    x, mask, ids = everything(PhysioNet2012(root=str(write(tmp_path, ten_stays))).parts())
    assert x.shape == mask.shape == (10, 80, 10)
    assert x.dtype == np.float32
    assert ids.tolist() == list(ten_stays)
    # 00:05 is the first measurement and 47:30 the last: rows end at 47:05, with one value each.
    assert mask[:, :47].all()
    assert not mask[:, 47:].any()
    assert (x[~mask] == 0).all()
    first = [line.split(",")[2] for line in ten_stays[100].splitlines() if line.startswith("00:30,Temp")]
    assert x[0, 0, TEN_FEATURES.index("Temp")] == pytest.approx(float(first[0]), abs=1e-5)


def test_only_missing_values_are_masked_inside_a_stay(tmp_path, ten_stays):
    lines = ten_stays[100].splitlines(keepends=True)
    ten_stays = {**ten_stays, 100: "".join(line for line in lines if not line.startswith("03:30,GCS"))}
    parts = PhysioNet2012(root=str(write(tmp_path, ten_stays))).parts()
    _, mask, _ = everything(parts)
    assert np.argwhere(~mask[:, :47]).tolist() == [[0, 3, TEN_FEATURES.index("GCS")]]
    assert parts["test"].lengths.tolist() == [47, 47]


def test_short_and_sparse_stays_are_dropped(tmp_path, ten_stays):
    sparse = [(f"{hour:02d}:30", name, 35) for hour in range(48) for name in TEN_FEATURES[:4]]
    sparser = [row for row in sparse if row[:2] != ("20:30", "GCS")]
    stays = {
        **ten_stays,
        110: full_stay(110, hours=41),  # 00:05 .. 40:30 make 40 full hours
        111: full_stay(111, hours=40),
        112: stay(112, sparse),  # 60 % missing
        113: stay(113, sparser),
        114: stay(114, []),
    }
    root = str(write(tmp_path, stays))
    _, _, ids = everything(PhysioNet2012(root=root).parts())
    assert ids.tolist() == [*range(100, 111), 112]
    _, _, ids = everything(PhysioNet2012(root=root, min_rows=39, max_missing=0.7).parts())
    assert ids.tolist() == list(range(100, 114))
    with pytest.raises(DataError, match="0 stays are left"):
        PhysioNet2012(root=root, min_rows=48).parts()


def test_labels_and_unknown_ones(tmp_path, ten_stays):
    stays = {
        **ten_stays,
        98: full_stay(98, unit=1, gender=-1, age=200, height=-1, weight=20),
        99: full_stay(99, unit=2, gender=1, height=170, weight=70),
    }
    outcomes = {record: f"{record},6,1,5,-1,0" for record in stays}
    outcomes |= {98: "98,-1,-1,-1,-1,1", 99: "99,12,8,30,20,1"}
    (test,) = PhysioNet2012(root=str(write(tmp_path, stays, outcomes=outcomes))).split("test")
    assert test.ids.tolist() == [98, 99]
    assert {name: values.tolist() for name, values in test.labels.items() if values.dtype == np.int64} == {
        "icu_unit": [0, 1],
        "mortality": [1, 1],
        "gender": [-1, 1],
    }
    nan = np.nan
    numbers = {"age": [91.4, 54], "height": [nan, 170], "weight": [nan, 70], "saps": [nan, 12], "sofa": [nan, 8]}
    for name, values in {**numbers, "length_of_stay": [nan, 30]}.items():
        np.testing.assert_array_equal(test.labels[name], values, err_msg=name)
    assert test.spec.factor("icu_unit").classes == ("coronary", "cardiac surgery", "medical", "surgical")
    assert set(test.labels) == {factor.name for factor in test.spec.factors}


def test_the_split_takes_the_first_fifth_for_testing_and_shuffles_the_rest(tmp_path):
    stays = {record: full_stay(record, hours=6) for record in range(500, 533)}
    root = str(write(tmp_path, stays))
    splits = [PhysioNet2012(root=root, min_rows=4, split_seed=seed).parts() for seed in (0, 0, 1)]
    for parts in splits:
        assert {name: len(part) for name, part in parts.items()} == {"train": 21, "valid": 6, "test": 6}
        assert parts["test"].ids.tolist() == list(range(500, 506))
        assert everything(parts)[2].tolist() == list(stays)
        assert parts["valid"].name == "physionet/valid"
    assert (splits[0]["train"].ids == splits[1]["train"].ids).all()
    assert not (splits[0]["train"].ids == splits[2]["train"].ids).all()


def test_center_and_scale_come_from_observed_training_values(tmp_path, ten_stays):
    parts = PhysioNet2012(root=str(write(tmp_path, ten_stays))).parts()
    train = parts["train"]
    for feature in range(10):
        observed = train.x[..., feature][train.mask[..., feature]].astype(np.float64)
        assert len(observed) == 6 * 47
        assert train.spec.center[feature] == pytest.approx(observed.mean())
        assert train.spec.scale[feature] == pytest.approx(observed.std())
    assert parts["test"].spec == train.spec
    assert train.spec.missing
    assert train.spec.length == 80


def test_a_feature_that_is_never_seen_stays_in_its_own_units(tmp_path, ten_stays):
    data = PhysioNet2012(root=str(write(tmp_path, ten_stays)), features=("Temp", "Lactate"))
    assert (data.spec.center[1], data.spec.scale[1]) == (0.0, 1.0)


def test_stays_of_which_nothing_is_seen_are_counted(tmp_path, ten_stays):
    with pytest.raises(DataError, match=r"10 of 10 stays have no value of Lactate; give more features"):
        PhysioNet2012(root=str(write(tmp_path, ten_stays)), features=("Lactate",)).parts()


def test_features_change_the_columns_but_not_the_stays(tmp_path, ten_stays):
    stays = {**ten_stays, 110: stay(110, [(f"{hour:02d}:00", "HR", 80) for hour in range(1, 48)])}
    root = str(write(tmp_path, stays))
    ten, _, ids = everything(PhysioNet2012(root=root).parts())
    data = PhysioNet2012(root=root, features=("all",))
    x, _, other_ids = everything(data.parts())
    assert data.spec.feature_names == ALL_FEATURES
    assert len(ALL_FEATURES) == 37
    assert ids.tolist() == other_ids.tolist() == list(ten_stays)
    np.testing.assert_array_equal(x[..., [ALL_FEATURES.index(name) for name in TEN_FEATURES]], ten)
    two, _, _ = everything(PhysioNet2012(root=root, features=("Temp", "GCS"), rows=20).parts())
    np.testing.assert_array_equal(two, ten[:, :20, [TEN_FEATURES.index("Temp"), TEN_FEATURES.index("GCS")]])


def test_several_sets_are_read_together(tmp_path, ten_stays):
    write(tmp_path, ten_stays)
    write(tmp_path, {record: full_stay(record) for record in range(90, 95)}, "tar.gz", "c")
    parts = PhysioNet2012(root=str(tmp_path), sets=("a", "c")).parts()
    assert parts["test"].ids.tolist() == [90, 91, 92]
    assert everything(parts)[2].tolist() == [*range(90, 95), *range(100, 110)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sets": ("a", "a")}, "each once"),
        ({"sets": ()}, "one or more"),
        ({"sets": ("d",)}, "invalid enum value"),
        ({"features": ("HR", "Tmp")}, "Did you mean 'Temp'"),
        ({"features": ("HR", "HR")}, "each once"),
        ({"test": "last"}, r"test = 'last': expected Literal\['first', 'random'\]"),
        ({"unlabelled": ("b", "b")}, "unlabelled = .*each once"),
        ({"unlabelled": ("a",)}, "'a' would be in training with and without labels"),
        ({"sets": ("a", "b"), "unlabelled": ("c", "a"), "test_set": "b"}, "'a' would be in training"),
        ({"test_set": "b"}, r"test_set = 'b' with sets = \('a',\): expected one of `sets`, and another"),
        ({"test_set": "a"}, r"test_set = 'a' with sets = \('a',\): .*another one in it to train on"),
        ({"sets": ("a", "b"), "test_set": "b", "test": "random"}, "test = 'random' with test_set = 'b': a whole set"),
        ({"rows": 0}, "rows = 0: expected a value at least 1"),
        ({"max_missing": 1.5}, "max_missing"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        PhysioNet2012(**settings).parts()


def test_settings_are_a_declaration():
    data = PhysioNet2012(sets=("a", "b"), split_seed=3)
    assert from_dict(PhysioNet2012, to_dict(data)) == data == clone(data)
    assert PhysioNet2012.citation.startswith("@inproceedings{silva2012physionet")
    assert [file.name for file in data.needed()] == ["set-a.tar.gz", "Outcomes-a.txt", "set-b.tar.gz", "Outcomes-b.txt"]
    assert all(file.url == f"https://physionet.org/files/challenge-2012/1.0.0/{file.name}" for file in data.files())


# ---- other test parts, and stays without labels


@pytest.fixture(scope="module")
def three_sets(tmp_path_factory):
    """Sets a (500..532), b (600..611) and c (400..406), whose records lie before the others."""
    folder = tmp_path_factory.mktemp("three")
    for letter, records in {"a": range(500, 533), "b": range(600, 612), "c": range(400, 407)}.items():
        write(folder, {record: full_stay(record, hours=6) for record in records}, letter=letter)
    return str(folder)


def three(root, **settings):
    return PhysioNet2012(root=root, min_rows=4, **settings).parts()


def test_a_random_fifth_can_be_the_test_part(three_sets):
    first = three(three_sets)
    parts = [three(three_sets, test="random", split_seed=seed) for seed in (0, 0, 1)]
    for drawn in parts:
        assert {name: len(part) for name, part in drawn.items()} == {name: len(part) for name, part in first.items()}
        assert everything(drawn)[2].tolist() == list(range(500, 533))
        assert all((np.diff(part.ids) > 0).all() for part in drawn.values())
    assert all((parts[0][name].ids == parts[1][name].ids).all() for name in first)
    tests = [set(drawn["test"].ids) for drawn in parts[1:]]
    assert tests[0] != tests[1] != set(first["test"].ids)


def test_every_stay_is_tested_on_by_some_seed(three_sets):
    tested = [three(three_sets, test="random", split_seed=seed)["test"].ids for seed in range(40)]
    assert set(np.concatenate(tested)) == set(range(500, 533))


def test_a_whole_set_can_be_the_test_part(three_sets):
    parts = three(three_sets, sets=("a", "b"), test_set="b")
    assert {name: len(part) for name, part in parts.items()} == {"train": 26, "valid": 7, "test": 12}
    assert parts["test"].ids.tolist() == list(range(600, 612))
    assert (parts["test"].labels["mortality"] == parts["test"].ids % 2).all()
    turned = three(three_sets, sets=("a", "c"), test_set="c")
    assert turned["test"].ids.tolist() == list(range(400, 407))
    assert (turned["train"].ids == parts["train"].ids).all()
    assert turned["train"].spec == parts["train"].spec


def test_unlabelled_stays_join_training_without_labels(three_sets):
    labelled, parts = three(three_sets), three(three_sets, unlabelled=("c", "b"))
    train, n = parts["train"], len(labelled["train"])
    assert train.ids[n:].tolist() == [*range(400, 407), *range(600, 612)]
    assert len(train.x) == len(train.mask) == len(train.lengths) == n + 19
    for name, values in train.labels.items():
        assert (values[:n] == labelled["train"].labels[name]).all() or not train.spec.factor(name).classes
        more = values[n:]
        assert (more == -1).all() if train.spec.factor(name).classes else np.isnan(more).all()
        assert values.dtype == labelled["train"].labels[name].dtype
    for name in ("valid", "test"):
        assert parts[name].fingerprint() == labelled[name].fingerprint()
    assert train[:n].fingerprint() == labelled["train"].fingerprint()
    assert train.name == "physionet/train"


def test_the_test_set_may_be_learned_from_without_labels(three_sets):
    plain = three(three_sets, sets=("a", "b"), test_set="b")
    parts = three(three_sets, sets=("a", "b"), test_set="b", unlabelled=("b",))
    train, test = parts["train"], parts["test"]
    assert train.ids[26:].tolist() == test.ids.tolist()
    np.testing.assert_array_equal(train.x[26:], test.x)
    assert set(train.labels["mortality"][26:]) == {-1}
    assert set(test.labels["mortality"]) == {0, 1}
    # What is tested on must not shift the scales, whether or not it is learned from.
    assert train.spec == plain["train"].spec


def test_a_test_set_of_which_nothing_is_left_is_refused(tmp_path):
    write(tmp_path, {record: full_stay(record) for record in range(100, 110)})
    write(tmp_path, {record: full_stay(record, hours=6) for record in range(200, 203)}, letter="b")
    with pytest.raises(DataError, match="no stay of set b is left to test on"):
        PhysioNet2012(root=str(tmp_path), sets=("a", "b"), test_set="b").parts()


def test_only_the_named_sets_are_needed():
    data = PhysioNet2012(sets=("a", "b"), test_set="b", unlabelled=("b", "c"))
    assert [file.name for file in data.needed()] == [
        f"{n}" for x in "abc" for n in (f"set-{x}.tar.gz", f"Outcomes-{x}.txt")
    ]


# ---- prepared cache


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQDIS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def no_reading(source):
    raise AssertionError(f"read {source} although it was prepared")


def test_prepared_data_are_reused_for_every_split_seed(tmp_path, ten_stays, cache, monkeypatch):
    root = str(write(tmp_path / "data", ten_stays, "tar.gz"))
    fresh = PhysioNet2012(root=root).fingerprint()
    assert [path.suffix for path in cache.iterdir()] == [".npz"]
    monkeypatch.setattr(physionet, "read_records", no_reading)
    assert PhysioNet2012(root=root).fingerprint() == fresh
    assert PhysioNet2012(root=root, split_seed=5).fingerprint() != fresh
    with pytest.raises(AssertionError, match="although"):
        PhysioNet2012(root=root, max_missing=0.5).parts()


@pytest.mark.parametrize("form", ["tar.gz", "folder"])
def test_changed_files_are_prepared_anew(tmp_path, ten_stays, cache, form):
    root = write(tmp_path / "data", ten_stays, form)
    fresh, _, _ = everything(PhysioNet2012(root=str(root)).parts())
    changed = full_stay(109, seed=1)
    if form == "folder":
        (root / "set-a" / "109.txt").write_text(changed)
    else:
        write(root, {**ten_stays, 109: changed}, form)
    again, _, _ = everything(PhysioNet2012(root=str(root)).parts())
    assert (fresh != again).any(axis=(1, 2)).tolist() == [False] * 9 + [True]
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_damaged_cache_file_is_rebuilt(tmp_path, ten_stays, cache, damage, caplog):
    root = str(write(tmp_path / "data", ten_stays))
    fresh = PhysioNet2012(root=root).fingerprint()
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    flipped = whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:]
    path.write_bytes(flipped if damage is None else damage)
    assert PhysioNet2012(root=root).fingerprint() == fresh
    assert "rebuilding the damaged cache file" in caplog.text
    assert path.read_bytes() != damage
    assert PhysioNet2012(root=root).fingerprint() == fresh
    assert caplog.text.count("rebuilding") == 1


def test_a_cache_that_cannot_be_written_leaves_nothing_half_done(tmp_path, ten_stays, cache, monkeypatch, caplog):
    def disk_full(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_cache.np, "savez", disk_full)
    assert len(PhysioNet2012(root=str(write(tmp_path / "data", ten_stays))).parts()) == 3
    assert "No space left" in caplog.text
    assert list(cache.iterdir()) == []


# ---- the real data


@pytest.mark.data
def test_set_a_has_the_known_sizes(data_root):
    if not (data_root / "physionet2012").is_dir():
        pytest.skip("no physionet2012 folder")
    data = PhysioNet2012(root=str(data_root))
    parts = data.parts()
    assert {name: len(part) for name, part in parts.items()} == {"train": 1189, "valid": 298, "test": 371}
    assert parts["test"].labels["mortality"].sum() == 39
    assert sum(part.labels["mortality"].sum() for part in parts.values()) == 225
    assert max(part.lengths.max() for part in parts.values()) == 47
    assert np.bincount(parts["test"].labels["icu_unit"]).tolist() == [40, 102, 109, 120]
    x, mask, ids = everything(parts)
    assert mask.sum() == 391_589
    assert ids[:3].tolist() == [132540, 132543, 132545]
    temperature = TEN_FEATURES.index("Temp")
    observed = x[..., temperature][mask[..., temperature]]
    assert observed.min() >= 25
    assert observed.max() <= 45


@pytest.mark.data
def test_set_a_trains_and_set_b_tests(data_root):
    if not (data_root / "physionet2012" / "set-b.tar.xz").is_file():
        pytest.skip("no set-b.tar.xz")
    data = PhysioNet2012(root=str(data_root), sets=("a", "b"), test_set="b", features=("all",), unlabelled=("b",))
    train, valid, test = data.split("train", "valid", "test")
    assert (len(train) - len(test), len(valid), len(test)) == (1486, 372, 1873)
    assert (train.labels["mortality"] >= 0).sum() == 1486
    assert (test.labels["mortality"] >= 0).all()


@pytest.mark.data
def test_the_known_defects_of_set_b(data_root):
    folder = data_root / "physionet2012"
    if not (folder / "set-b.tar.xz").is_file():
        pytest.skip("no set-b.tar.xz")
    rows = _physionet_records.read_records(folder / "set-b.tar.xz")
    assert len(rows) == 1_762_535
    descriptors, measured = _physionet_records.split_descriptors(rows)
    assert len(descriptors) == 4000
    assert descriptors["Height"].isna().sum() == 1930
    outcomes = _physionet_records.read_outcomes(folder / "Outcomes-b.txt", descriptors.index.to_numpy(), folder)
    assert outcomes["In-hospital_death"].sum() == 568
    empty = np.setdiff1d(descriptors.index, measured["record"])
    assert set(empty) <= {140501, 140936, 141264, 142731, 142998, 143656, 145611, 147514, 150309, 150649}
    assert [entry.state for entry in check(PhysioNet2012(root=str(data_root), sets=("b",)))] == ["verified"] * 2


@pytest.mark.data
def test_status_reads_no_content(data_root):
    if not (data_root / "physionet2012").is_dir():
        pytest.skip("no physionet2012 folder")
    assert [entry.state for entry in status(PhysioNet2012(root=str(data_root)))] == ["present"] * 2
