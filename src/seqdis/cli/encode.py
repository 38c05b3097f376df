"""``seqdis encode``: codes of a file or folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqdis.cli.parsing import new_file, options, positionals, say, usage_error, wants_help
from seqdis.cli.runs import Columns, Run
from seqdis.disk import replacing
from seqdis.sequences import Array, Sequences

HELP = """usage: seqdis encode RUN DATA [--out codes.npz]
                     [--id-column ID] [--time-column TIME] [--label-columns NAME ...]

Write the codes of every sequence in DATA, a file (.npy, .npz, .csv, .parquet) or a folder of videos or
recordings, as a NumPy archive with `ids` (n,), `static` (n, static_dim), `dynamic` (n, windows,
dynamic_dim) and, for ragged sequences, `lengths` (n,) in windows. `np.load("codes.npz")["static"]` reads
them. Data are read as in the fit, but need no labels.

examples:
  seqdis encode runs/mine mydata.npy --out codes.npz
  seqdis encode runs/icu stays.csv --id-column patient --time-column hour --out codes.npz
  seqdis encode runs/clips newclips/ --out codes.npz
"""


@dataclass
class Options(Columns):
    """How a table is read and where codes go."""

    out: Path = Path("codes.npz")


def run(arguments: list[str]) -> None:
    """Parse, encode, write."""
    words, flags = positionals(arguments)
    if wants_help(flags):
        print(HELP)
        return
    if len(words) != 2:
        usage_error("encode", "RUN and DATA", arguments)
    each = Run(Path(words[0]))
    chosen = options(Options(**each.columns), flags, f"seqdis encode {shlex.join(words)}", HELP.split("\n\n")[1])
    out = new_file(chosen.out, ".npz")
    sequences = each.read(words[1], chosen)
    codes = each.model.encode(sequences)
    arrays = {"ids": ids_of(sequences), "static": codes.static.numpy(), "dynamic": codes.dynamic.numpy()}
    if codes.lengths is not None:
        arrays["lengths"] = codes.lengths.numpy()
    write_npz(out, arrays)
    say(f"{out}: static {arrays['static'].shape}, dynamic {arrays['dynamic'].shape}")


def ids_of(sequences: Sequences) -> Array:
    """Ids without objects, which would be pickled."""
    ids = np.asarray(sequences.ids)
    return ids.astype(str) if ids.dtype == object else ids


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an archive whole or not at all."""
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
