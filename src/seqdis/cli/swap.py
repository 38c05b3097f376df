"""``seqdis swap``: hybrids of two files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from seqdis.cli.encode import write_npz
from seqdis.cli.parsing import new_file, options, positionals, say, usage_error, wants_help
from seqdis.cli.runs import Columns, Run

HELP = """usage: seqdis swap RUN FILE_A FILE_B [--out hybrids.npz]
                   [--id-column ID] [--time-column TIME] [--label-columns NAME ...]

Row by row, decode the static code of FILE_A with the dynamic codes of FILE_B. Writes `x`, of the
shape and in the units of the data (video: floats in [0, 1]). Columns are read as in the fit.

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
        usage_error("swap", "RUN, FILE_A and FILE_B", arguments)
    each = Run(Path(words[0]))
    chosen = options(Options(**each.columns), flags, f"seqdis swap {shlex.join(words)}", HELP.split("\n\n")[1])
    out = new_file(chosen.out, ".npz")
    hybrids = each.model.swap(*(each.read(word, chosen) for word in words[1:]))
    write_npz(out, {"x": hybrids})
    say(f"{out}: {hybrids.shape}")
