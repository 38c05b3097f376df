"""``seqdis encode`` and ``seqdis swap``: what they write, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import ONE_EPOCH, Refused, edit, files, refused

from seqdis import load
from seqdis.cli import encode


def test_codes_are_those_of_the_model(seqdis, runs: Path) -> None:
    done = seqdis("encode file a.npy --out deep/codes.npz")
    assert done == (0, "deep/codes.npz: static (12, 16), dynamic (12, 2, 16)\n", "")
    expected = load(runs / "file").encode(np.load(runs / "a.npy"))
    with np.load(runs / "deep/codes.npz", allow_pickle=False) as codes:
        assert sorted(codes.files) == ["dynamic", "ids", "static"]
        np.testing.assert_array_equal(codes["static"], expected.static)
        np.testing.assert_array_equal(codes["dynamic"], expected.dynamic)
        np.testing.assert_array_equal(codes["ids"], np.arange(12))


def test_ragged_sequences_have_lengths_in_windows(seqdis, runs: Path) -> None:
    assert seqdis("encode file b.npz --out codes.npz").status == 0
    with np.load(runs / "codes.npz") as codes, np.load(runs / "b.npz") as given:
        np.testing.assert_array_equal(codes["lengths"], -(-given["lengths"] // 4))


def test_columns_are_read_as_in_the_fit(seqdis, data: Path) -> None:
    columns = ("--data.id-column", "patient", "--data.time-column", "hour", "--data.label-columns", "sex")
    assert seqdis("fit", "dbse", "c.csv", *ONE_EPOCH, *columns, "--out", "run").status == 0
    assert seqdis("encode run c.csv --out codes.npz").status == 0
    with np.load(data / "codes.npz") as codes:
        assert codes["ids"].tolist() == [f"p{i:02d}" for i in range(12)]
    assert seqdis("swap run c.csv e.parquet").out == "hybrids.npz: (12, 8, 3)\n"
    refused(seqdis, data, Refused("encode run c.csv --id-column id --out x.npz", 1, "no column 'id'"))


def test_hybrids_are_those_of_the_model(seqdis, runs: Path) -> None:
    x = np.load(runs / "a.npy")
    np.save(runs / "long.npy", np.concatenate([x, x[:, :3]], axis=1))
    assert seqdis("swap file a.npy long.npy --out h.npz") == (0, "h.npz: (12, 11, 3)\n", "")
    expected = load(runs / "file").swap(x, np.load(runs / "long.npy"))
    with np.load(runs / "h.npz") as hybrids:
        assert sorted(hybrids.files) == ["dynamic_ids", "static_ids", "x"]
        np.testing.assert_array_equal(hybrids["x"], expected)


def test_hybrids_of_ragged_sequences_say_their_lengths_and_donors(seqdis, runs: Path) -> None:
    assert seqdis("swap file a.npy b.npz --out h.npz").status == 0
    with np.load(runs / "h.npz") as hybrids, np.load(runs / "b.npz") as given:
        np.testing.assert_array_equal(hybrids["lengths"], given["lengths"])
        np.testing.assert_array_equal((~np.isnan(hybrids["x"][..., 0])).sum(1), given["lengths"])
        assert hybrids["static_ids"].tolist() == hybrids["dynamic_ids"].tolist() == list(range(12))
    assert seqdis("encode file h.npz --out again.npz").status == 0
    with np.load(runs / "again.npz") as codes:
        assert np.isfinite(codes["static"]).all()


def test_new_rows_need_no_labels(seqdis, data: Path) -> None:
    columns = ("--data.id-column", "patient", "--data.time-column", "hour", "--data.label-columns", "sex")
    assert seqdis("fit", "dbse", "c.csv", *ONE_EPOCH, *columns, "--out", "run").status == 0
    table = pd.read_csv(data / "c.csv")
    features = [name for name in table.columns if name not in ("patient", "hour", "sex")]
    table[["patient", "hour", *features[::-1]]].to_csv(data / "new.csv", index=False)
    assert seqdis("encode run c.csv --out one.npz").status == seqdis("encode run new.csv --out two.npz").status == 0
    with np.load(data / "one.npz") as one, np.load(data / "two.npz") as two:
        np.testing.assert_array_equal(one["static"], two["static"])


MISTAKES = [
    Refused("encode file a.npy --out b.npz", 1, "--out b.npz: this file exists. Give another name, or delete it."),
    Refused("swap file a.npy a.npy --out b.npz", 1, "--out b.npz: this file exists"),
    Refused("encode file a.npy --out codes.csv", 2, "--out codes.csv: use a name ending in .npz."),
    Refused("swap file a.npy a.npy --out hybrids", 2, "--out hybrids: use a name ending in .npz."),
    Refused("encode file a.npy --out a.npy/codes.npz", 1, "codes.npz cannot be written: a.npy is a file, not a folder"),
    Refused("encode file a.npy --oot x.npz", 2, "Perhaps you meant: --out"),
    Refused("encode file gone.npy", 1, "there is no file"),
    Refused("encode file gone", 1, "there is no file or folder"),
    Refused(
        "encode file two.npy", 1, "two: steps are series of shape (2,); this DBSE was fitted on series of shape (3,)"
    ),
    Refused("encode file .", 2, ". is a folder, and file was fitted on file: give a file (.npy or .npz) of series"),
    Refused("encode gone a.npy", 1, "gone is not a run folder: it has no run.json"),
    Refused("encode a.npy file", 1, "a.npy is not a run folder: it has no run.json"),
    Refused("encode file a.npy a.npy", 2, "encode needs RUN and DATA before any --setting; got file a.npy a.npy"),
    Refused("swap file a.npy", 2, "swap needs RUN, DATA_A and DATA_B"),
    Refused("swap file a.npy two.npy", 1, "two: steps are series of shape (2,)"),
    Refused("swap toy0 a.npy a.npy", 1, "this DBSE was fitted on series of shape (6,)"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.command)
def test_a_mistake_is_explained_and_changes_nothing(seqdis, runs: Path, case: Refused) -> None:
    refused(seqdis, runs, case)


def test_a_swap_of_unequal_files_is_refused(seqdis, runs: Path) -> None:
    np.save(runs / "few.npy", np.load(runs / "a.npy")[:5])
    refused(seqdis, runs, Refused("swap file few.npy a.npy", 1, "swap pairs rows: got 5 and 12 sequences"))


def test_nothing_is_left_of_an_archive_that_could_not_be_written(seqdis, runs: Path, monkeypatch) -> None:
    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encode.np, "savez_compressed", full)
    refused(seqdis, runs, Refused("encode file a.npy --out codes.npz", 1, "No space left on device"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "unfinished": (lambda run: edit(run / "run.json", weights_sha256=None), "truncated or altered"),
    "run.json cut": (lambda run: cut(run / "run.json"), "run.json cannot be read"),
    "run.json is a list": (lambda run: (run / "run.json").write_text("[]"), "not a run.json that seqdis wrote"),
    "weights cut": (lambda run: cut(run / "weights.safetensors"), "does not match the checksum"),
    "weights gone": (lambda run: (run / "weights.safetensors").unlink(), "weights.safetensors cannot be read"),
    "log cut": (lambda run: cut(run / "log.jsonl"), "log.jsonl cannot be read"),
    "log not text": (lambda run: (run / "log.jsonl").write_bytes(b"\xff\xfe"), "log.jsonl cannot be read"),
    "no identity": (lambda run: edit(run / "run.json", identity="mine"), "was altered or comes from another version"),
    "another method": (lambda run: edit(run / "run.json", method="gone:Gone"), "no module 'gone'"),
    "no method": (lambda run: edit(run / "run.json", method="os:PathLike"), "which is not a method"),
    "impossible setting": (
        lambda run: edit(run / "run.json", settings={"static_dim": -1}),
        "expected a value at least",
    ),
    "other columns": (
        lambda run: edit(run / "run.json", about={"data": {"entry": "file", "settings": [1]}}),
        "UserFile: expected an object with named settings",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_run_folder_that_was_spoilt_is_refused(seqdis, runs: Path, damage: str) -> None:
    spoil, words = DAMAGE[damage]
    spoil(runs / "file")
    before = files(runs)
    done = seqdis("encode file a.npy --out codes.npz")
    assert done.status in (1, 2)
    assert words in done.err
    assert files(runs) == before


def test_an_unfinished_run_says_how_to_go_on(seqdis, runs: Path) -> None:
    content = json.loads((runs / "file/run.json").read_text())
    content.pop("weights_sha256")
    (runs / "file/run.json").write_text(json.dumps(content))
    for command in ("encode file a.npy", "swap file a.npy a.npy", "evaluate file latent-leakage", "report file"):
        refused(seqdis, runs, Refused(command, 1, "this run is not finished. Run the same `seqdis fit` again"))
