"""``seqdis fit``: train a method; the same command again goes on after a kill."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from tqdm import tqdm

from seqdis import entries
from seqdis.cli.parsing import data_of, method_of, note, positionals, say, usage_error, wants_help, with_overrides
from seqdis.hyperparameters import to_dict

HELP = """usage: seqdis fit METHOD DATA [--out FOLDER] [--published NAME [--preset PRESET]] [settings]

Train METHOD on DATA and write a run folder. DATA is a data set (seqdis list datasets) or your own
.npy, .npz, .csv or .parquet file (seqdis show file tells what it holds), or your folder of videos
(seqdis show videos) or of audio files (seqdis show recordings). The same command again resumes a run
that was killed, and reuses one that is finished.

  --out FOLDER       run folder (default: runs/METHOD-DATA)
  --published NAME   start from published settings (seqdis show METHOD lists them)
  --preset PRESET    paper, reference (the released code) or ours; default: the first of `seqdis show METHOD`
  --quiet            no progress

examples:
  seqdis fit dbse moving-figures
  seqdis fit dbse physionet --published mortality --out runs/icu
  seqdis fit dbse mydata.csv --data.id-column patient --data.label-columns sex age --training.max-epochs 50

All settings with their defaults: seqdis fit METHOD DATA --help
"""

LOG_SECONDS = 30.0
"""Least time between two lines of progress where standard error is no terminal."""


@dataclass
class Options:
    """What is not a setting of the method, its training or the data."""

    out: Annotated[str, tyro.conf.arg(metavar="FOLDER", help="run folder")]
    published: Annotated[str | None, tyro.conf.arg(metavar="NAME", help="start from published settings")] = None
    preset: Annotated[str | None, tyro.conf.arg(metavar="PRESET", help="which published settings")] = None
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="no progress")] = False


def run(arguments: list[str]) -> None:
    """Parse, fit, say where the run lies."""
    words, flags = positionals(arguments)
    if len(words) != 2:
        if wants_help(flags):
            print(HELP)
            return
        usage_error("fit", "METHOD and DATA", arguments)
    method, flags = _start(words[0], flags)
    default = Options(out="runs/" + "-".join(re.split(r"[:/\\]", word.rstrip("/\\"))[-1] for word in words))
    parts = with_overrides(
        {"options": default, "": method, "data": data_of(words[1])},
        flags,
        f"seqdis fit {shlex.join(words)}",
        HELP.split("\n\n")[1],
    )
    model, data, out = parts[""], _located(parts["data"]), Path(parts["options"].out)
    train = data.split("train")[0]
    note(
        f"{type(model).__name__} on {data.name}: {len(train)} sequences, {train.x.shape[1]} steps of {train.spec.shape}"
    )
    progress = _Progress(model.training.max_epochs, parts["options"].quiet)
    try:
        model.fit(data, out=out, watch=progress, about=about(data, arguments))
    finally:
        progress.close()
    if not progress.seen:
        note("already finished with these settings and data: reused")
    for last in model.history_[-1:]:
        say(f"epoch {last['epoch']}: " + ", ".join(f"{name} {value:.4g}" for name, value in last["train"].items()))
    say(f"run folder: {out}")


def about(data: Any, arguments: list[str]) -> dict[str, Any]:
    """What ``run.json`` keeps beside the run's identity: the data set to evaluate on, and the command."""
    return {
        "data": {"entry": entries.name_of(type(data)), "settings": to_dict(data)},
        "command": "seqdis fit " + shlex.join(arguments),
    }


def _located(data: Any) -> Any:
    """The data with paths from the root: later commands, which may run elsewhere, read them again."""
    places = {name: getattr(data, name, None) for name in ("path", "root", "labels")}
    here = {name: Path(place).expanduser() for name, place in places.items() if isinstance(place, str) and place}
    if "labels" in here and (here.get("path", Path()) / here["labels"]).is_file():
        del here["labels"]  # found in the folder itself
    return data.replace(**{name: str(place.absolute()) for name, place in here.items()}) if here else data


def _start(word: str, flags: list[str]) -> tuple[Any, list[str]]:
    """The method that other flags change, and those flags."""
    parser = argparse.ArgumentParser(
        prog="seqdis fit", usage="see seqdis fit --help", add_help=False, allow_abbrev=False
    )
    parser.add_argument("--published")
    parser.add_argument("--preset")
    chosen, others = parser.parse_known_args(flags)
    return method_of(word, chosen.published, chosen.preset), others


class _Progress:
    """A bar with ETA on a terminal, else a line now and then; begins at the first step, where a resumed run is."""

    def __init__(self, epochs: int, quiet: bool) -> None:
        self.epochs = epochs
        self.quiet = quiet
        self.seen = False
        self.bar: Any = None
        self.said = time.monotonic()

    def __call__(self, done: int, total: int, record: dict[str, Any] | None) -> None:
        if not self.seen:
            self._begin(done - 1, total)
        if self.bar is not None:
            if record is not None:
                self.bar.set_description(f"epoch {record['epoch']}", refresh=False)
                self.bar.set_postfix(loss=f"{record['train']['total']:.4g}", refresh=False)
            self.bar.update(done - self.bar.n)
        elif record is not None and not self.quiet and time.monotonic() - self.said > LOG_SECONDS:
            note(f"epoch {record['epoch']} of {self.epochs}: loss {record['train']['total']:.4g}")
            self.said = time.monotonic()

    def _begin(self, before: int, total: int) -> None:
        self.seen = True
        if before:
            note(f"resumed after epoch {before * self.epochs // total} of {self.epochs}")
        if sys.stderr.isatty() and not self.quiet:
            self.bar = tqdm(total=total, initial=before, unit="step", file=sys.stderr, dynamic_ncols=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
