"""``seqdis cite``: what to cite for a run or an entry."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from seqdis import entries
from seqdis.cli.parsing import positionals, say, usage_error, wants_help
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
    if len(words) != 1:
        usage_error(f"cite needs one RUN or ENTRY, got {' '.join(words) or 'nothing'}.")
    if is_run(words[0]):
        content = Run(Path(words[0])).content
        cited = [entries.find("methods", content["method"])]
        described = content.get("about", {}).get("data")
        cited += [entries.find("datasets", described["entry"])] if described else []
    else:
        cited = [find(words[0])]
    for entry in cited:
        for key in getattr(entry, "papers", ()):
            say(bibtex(key))
        if getattr(entry, "citation", ""):
            say(entry.citation.strip())


def bibtex(key: str) -> str:
    """One entry of the bibliography that is shipped with the package."""
    text = (files("seqdis") / "references.bib").read_text(encoding="utf-8")
    for entry in text.split("\n\n"):
        if entry.strip().split("{", 1)[-1].startswith(key + ","):
            return entry.strip()
    return f"% {key}: see the documentation of the method"
