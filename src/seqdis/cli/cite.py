"""``seqdis cite``: what to cite for a run or an entry."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from seqdis import entries
from seqdis.cli.parsing import note, positionals, say, usage_error, wants_help
from seqdis.cli.runs import Run, is_run
from seqdis.cli.show import find

HELP = """usage: seqdis cite RUN | ENTRY

BibTeX of the method's papers and of the data set.

examples:
  seqdis cite runs/icu
  seqdis cite dbse
"""


def run(arguments: list[str]) -> None:
    """Print BibTeX."""
    words, flags = positionals(arguments)
    if wants_help(flags):
        print(HELP)
        return
    if len(words) != 1 or flags:
        usage_error("cite", "one RUN or ENTRY", arguments)
    if is_run(words[0]) or "/" in words[0]:
        each = Run(Path(words[0]))
        cited: list[Any] = [entries.find("methods", str(each.content.get("method")))]
        cited += [entries.find("datasets", str(each.described["entry"]))] if "entry" in each.described else []
    else:
        cited = [find(words[0])]
    found = [bibtex(key) for entry in cited for key in getattr(entry, "papers", ())]
    found += [entry.citation.strip() for entry in cited if getattr(entry, "citation", "")]
    say("\n\n".join(found)) if found else note(f"{words[0]} states nothing to cite")


def bibtex(key: str) -> str:
    """One entry of the bibliography that is shipped with the package."""
    text = (files("seqdis") / "references.bib").read_text(encoding="utf-8")
    for entry in text.split("\n\n"):
        if entry.strip().split("{", 1)[-1].startswith(key + ","):
            return entry.strip()
    return f"% {key}: see the documentation of the method"
