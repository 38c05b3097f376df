"""``seqdis fit``: every kind of data, reuse and resuming, and mistakes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import ONE_EPOCH, TOY, Refused, refused

from seqdis import load
from seqdis.cli import fit
from seqdis.hyperparameters import to_dict
from seqdis.methods import DBSE

COLUMNS = ("--data.id-column", "patient", "--data.time-column", "hour", "--data.label-columns", "sex")


def weights(run: Path) -> bytes:
    return (run / "weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("name", "flags"),
    [("a.npy", ()), ("b.npz", ()), ("c.csv", COLUMNS), ("d.csv.gz", COLUMNS), ("e.parquet", COLUMNS)],
)
def test_a_file_of_the_user(seqdis, data: Path, name: str, flags: tuple[str, ...]) -> None:
    done = seqdis("fit", "dbse", name, *ONE_EPOCH, *flags)
    assert done.status == 0
    results = done.out.splitlines()
    assert results[0].startswith("epoch 1: reconstruction ")
    assert results[1:] == [f"run folder: runs/dbse-{name}"]
    assert done.err == "DBSE on file: 9 sequences, 8 steps of (3,)\n"
    model = load(data / "runs" / f"dbse-{name}")
    assert model.spec_.missing == (name == "b.npz")
    assert [factor.name for factor in model.spec_.factors] == ([] if name == "a.npy" else ["sex"])


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        ("toy-series", TOY, "DBSE on toy-series: 16 sequences, 16 steps of (6,)"),
        (
            "moving-figures",
            ("--data.n-train", "8", "--data.n-valid", "2", "--data.n-test", "2", "--filters", "4"),
            "DBSE on moving-figures: 8 sequences, 8 steps of (3, 32, 32)",
        ),
    ],
)
def test_a_generated_data_set(seqdis, tmp_path: Path, name: str, flags: tuple[str, ...], said: str) -> None:
    done = seqdis("fit", "dbse", name, *ONE_EPOCH, *flags)
    assert (done.status, done.err) == (0, said + "\n")
    assert (tmp_path / "runs" / f"dbse-{name}" / "weights.safetensors").exists()


def test_the_same_command_reuses_a_finished_run_and_says_so(seqdis, data: Path) -> None:
    words = "fit dbse a.npy --training.max-epochs 1"
    first = seqdis(words)
    before = weights(data / "runs/dbse-a.npy")
    again = seqdis(words)
    assert "already finished" in again.err
    assert "already finished" not in first.err
    assert (again.status, again.out) == (0, first.out)
    assert weights(data / "runs/dbse-a.npy") == before


class Stopped(fit._Progress):
    """Somebody presses Ctrl-C when the second epoch is done."""

    def __call__(self, done: int, total: int, record: dict[str, Any] | None) -> None:
        super().__call__(done, total, record)
        if record is not None and record["epoch"] == 2:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_where_it_was(seqdis, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "fit dbse a.npy --training.max-epochs 4 --training.save-seconds 0 --training.batch-size 4"
    with monkeypatch.context() as patch:
        patch.setattr(fit, "_Progress", Stopped)
        done = seqdis(words)
    assert (done.status, done.out) == (130, "")
    assert "interrupted. Run the same command again to go on." in done.err
    again = seqdis(words)
    assert again.status == 0
    assert "resumed after epoch 2 of 4\n" in again.err
    whole = seqdis(words + " --out whole")
    assert "resumed" not in whole.err
    assert weights(data / "runs/dbse-a.npy") == weights(data / "whole")


def test_progress_is_a_bar_on_a_terminal_and_a_line_now_and_then_in_a_log(
    seqdis, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "LOG_SECONDS", 0.0)
    logged = seqdis("fit dbse a.npy --training.max-epochs 2 --out log")
    assert [line[:14] for line in logged.err.splitlines()[1:]] == ["epoch 1 of 2: ", "epoch 2 of 2: "]
    assert len(seqdis("fit dbse a.npy --training.max-epochs 2 --out hushed --quiet").err.splitlines()) == 1
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = seqdis("fit dbse a.npy --training.max-epochs 2 --out bar")
    assert "2/2" in shown.err
    assert "loss=" in shown.err
    assert len(seqdis("fit dbse a.npy --training.max-epochs 2 --out still --quiet").err.splitlines()) == 1
    assert logged.out.splitlines()[0] == shown.out.splitlines()[0]


def test_published_settings_are_changed_by_flags(seqdis, data: Path) -> None:
    start = ("--published", "etth1", "--preset=reference", *ONE_EPOCH, "--hidden-dim", "8", "--window", "4")
    assert seqdis("fit", "dbse", "b.npz", *start, "--out", "run").status == 0
    expected = DBSE.published("etth1", "reference").replace(training__max_epochs=1, hidden_dim=8, window=4)
    assert json.loads((data / "run/run.json").read_text())["settings"] == to_dict(expected)


def test_the_run_says_how_it_was_made_and_where_its_file_is(seqdis, data: Path) -> None:
    shutil.move(data / "a.npy", data / "my data.npy")
    assert seqdis("fit", "dbse", "my data.npy", *ONE_EPOCH, "--out", "run").status == 0
    about = json.loads((data / "run/run.json").read_text())["about"]
    assert about["command"] == "seqdis fit dbse 'my data.npy' --training.max-epochs 1 --out run"
    assert about["data"]["settings"]["path"] == str(data / "my data.npy")


def test_a_data_set_is_not_mistaken_for_a_folder_of_its_name(seqdis, tmp_path: Path) -> None:
    (tmp_path / "toy-series").mkdir()
    assert seqdis("fit", "dbse", "toy-series", *ONE_EPOCH, *TOY).status == 0


def test_all_settings_are_in_the_help_of_method_and_data(seqdis, data: Path) -> None:
    done = seqdis("fit dbse c.csv --published mortality --help")
    assert done.status == 0
    for flag in ("--out", "--published", "--quiet", "--static-dim", "--training.lr", "--data.id-column"):
        assert flag + " " in done.out
    assert "(default: runs/dbse-c.csv)" in done.out
    assert not (data / "runs").exists()


MISTAKES = [
    Refused("fit dbes a.npy", 2, "unknown method 'dbes'. Did you mean 'dbse'?"),
    Refused("fit dbse moving-figure", 2, "unknown data set 'moving-figure'. Did you mean 'moving-figures'?"),
    Refused("fit dbse nothere.npy", 1, "there is no file"),
    Refused("fit dbse clip.mp4", 2, "is one video or recording; give the folder that holds it"),
    Refused("fit dbse notes.txt", 1, "there is no file or folder"),
    Refused("fit dbse .", 2, "'.' is a folder"),
    Refused("fit --out x dbse a.npy", 2, "needs METHOD and DATA before any --setting"),
    Refused("fit dbse a.npy --training.max-epoch 1", 2, "Perhaps you meant: --training.max-epochs"),
    Refused("fit dbse a.npy --epochs 1", 2, "Perhaps you meant: --training.max-epochs"),
    Refused("fit dbse a.npy --outt x", 2, "Perhaps you meant: --out"),
    Refused("fit dbse a.npy --publish mortality", 2, "Perhaps you meant: --published"),
    Refused("fit dbse a.npy --published mortalty", 2, "unknown published setting"),
    Refused("fit dbse a.npy --published", 2, "--published: expected one argument"),
    Refused("fit dbse a.npy --preset paper", 2, "give --published as well"),
    Refused("fit dbse a.npy --training.max-epochs one", 2, "invalid literal for int()"),
    Refused("fit dbse a.npy --training.max-epochs 0", 2, "DBSE.training.max_epochs = 0: expected a value at least 1"),
    Refused("fit dbse a.npy --training.lr nan", 2, "expected a finite number"),
    Refused("fit dbse a.npy --anchor sideways", 2, "random_per_batch"),
    Refused("fit dbse a.npy --hidden-dim 100000000 --out huge", 1, "out of memory"),
    Refused("fit dbse a.npy --data.valid 0.9 --data.test 0.9", 2, "nothing is left for train"),
    Refused("fit dbse c.csv", 1, "no column 'id', 'time'"),
    Refused("fit dbse c.csv --data.id-column patient --data.time-column hour", 1, "sex are not numeric"),
    Refused("fit dbse a.npy --out a.npy", 1, "a.npy is a file, not a folder"),
    Refused("fit dbse a.npy --out .", 1, "exists and holds no run"),
    Refused("fit os:PathLike a.npy", 2, "PathLike, which is no Disentangler that can be used"),
    Refused("fit dbse seqdis.methods:DBSE", 2, "DBSE, which is no SequenceDataset that can be used"),
    Refused("fit nowhere:Mine a.npy", 2, "there is no module 'nowhere'"),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.command)
def test_a_mistake_is_explained_and_changes_nothing(seqdis, data: Path, case: Refused) -> None:
    refused(seqdis, data, case)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", bytes(range(256)) * 4], ids=["empty", "cut", "noise"])
@pytest.mark.parametrize("name", ["bad.npy", "bad.npz", "bad.csv", "bad.csv.gz", "bad.parquet"])
def test_a_damaged_file_is_named(seqdis, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refused(seqdis, tmp_path, Refused(f"fit dbse {name}", 1, name))


def test_the_folder_of_another_run_is_refused_and_kept(seqdis, runs: Path) -> None:
    refused(seqdis, runs, Refused("fit dbse a.npy --training.max-epochs 2 --out file", 1, "(different: settings)"))
    refused(seqdis, runs, Refused("fit dbse b.npz --training.max-epochs 1 --out file", 1, "(different: data)"))


def test_missing_data_say_where_they_were_sought_and_what_to_do(seqdis, tmp_path: Path) -> None:
    done = seqdis("fit dbse physionet")
    assert (done.status, done.out) == (1, "")
    assert f"found no set-a.tar.gz, set-a.zip, set-a.tar.xz, set-a in {tmp_path / 'no data'}" in done.err
    assert "Run `seqdis data fetch physionet --sets a`, or set SEQDIS_DATA" in done.err
    assert not any(tmp_path.iterdir())
