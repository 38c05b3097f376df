"""``seqdis swap``: hybrids of two files or folders."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqdis.cli.encode import ids_of, write_npz
from seqdis.cli.parsing import new_file, options, positionals, say, usage_error, wants_help
from seqdis.cli.runs import Columns, Run

HELP = """usage: seqdis swap RUN DATA_A DATA_B [--out hybrids.npz]
                   [--id-column ID] [--time-column TIME] [--label-columns NAME ...]

Row by row, decode the static code of DATA_A with the dynamic codes of DATA_B, which are read like
that of `seqdis encode`. Writes `x`, of the shape of DATA_B and in the units of the data (video:
floats in [0, 1]); `static_ids` and `dynamic_ids`, which sequences each hybrid is made of; and, for
ragged sequences, their `lengths` in steps: beyond, `x` is NaN. Such a file can be encoded again.

examples:
  seqdis swap runs/mine people.npy gestures.npy --out hybrids.npz
"""


@dataclass
class Options(Columns):
    """How the files are read and where hybrids go."""

    out: Path = Path("hybrids.npz")


def run(arguments: list[str]) -> None:
    """Parse, swap, write."""
    words, flags = positionals(arguments)
    if wants_help(flags):
        print(HELP)
        return
    if len(words) != 3:
        usage_error("swap", "RUN, DATA_A and DATA_B", arguments)
    each = Run(Path(words[0]))
    chosen = options(Options(**each.columns), flags, f"seqdis swap {shlex.join(words)}", HELP.split("\n\n")[1])
    out = new_file(chosen.out, ".npz")
    static_of, dynamic_of = (each.read(word, chosen) for word in words[1:])
    hybrids = each.model.swap(static_of, dynamic_of)
    arrays = {"x": hybrids, "static_ids": ids_of(static_of), "dynamic_ids": ids_of(dynamic_of)}
    if dynamic_of.lengths is not None:
        arrays["lengths"] = np.asarray(dynamic_of.lengths)
    write_npz(out, arrays)
    say(f"{out}: {hybrids.shape}")
