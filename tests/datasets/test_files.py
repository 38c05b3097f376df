import numpy as np
import pandas as pd
import pytest

from seqdis.datasets.files import UserFile
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import from_dict, signature, to_dict

N, TIME, FEATURES = 20, 6, 3


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(N, TIME, FEATURES)).astype(np.float32)


def table(x):
    """The same values as a long table, shuffled: neither sequences nor steps in order."""
    n, time = x.shape[:2]
    frame = pd.DataFrame(x.reshape(-1, x.shape[2]), columns=["a", "b", "c"])
    frame["id"], frame["time"] = np.repeat(np.arange(n), time), np.tile(np.arange(time) * 0.5, n)
    frame["who"] = np.repeat(np.where(np.arange(n) % 2, "ann", "bob"), time)
    return frame.sample(frac=1, random_state=0)


def gathered(parts, name="x"):
    """One array of all parts, in the order of the file."""
    order = np.argsort(np.concatenate([part.ids for part in parts.values()]))
    return np.concatenate([getattr(part, name) for part in parts.values()])[order]


def test_npy_is_divided_at_random_by_seed(tmp_path, x):
    np.save(tmp_path / "gait.npy", x)
    parts = UserFile(path=str(tmp_path / "gait.npy")).parts()
    assert {name: len(part) for name, part in parts.items()} == {"train": 16, "valid": 2, "test": 2}
    assert parts["train"].name == "gait/train"
    np.testing.assert_array_equal(gathered(parts), x)
    for part in parts.values():
        np.testing.assert_array_equal(part.x, x[part.ids])
    other = UserFile(path=str(tmp_path / "gait.npy"), split_seed=1).parts()
    assert not np.array_equal(other["test"].ids, parts["test"].ids)


def test_nan_in_an_array_means_missing(tmp_path, x):
    x[3, 2, 1] = np.nan
    np.save(tmp_path / "gait.npy", x)
    parts = UserFile(path=str(tmp_path / "gait.npy")).parts()
    assert np.argwhere(~gathered(parts, "mask")).tolist() == [[3, 2, 1]]


def test_npz_carries_mask_lengths_times_and_labels(tmp_path, x):
    mask = np.random.default_rng(1).random(x.shape) < 0.8
    mask[:, 0] = True
    lengths = np.arange(N) % 3 + 4
    times = np.cumsum(np.ones((N, TIME)), axis=1)
    who, phase = np.array(["ann", "bob"])[np.arange(N) % 2], np.tile(np.arange(TIME), (N, 1))
    np.savez(tmp_path / "gait.npz", x=x, mask=mask, lengths=lengths, times=times, who=who, phase=phase)
    data = UserFile(path=str(tmp_path / "gait.npz"), valid=0, test=0.25)
    parts = data.parts()
    assert {name: len(part) for name, part in parts.items()} == {"train": 15, "test": 5}
    np.testing.assert_array_equal(gathered(parts, "lengths"), lengths)
    np.testing.assert_array_equal(gathered(parts, "times"), times)
    np.testing.assert_array_equal(gathered(parts, "mask"), mask & (np.arange(TIME)[:, None] < lengths[:, None, None]))
    test = parts["test"]
    np.testing.assert_array_equal(test.labels["who"], test.ids % 2)
    np.testing.assert_array_equal(test.labels["phase"], phase[:5])
    assert data.spec.factor("who").classes == ("ann", "bob")
    assert data.spec.factor("phase").kind == "dynamic"


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_tables_are_read_by_id_and_time(tmp_path, x, form):
    path = tmp_path / f"gait.{form}"
    if form == "parquet":
        pytest.importorskip("pyarrow")
        table(x).to_parquet(path)
    else:
        table(x).to_csv(path, index=False)
    data = UserFile(path=str(path), label_columns=("who",))
    np.testing.assert_allclose(gathered(data.parts()), x, rtol=1e-6)
    assert data.spec.feature_names == ("a", "b", "c")
    assert data.spec.factor("who").classes == ("ann", "bob")
    (test,) = data.split("test")
    np.testing.assert_array_equal(test.labels["who"], test.ids % 2 == 0)
    np.testing.assert_array_equal(test.times[0], np.arange(TIME) * 0.5)


