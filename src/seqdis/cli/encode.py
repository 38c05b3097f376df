"""``seqdis encode``: codes of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from seqdis.cli.parsing import options, positionals, say, usage_error, wants_help
from seqdis.datasets import UserFile
from seqdis.errors import SettingsError
from seqdis.estimator import load

HELP = """usage: seqdis encode RUN FILE --out codes.npz [--id-column ID] [--time-column TIME]

Write the codes of every sequence in FILE (.npy, .npz, .csv, .parquet) as a NumPy archive with
`ids` (n,), `static` (n, static_dim), `dynamic` (n, windows, dynamic_dim) and, for ragged sequences,
`lengths` (n,) in windows. `np.load("codes.npz")["static"]` reads them.

examples:
  seqdis encode runs/mine mydata.npy --out codes.npz
  seqdis encode runs/icu stays.csv --id-column patient --time-column hour --out codes.npz
"""


@dataclass
class Options:
    """How the file is read and where codes go."""

    out: Path = Path("codes.npz")
    id_column: str = "id"
    time_column: str = "time"
    label_columns: Annotated[tuple[str, ...], tyro.conf.arg(help="columns that are not features")] = ()


def run(arguments: list[str]) -> None:
    """Parse, encode, write."""
    words, flags = positionals(arguments)
    if len(words) != 2:
        if wants_help(flags):
            print(HELP)
            return
        usage_error(f"encode needs RUN and FILE, got {words or 'nothing'}. See: seqdis encode --help")
    chosen = options(Options, flags, f"seqdis encode {' '.join(words)}", HELP.split("\n\n")[1])
    if chosen.out.suffix != ".npz":
        raise SettingsError(f"--out {chosen.out}: codes are written as a NumPy archive; use a name ending in .npz.")
    model = load(words[0])
    sequences = UserFile(
        path=words[1],
        kind=model.spec_.kind,
        id_column=chosen.id_column,
        time_column=chosen.time_column,
        label_columns=chosen.label_columns,
    ).whole()
    codes = model.encode(sequences)
    arrays = {"ids": np.asarray(sequences.ids), "static": codes.static.numpy(), "dynamic": codes.dynamic.numpy()}
    if codes.lengths is not None:
        arrays["lengths"] = codes.lengths.numpy()
    write_npz(chosen.out, arrays)
    say(f"{chosen.out}: static {arrays['static'].shape}, dynamic {arrays['dynamic'].shape}")


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an archive whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    partial.replace(path)
