"""``seqdis evaluate``: protocols on fitted runs; several runs are averaged over their training seeds."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from tqdm import tqdm

from seqdis import entries
from seqdis.cli.parsing import made, new_file, positionals, say, usage_error, wants_help, with_overrides
from seqdis.cli.runs import Run, is_run
from seqdis.disk import alone, check_writable, write_bytes
from seqdis.errors import SeqdisError, SettingsError, unknown_name
from seqdis.evaluation.report import Report, merge, over_seeds
from seqdis.hyperparameters import signature
from seqdis.protocols import Protocol

HELP = """usage: seqdis evaluate RUN [RUN ...] PROTOCOL [PROTOCOL ...] [--out FILE] [settings]

Evaluate fitted runs and print every score beside its controls and the published numbers. Each
run's rows are added to RUN/report.json, in place of earlier rows of the same protocol, with
whatever settings those were measured: keep both with --out. Of several runs (same settings and
data, other seeds) the mean and spread over training seeds is printed instead. A protocol that
cannot be run is named at the end, after the others.

  --out FILE   write all rows as JSON (FILE.json), or as Markdown (FILE.md) with the JSON beside

examples:
  seqdis evaluate runs/icu mortality icu-unit
  seqdis evaluate runs/icu-0 runs/icu-1 runs/icu-2 mortality --out mortality.md
  seqdis evaluate runs/figures latent-leakage --latent-leakage.static-factor shape

All settings of a protocol with their defaults: seqdis evaluate RUN PROTOCOL --help
"""


@dataclass
class Options:
    """What is not a setting of a protocol."""

    out: Annotated[str | None, tyro.conf.arg(metavar="FILE", help="also write all rows here, .json or .md")] = None


def run(arguments: list[str]) -> None:
    """Parse, run every protocol on every run, print and keep the rows."""
    words, flags = positionals(arguments)
    runs = [Run(Path(word)) for word in words if is_run(word)]
    names = [word for word in words if not is_run(word)]
    if wants_help(flags) and not names:
        print(HELP)
        return
    protocols = {name: _protocol(name) for name in names}
    if not names or not (runs or wants_help(flags)):
        usage_error("evaluate", "RUN and PROTOCOL", arguments)
    chosen = with_overrides(
        {"options": Options(), **protocols}, flags, f"seqdis evaluate {shlex.join(words)}", HELP.split("\n\n")[1]
    )
    out = chosen.pop("options").out
    files = [new_file(path, ".json", ".md") for path in _files(out)]
    _check(runs)
    failed: dict[str, SeqdisError] = {}
    done = [_evaluate(each, chosen, failed) for each in runs]
    total = over_seeds([_without(report, failed) for report in done])
    if len(failed) < len(chosen):
        _print(total)
        if files:
            _write(total, runs, files, arguments)
    if failed:
        raise SeqdisError("not evaluated: " + "; ".join(f"{name}: {error}" for name, error in failed.items()))


def _protocol(word: str) -> Any:
    known = entries.names("protocols")
    if ":" not in word and word not in known:
        raise SettingsError(
            f"{word} is no run folder (it has no run.json), and {unknown_name('protocol', word, known)}"
        )
    return made(entries.find("protocols", word), Protocol, word)


def _files(out: str | None) -> list[Path]:
    """Markdown has the rows that it was made of beside it."""
    paths = [Path(out)] if out else []
    return paths + [path.with_suffix(".json") for path in paths if path.suffix == ".md"]


def _check(runs: list[Run]) -> None:
    """Refuse, before hours of evaluation, what could not be kept or averaged."""
    for each in runs:
        each.report()
        check_writable(each.report_path)
        for name, part in (("method or settings", _without_seed), ("training data", _data)):
            if part(each) != part(runs[0]):
                raise SettingsError(
                    f"{runs[0].path} and {each.path} differ in {name}: a mean over training seeds needs runs that "
                    "differ in training.seed alone. Evaluate them one by one."
                )
    seeds = [each.model.training.seed for each in runs]
    if len(set(seeds)) < len(seeds):
        raise SettingsError(f"these runs have training seeds {seeds}: give every seed once.")


def _without_seed(run: Run) -> str:
    return signature(run.model.replace(training__seed=0))


def _data(run: Run) -> Any:
    return run.model.identity_.get("data")


def _evaluate(run: Run, protocols: dict[str, Any], failed: dict[str, SeqdisError]) -> Report:
    """Scores of one run, each kept as soon as it is there; a protocol that fails is noted and passed over."""
    done: list[Report] = []
    quiet = len(protocols) < 2 or not sys.stderr.isatty()
    for protocol in tqdm(protocols.values(), desc=str(run.path), unit="protocol", disable=quiet):
        model, data = run.model, run.data
        try:
            report = protocol.run(model, data)
        except SeqdisError as error:
            if len(protocols) == 1:
                raise
            failed[protocol.name] = error
            continue
        done.append(replace(report, provenance={**report.provenance, "run": run.command}))
        _keep(run, protocol.name, done[-1])
    return merge(done)


def _keep(run: Run, protocol: str, report: Report) -> None:
    """Put rows of a protocol in place of its earlier ones."""
    # Another evaluation of this run may end now: its rows would be lost between reading and writing.
    with alone(run.path / "report.lock"):
        others = _without(run.report(), (protocol,))
        (others + report).save(run.report_path)


def _without(report: Report, protocols: Collection[str]) -> Report:
    return replace(report, scores=tuple(score for score in report if score.protocol not in protocols))


def _print(report: Report) -> None:
    from seqdis.report.tables import text

    say(text(report))


def _write(report: Report, runs: list[Run], files: list[Path], arguments: list[str]) -> None:
    from seqdis.report.document import document

    command = "seqdis evaluate " + shlex.join(arguments)
    made_by = [run.command for run in runs]
    report = replace(report, provenance={**report.provenance, "command": command, "runs": made_by})
    for path in files:
        if path.suffix == ".md":
            write_bytes(path, document(path.stem, report, command, made_by).encode())
        else:
            report.save(path)
    say(f"written: {files[0]}")
