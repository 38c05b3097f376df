"""``seqdis swap``: hybrids of two files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seqdis.cli.encode import write_npz
from seqdis.cli.parsing import options, positionals, say, usage_error, wants_help
from seqdis.datasets import UserFile
from seqdis.errors import SettingsError
from seqdis.estimator import load

HELP = """usage: seqdis swap RUN FILE_A FILE_B --out hybrids.npz [--id-column ID] [--time-column TIME]

Row by row, decode the static code of FILE_A with the dynamic codes of FILE_B. Writes `x`, of the
shape and in the units of the data (video: floats in [0, 1]).

examples:
  seqdis swap runs/mine people.npy gestures.npy --out hybrids.npz
"""


@dataclass
class Options:
    """How the files are read and where hybrids go."""

    out: Path = Path("hybrids.npz")
    id_column: str = "id"
    time_column: str = "time"
    label_columns: tuple[str, ...] = ()


def run(arguments: list[str]) -> None:
    """Parse, swap, write."""
    words, flags = positionals(arguments)
    if len(words) != 3:
        if wants_help(flags):
            print(HELP)
            return
        usage_error(f"swap needs RUN, FILE_A and FILE_B, got {words or 'nothing'}. See: seqdis swap --help")
    chosen = options(Options, flags, f"seqdis swap {' '.join(words)}", HELP.split("\n\n")[1])
    if chosen.out.suffix != ".npz":
        raise SettingsError(f"--out {chosen.out}: hybrids are written as a NumPy archive; use a name ending in .npz.")
    model = load(words[0])
    first, second = (
        UserFile(
            path=word,
            kind=model.spec_.kind,
            id_column=chosen.id_column,
            time_column=chosen.time_column,
            label_columns=chosen.label_columns,
        ).whole()
        for word in words[1:]
    )
    hybrids = model.swap(first, second)
    write_npz(chosen.out, {"x": hybrids})
    say(f"{chosen.out}: {hybrids.shape}")