def test_column_names_can_be_given(tmp_path, x):
    frame = table(x).rename(columns={"id": "trial", "time": "seconds"}).drop(columns="who")
    frame.to_csv(tmp_path / "gait.csv", index=False)
    with pytest.raises(DataError, match=r"'id'.*trial"):
        UserFile(path=str(tmp_path / "gait.csv")).parts()
    data = UserFile(path=str(tmp_path / "gait.csv"), id_column="trial", time_column="seconds")
    np.testing.assert_allclose(gathered(data.parts()), x, rtol=1e-6)


def test_columns_of_what_has_none_are_refused(tmp_path, x):
    np.savez(tmp_path / "gait.npz", x=x, who=np.arange(N) % 2)
    for option, value in (("label_columns", ("who",)), ("id_column", "patient"), ("time_column", "hour")):
        with pytest.raises(SettingsError, match=rf"{option} = .*gait.npz holds arrays and has no columns"):
            UserFile(path=str(tmp_path / "gait.npz"), **{option: value}).split("train")


def test_kind_says_what_a_step_is(tmp_path, x):
    np.save(tmp_path / "sound.npy", x)
    assert UserFile(path=str(tmp_path / "sound.npy")).spec.kind == "series"
    assert UserFile(path=str(tmp_path / "sound.npy"), kind="spectrogram").spec.kind == "spectrogram"
    np.save(tmp_path / "video.npy", np.zeros((N, 2, 3, 4, 4), dtype=np.uint8))
    assert UserFile(path=str(tmp_path / "video.npy")).spec.kind == "image"
    table(x).drop(columns="who").to_csv(tmp_path / "gait.csv", index=False)
    with pytest.raises(SettingsError, match=r"kind = 'image': tables such as gait\.csv hold series"):
        UserFile(path=str(tmp_path / "gait.csv"), kind="image").parts()


@pytest.mark.parametrize("form", ["npy", "npz", "csv.gz", "parquet"])
def test_a_truncated_file_is_named(tmp_path, x, form):
    path = tmp_path / f"gait.{form}"
    if form == "parquet":
        pytest.importorskip("pyarrow")
        table(x).to_parquet(path)
    elif form == "csv.gz":
        table(x).to_csv(path, index=False)
    else:
        (np.save if form == "npy" else np.savez)(path, x)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"gait\.{form} cannot be read.*cut short or damaged"):
        UserFile(path=str(path)).parts()


@pytest.mark.parametrize("form", ["npy", "npz", "csv"])
def test_an_empty_file_is_named(tmp_path, form):
    (tmp_path / f"gait.{form}").write_bytes(b"")
    with pytest.raises(DataError, match=rf"gait\.{form} cannot be read"):
        UserFile(path=str(tmp_path / f"gait.{form}")).parts()


class Payload:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_python_objects_are_never_loaded(tmp_path, form):
    objects = np.array([Payload(str(tmp_path / "owned"))], dtype=object)
    path = tmp_path / f"gait.{form}"
    np.save(path, objects, allow_pickle=True) if form == "npy" else np.savez(path, x=objects)
    with pytest.raises(DataError, match="Python objects, which are never loaded") as refused:
        UserFile(path=str(path)).parts()
    assert "allow_pickle" not in str(refused.value)
    assert not (tmp_path / "owned").exists()


def test_wrong_content_of_an_npz_is_explained(tmp_path, x):
    path = tmp_path / "gait.npz"
    cases = {
        "array named 'x'.*found data": {"data": x},
        "'times' is float64 of shape": {"x": x, "times": np.zeros(N)},
        "'times' is <U1": {"x": x, "times": np.full((N, TIME), "t")},
        r"'who' has shape \(3,\)": {"x": x, "who": np.zeros(3)},
        r"'version' has shape \(\)": {"x": x, "version": np.array(3)},
        "expected \\(n, time, features\\)": {"x": np.zeros(N)},
        "lengths must": {"x": x, "lengths": np.ones(3, dtype=int)},
    }
    for message, arrays in cases.items():
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=message):
            UserFile(path=str(path)).parts()


