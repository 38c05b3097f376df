"""``seqdis bench``: run a study; the same command goes on after a kill."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import tyro

from seqdis.cli.parsing import note, options, positionals, say, usage_error, wants_help
from seqdis.cli.study_progress import Progress
from seqdis.disk import check_writable, write_bytes
from seqdis.errors import SeqdisError, SettingsError, unknown_name

HELP = """usage: seqdis bench STUDY.py [--jobs N] [--out FOLDER] [--store FOLDER] [--seeds 0 1 ...] [--only METHOD ...]
                    [--list | --report-only] [--no-page] [--quiet]

Run a study, a Python file that builds `study = Study(...)`: every method on every split of the data with
every training seed. Runs are kept in a store that all studies share; what is there already is reused, and
the same command goes on after a kill. Then write OUT/NAME.json (every single score), OUT/NAME.md
(means, both kinds of spread, controls, printed numbers, paired differences), and with matplotlib
STORE/pages/NAME.html: the same scores, and figures of every method's first finished run, which also
lie in STORE/pages/NAME/.

  --jobs N         worker processes of one thread each (default: 1, no worker: the fit of video then uses
                   all cores, and progress is shown within a run)
  --out FOLDER     results (default: benchmarks/results)
  --store FOLDER   runs (default: runs/store)
  --seeds 0 1      these training seeds instead of the study's
  --only METHOD    run (or list) these methods of the study only; the results show the others as far as they are
                   there
  --list           print the runs and whether they are finished; changes nothing
  --report-only    run nothing, write the results of what is there
  --no-page        no figures and no HTML page, which take some seconds per method
  --quiet          no progress

A run that fails is named, and the others go on; exit status 1 at the end.

examples:
  seqdis bench examples/table3_mortality.py --jobs 2
  seqdis bench examples/sprites_small.py
  seqdis bench examples/table3_mortality.py --list
  seqdis bench examples/table3_mortality.py --seeds 0 --only DBSE --out first-results
"""


@dataclass
class Options:
    """How a study is run."""

    jobs: Annotated[int, tyro.conf.arg(metavar="N", help="worker processes; 1: none")] = 1
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER", help="results")] = Path("benchmarks/results")
    store: Annotated[Path, tyro.conf.arg(metavar="FOLDER", help="runs")] = Path("runs/store")
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(help="instead of the study's")] = ()
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="METHOD", help="run these methods only")] = ()
    list_runs: Annotated[
        bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(name="list", help="print the runs and their state")
    ] = False
    report_only: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="results of what is there")] = False
    page: Annotated[bool, tyro.conf.arg(help="figures and the HTML page")] = True
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="no progress")] = False


def run(arguments: list[str]) -> None:
    """Parse, run, write the results."""
    from seqdis.benchmark import load_study, plan

    words, flags = positionals(arguments)
    if wants_help(flags):
        print(HELP)
        return
    if len(words) != 1:
        usage_error("bench", "one STUDY.py", arguments)
    chosen = options(Options(), flags, f"seqdis bench {shlex.join(words)}", HELP.split("\n\n")[1])
    study, command = load_study(words[0]), _command(arguments)
    _check_only(study, chosen)
    if chosen.seeds:
        study = replace(study, seeds=chosen.seeds)
        study.check()
    runs = plan(study, chosen.store, command)
    if chosen.list_runs:
        _list(_wanted(runs, chosen))
        return
    check_writable(*_places(study, chosen))
    failures = () if chosen.report_only else _run(study, runs, chosen)
    written = _write(study, runs, chosen, command)
    if failures or not written:
        raise SeqdisError(_what_failed(failures))


def _command(arguments: list[str]) -> str:
    """What makes the same results in this folder; its place on this machine is of no use to a reader."""
    kept = [each for each in arguments if each.replace("_", "-") not in ("--report-only", "--page", "--no-page")]
    return "seqdis bench " + shlex.join(map(_from_here, kept))


def _from_here(word: str) -> str:
    """The word, or the value after its "=", as a path from the current folder if it is one from the root."""
    flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return flag + equals + (os.path.relpath(value) if os.path.isabs(value) else value)


def _check_only(study: Any, chosen: Options) -> None:
    for label in chosen.only:
        if label not in study.methods:
            raise SettingsError(f"--only: {unknown_name('method of the study', label, study.methods)}")
    if chosen.only and chosen.report_only:
        raise SettingsError(
            "--only with --report-only: it chooses what is run, and nothing is; results show all methods. "
            "Leave one of the two out."
        )


def _places(study: Any, chosen: Options) -> list[Path]:
    """Where this command writes."""
    places = [chosen.out / study.name]
    if not chosen.report_only:
        places.append(chosen.store)
    if chosen.page and _can_draw():
        places.append(_pages(study, chosen))
    return places


def _pages(study: Any, chosen: Options) -> Path:
    """The folder of figures, beside which the page lies."""
    return chosen.store / "pages" / str(study.name)


def _can_draw() -> bool:
    return find_spec("matplotlib") is not None


def _wanted(runs: list[Any], chosen: Options) -> list[Any]:
    return [run for run in runs if not chosen.only or run.label in chosen.only]


def _run(study: Any, runs: list[Any], chosen: Options) -> Any:
    from seqdis.benchmark import run_missing

    progress = Progress(chosen.quiet, sum(not run.done() for run in _wanted(runs, chosen)))
    try:
        return run_missing(
            study, runs, jobs=chosen.jobs, only=chosen.only, watch=progress.ended, watch_stages=progress.stage
        )
    finally:
        progress.close()


def _list(runs: list[Any]) -> None:
    for each in runs:
        say(f"{'finished' if each.done() else 'to do':10s}{each.name}  ({each.folder})")
    say(f"{sum(each.done() for each in runs)} of {len(runs)} runs finished")


def _write(study: Any, runs: list[Any], chosen: Options, command: str) -> bool:
    """All results; false if no run is finished, when nothing is written."""
    from seqdis.benchmark import collect, design, summarise
    from seqdis.report.study_page import study_page

    report = collect(study, runs)
    if not len(report):
        return False
    report = replace(report, provenance={**report.provenance, "command": command})
    report.save(chosen.out / f"{study.name}.json")
    groups = summarise(report, design(study, runs))
    page = chosen.out / f"{study.name}.md"
    write_bytes(page, study_page(report.provenance, groups).encode())
    say(f"written: {page}")
    if not chosen.page:
        return True
    if _can_draw():
        say(f"page: {_write_html(report, groups, runs, _pages(study, chosen))}")
    else:
        note("no figures and no HTML page: they need matplotlib (pip install 'seqdis[plot]')")
    return True


def _write_html(report: Any, groups: Any, runs: list[Any], folder: Path) -> Path:
    """The page, and each of its figures as a file."""
    from seqdis.estimator import load
    from seqdis.report.study_html import endings, method_pictures, write_study_html

    first = {run.label: run for run in reversed(runs) if run.done()}
    drawn = [
        picture
        for label, ending in endings(dict.fromkeys(run.label for run in runs)).items()
        if (run := first.get(label)) is not None
        for picture in method_pictures(label, load(run.folder), run.split.data, run.report(), ending=ending)
    ]
    for picture in drawn:
        picture.save(folder)
    return write_study_html(folder.with_name(f"{folder.name}.html"), report, groups, drawn)


def _what_failed(failures: Any) -> str:
    if not failures:
        return "no run of this study is finished, so there is nothing to report. Run it without --report-only."
    names = "; ".join(outcome.run.name for outcome in failures)
    return f"{len(failures)} run(s) failed: {names}. Run the same command again to try these once more."
