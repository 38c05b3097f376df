"""``seqdis fit``: train a method; the same command again goes on after a kill."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from seqdis import entries
from seqdis.cli.parsing import data_of, method_of, positionals, say, take, usage_error, wants_help, with_overrides
from seqdis.hyperparameters import to_dict

HELP = """usage: seqdis fit METHOD DATA [--out FOLDER] [--published NAME [--preset paper|reference]] [settings]

Train METHOD on DATA and write a run folder. DATA is a data set (seqdis list datasets) or your own
.npy, .npz, .csv or .parquet file. The same command again resumes a run that was killed, and reuses
one that is finished.

  --out FOLDER       run folder (default: runs/METHOD-DATA)
  --published NAME   start from published settings (seqdis show METHOD lists them)
  --preset PRESET    which of them: paper (default) or reference (the released code)
  --quiet            no progress bar

examples:
  seqdis fit dbse moving-figures
  seqdis fit dbse physionet --published mortality --out runs/icu
  seqdis fit dbse mydata.csv --data.id-column patient --static-dim 8 --training.max-epochs 50

All settings with their defaults: seqdis fit METHOD DATA --help
"""


def run(arguments: list[str]) -> None:
    """Parse, fit, say where the run lies."""
    words, flags = positionals(arguments)
    if len(words) != 2:
        if wants_help(flags):
            print(HELP)
            return
        usage_error(f"fit needs METHOD and DATA, got {words or 'nothing'}. See: seqdis fit --help")
    quiet = "--quiet" in flags
    flags = [flag for flag in flags if flag != "--quiet"]
    out = take(flags, "--out") or f"runs/{words[0].split(':')[-1]}-{words[1].split('/')[-1]}"
    method = method_of(words[0], take(flags, "--published"), take(flags, "--preset"))
    parts = with_overrides(
        {"": method, "data": data_of(words[1])}, flags, f"seqdis fit {' '.join(words)}", HELP.split("\n\n")[1]
    )
    model, data = parts[""], parts["data"]
    train = data.split("train")[0]
    say(
        f"{type(model).__name__} on {data.name}: {len(train)} sequences, {train.x.shape[1]} steps of {train.spec.shape}"
    )
    bar = _Bar(quiet)
    try:
        model.fit(data, out=out, watch=bar, about=about(data, arguments))
    finally:
        bar.close()
    last = model.history_[-1]
    say(f"epoch {last['epoch']}: " + ", ".join(f"{name} {value:.4g}" for name, value in last["train"].items()))
    say(f"run folder: {out}")


def about(data: Any, arguments: list[str]) -> dict[str, Any]:
    """What ``run.json`` keeps beside the run's identity: the data set to evaluate on, and the command."""
    return {
        "data": {"entry": entries.name_of(type(data)), "settings": to_dict(data)},
        "command": "seqdis fit " + " ".join(arguments),
    }


class _Bar:
    """A progress bar with ETA over all steps; made at the first step, so that a resumed run starts in place."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.bar: Any = None

    def __call__(self, done: int, total: int, record: dict[str, Any] | None) -> None:
        if self.quiet:
            return
        if self.bar is None:
            self.bar = tqdm(total=total, initial=done - 1, unit="step", file=sys.stderr, dynamic_ncols=True)
        if record is not None:
            self.bar.set_description(f"epoch {record['epoch']}", refresh=False)
            self.bar.set_postfix(loss=f"{record['train']['total']:.4g}", refresh=False)
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
