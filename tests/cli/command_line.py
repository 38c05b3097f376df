"""What the tests of the command line share: results, refusals, and the user's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

ONE_EPOCH = ("--training.max-epochs", "1")
TOY = ("--data.n-train", "16", "--data.n-valid", "8", "--data.n-test", "12", "--data.length", "16")


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


class Refused(NamedTuple):
    """A command, its exit status, and words of its one line."""

    command: str
    status: int
    words: str


Command = Callable[..., Done]


def files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(seqdis: Command, folder: Path, case: Refused) -> None:
    """The command says why in its last words, without a traceback, and leaves every file as it was."""
    before = files(folder)
    done = seqdis(case.command)
    assert (done.status, done.out) == (case.status, "")
    assert case.words in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert files(folder) == before


def edit(path: Path, **changes: object) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def write_data(folder: Path) -> None:
    """The same 12 sequences of 8 steps and 3 features in every form that can be read."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 8, 3))
    sex = np.arange(12) % 2
    np.save(folder / "a.npy", x)
    np.savez(folder / "b.npz", x=x, mask=rng.random(x.shape) > 0.2, lengths=rng.integers(3, 9, 12), sex=sex)
    table = pd.DataFrame(x.reshape(-1, 3), columns=["u", "v", "w"])
    table["patient"] = np.repeat([f"p{i:02d}" for i in range(12)], 8)
    table["hour"] = np.tile(np.arange(8), 12)
    table["sex"] = np.repeat(np.where(sex, "f", "m"), 8)
    table.to_csv(folder / "c.csv", index=False)
    table.to_csv(folder / "d.csv.gz", index=False)
    table.to_parquet(folder / "e.parquet")
    np.save(folder / "two.npy", x[..., :2])
