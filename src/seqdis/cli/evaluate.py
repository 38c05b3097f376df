"""``seqdis evaluate``: protocols on fitted runs; several runs are averaged over their training seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seqdis import entries
from seqdis.cli.parsing import positionals, say, take, usage_error, wants_help, with_overrides
from seqdis.cli.runs import Run, is_run
from seqdis.evaluation.report import Report, merge, over_seeds

HELP = """usage: seqdis evaluate RUN [RUN ...] PROTOCOL [PROTOCOL ...] [--out FILE] [settings]

Evaluate fitted runs and print every score beside its controls and the published numbers. Each
run's rows are added to RUN/report.json. Of several runs (same settings, other seeds) the mean and
spread over training seeds is printed as well.

  --out FILE   write all rows as JSON (FILE.json) or Markdown (FILE.md)

examples:
  seqdis evaluate runs/icu mortality icu-unit
  seqdis evaluate runs/icu-0 runs/icu-1 runs/icu-2 mortality --out mortality.md
  seqdis evaluate runs/figures latent-leakage --latent-leakage.static-factor shape

All settings of a protocol with their defaults: seqdis evaluate RUN PROTOCOL --help
"""


def run(arguments: list[str]) -> None:
    """Parse, run every protocol on every run, print and keep the rows."""
    words, flags = positionals(arguments)
    runs = [Run(Path(word)) for word in words if is_run(word)]
    names = [word for word in words if not is_run(word)]
    if not names:
        if wants_help(flags):
            print(HELP)
            return
        usage_error(f"evaluate needs RUN and PROTOCOL, got {words or 'nothing'}. See: seqdis evaluate --help")
    protocols = {name: entries.find("protocols", name)() for name in names if "/" not in name or ":" in name}
    missing = [name for name in names if name not in protocols]
    if missing or (not runs and not wants_help(flags)):
        usage_error(f"{' '.join(missing) or 'no run folder given'}: expected folders that seqdis fit wrote.")
    out = take(flags, "--out")
    chosen = with_overrides(protocols, flags, f"seqdis evaluate {' '.join(words)}", HELP.split("\n\n")[1])
    reports = [_evaluate(each, chosen) for each in runs]
    total = over_seeds(reports)
    _print(total)
    if out:
        _write(total, Path(out), arguments)


def _evaluate(run: Run, protocols: dict[str, Any]) -> Report:
    done: list[Report] = []
    for name, protocol in tqdm(protocols.items(), desc=str(run.path), unit="protocol", disable=len(protocols) < 2):
        report = protocol.run(run.model, run.data)
        done.append(replace(report, provenance={**report.provenance, "run": run.command}))
        kept = run.report()
        others = Report(
            scores=tuple(score for score in kept if score.protocol != name),
            settings=kept.settings,
            provenance=kept.provenance,
        )
        (others + done[-1]).save(run.report_path)
    return merge(done)


def _print(report: Report) -> None:
    from seqdis.report.tables import text

    say(text(report))


def _write(report: Report, path: Path, arguments: list[str]) -> None:
    from seqdis.report.tables import markdown

    command = "seqdis evaluate " + " ".join(arguments)
    report = replace(report, provenance={**report.provenance, "command": command})
    if path.suffix == ".md":
        report.save(path.with_suffix(".json"))
        path.write_text(f"# {path.stem}\n\n`{command}`\n\n{markdown(report)}\n")
    else:
        report.save(path)
    say(f"written: {path}")