def test_wrong_paths_are_explained(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*gait\.npy"):
        UserFile(path=str(tmp_path / "gait.npy")).parts()
    for path in ("", "gait.mat"):
        with pytest.raises(SettingsError, match=r"expected a file ending in \.npy, \.npz, \.csv"):
            UserFile(path=path).parts()


def test_impossible_parts_are_refused(tmp_path, x):
    np.save(tmp_path / "gait.npy", x[:2])
    with pytest.raises(DataError, match="2 sequences cannot be divided into 3 parts"):
        UserFile(path=str(tmp_path / "gait.npy")).parts()
    with pytest.raises(SettingsError, match="nothing is left for train"):
        UserFile(path=str(tmp_path / "gait.npy"), valid=0.6, test=0.6).parts()
    with pytest.raises(SettingsError, match=r"valid = -0\.1"):
        UserFile(path=str(tmp_path / "gait.npy"), valid=-0.1).parts()


def test_a_moved_file_is_the_same_run():
    here, there = UserFile(path="a/gait.npy"), UserFile(path="b/gait.npy")
    assert signature(here) == signature(there) != signature(UserFile(path="a/gait.npy", test=0.2))
    assert from_dict(UserFile, to_dict(here)) == here


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["007", "08", "10"], ["007", "08", "10"]),  # zeros in front would be lost
        (["10", "2", "3"], [2, 3, 10]),
        (["12e4", "120000", "7"], ["120000", "12e4", "7"]),
        (["-1", "0", "2"], [-1, 0, 2]),
        (["a", "1", "b"], ["1", "a", "b"]),
    ],
)
def test_ids_are_kept_as_written_where_numbers_would_lose_them(tmp_path, ids, expected):
    rows = "".join(f"{name},{t},{t}.5\n" for name in ids for t in range(2))
    (tmp_path / "t.csv").write_text("id,time,u\n" + rows)
    assert UserFile(path=str(tmp_path / "t.csv")).whole().ids.tolist() == expected


def test_tables_without_labels_are_read_where_none_are_needed(tmp_path):
    (tmp_path / "t.csv").write_text("id,time,u\n1,0,2\n1,1,3\n")
    data = UserFile(path=str(tmp_path / "t.csv"), label_columns=("sex",))
    assert data.whole(labelled=False).labels == {}
    with pytest.raises(DataError, match="no column 'sex'"):
        data.whole()


def test_tables_of_another_dialect_say_what_to_save(tmp_path):
    (tmp_path / "t.csv").write_text("id;time;u\n1;0;2\n")
    with pytest.raises(DataError, match=r"one column named 'id;time;u'\. Save it with commas between columns"):
        UserFile(path=str(tmp_path / "t.csv")).whole()
    (tmp_path / "t.csv").write_text("id\ttime\tu\n1\t0\t2\n")
    with pytest.raises(DataError, match="Save it with commas between columns"):
        UserFile(path=str(tmp_path / "t.csv")).whole()
    (tmp_path / "t.csv").write_text("id,time,u,u\n1,0,2,3\n")
    with pytest.raises(DataError, match=r"t\.csv: several columns are called 'u'"):
        UserFile(path=str(tmp_path / "t.csv")).whole()
    (tmp_path / "t.csv").write_bytes("id,time,größe\n1,0,2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"no text in UTF-8 .* Save it again with that encoding"):
        UserFile(path=str(tmp_path / "t.csv")).whole()


def test_ids_of_an_archive_are_ids_and_no_label(tmp_path, x):
    ids = np.array([f"p{i}" for i in range(len(x))])
    np.savez(tmp_path / "gait.npz", x=x, ids=ids)
    found = UserFile(path=str(tmp_path / "gait.npz")).whole()
    assert found.ids.tolist() == ids.tolist()
    assert found.labels == {}
    np.savez(tmp_path / "gait.npz", x=x, ids=np.zeros(len(x)))
    with pytest.raises(DataError, match=r"'ids' has shape .* each once"):
        UserFile(path=str(tmp_path / "gait.npz")).whole()


def test_none_is_a_word_among_words_and_ids_are_as_written(tmp_path):
    rows = [("NA", "None", "1"), ("b", "drug", "None"), ("c", "", "0"), ("d", "drug", ""), ("e", "NA", "NA")]
    lines = "".join(f"{name},{t},{t}.5,{treat},{died}\n" for name, treat, died in rows for t in range(2))
    (tmp_path / "t.csv").write_text("id,time,u,treat,died\n" + lines.replace("b,1,1.5", "b,1,nan"))
    found = UserFile(path=str(tmp_path / "t.csv"), label_columns=("treat", "died")).whole()
    assert found.ids.tolist() == ["NA", "b", "c", "d", "e"]
    assert found.spec.factor("treat").classes == ("None", "drug")
    assert found.labels["treat"].tolist() == [0, 1, -1, 1, -1]
    assert found.spec.factor("died").classes == ("0", "1")
    assert found.labels["died"].tolist() == [1, -1, 0, -1, -1]
    assert found.mask[:, :, 0].tolist() == [[True, True], [True, False]] + [[True, True]] * 3
