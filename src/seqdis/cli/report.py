"""``seqdis report``: the HTML page of a run."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from seqdis.cli.parsing import new_file, options, positionals, say, usage_error, wants_help
from seqdis.cli.runs import Run
from seqdis.disk import check_writable
from seqdis.errors import SettingsError

HELP = """usage: seqdis report RUN [--out page.html] [--seed SEED]

Write one self-contained page: scores beside their controls, swap grid, samples with one factor
fixed, t-SNE of both codes, reconstructions, loss curves, settings and provenance. Needs matplotlib
(pip install 'seqdis[plot]'). RUN/report.html, the default, is written anew each time.

examples:
  seqdis report runs/figures
"""

_LARGEST_SEED = 2**32 - 1  # scikit-learn's t-SNE takes no larger one


@dataclass
class Options:
    """Where the page goes, and the seed of what is drawn on it."""

    out: Path | None = None
    seed: int = 0


def run(arguments: list[str]) -> None:
    """Parse, draw, write."""
    from seqdis.report.run_page import write_run_page

    words, flags = positionals(arguments)
    if wants_help(flags):
        print(HELP)
        return
    if len(words) != 1:
        usage_error("report", "one RUN", arguments)
    each = Run(Path(words[0]))
    chosen = options(Options(), flags, f"seqdis report {shlex.join(words)}", HELP.split("\n\n")[1])
    if not 0 <= chosen.seed <= _LARGEST_SEED:
        raise SettingsError(f"--seed {chosen.seed}: expected a whole number from 0 to {_LARGEST_SEED}.")
    page = new_file(chosen.out, ".html") if chosen.out else each.path / "report.html"
    check_writable(page)
    path = write_run_page(
        page,
        model=each.model,
        data=each.data,
        report=each.report(),
        command=each.command,
        seed=chosen.seed,
    )
    say(f"page: {path}")
