"""``seqdis show``: documentation, settings and defaults of one entry."""

from __future__ import annotations

import inspect
import json
from typing import Any

from seqdis import entries
from seqdis.cli.list import SHELVES
from seqdis.cli.parsing import check_kind, positionals, say, usage_error, wants_help
from seqdis.errors import SettingsError, unknown_name
from seqdis.hyperparameters import Settings, to_dict

HELP = """usage: seqdis show ENTRY

Documentation, defaults and published settings of a method, data set or protocol.

examples:
  seqdis show dbse
  seqdis show physionet
"""


def run(arguments: list[str]) -> None:
    """Print what an entry is and its settings."""
    words, flags = positionals(arguments)
    if wants_help(flags):
        print(HELP)
        return
    if len(words) != 1 or flags:
        usage_error("show", "one ENTRY", arguments)
    entry = find(words[0])
    say(f"{entry.__name__}: {inspect.cleandoc(entry.__doc__ or '')}\n")
    for fact in ("licence", "source"):
        if getattr(entry, fact, ""):
            say(f"{fact}: {getattr(entry, fact)}")
    say("defaults:")
    say(json.dumps(to_dict(entry()), indent=1))
    presets = entry.presets() if hasattr(entry, "presets") else {}
    for preset, rows in presets.items():
        which = ", settings of ours" if preset == "ours" else f" --preset {preset}"
        say(f"--published NAME{which}: {', '.join(rows)}")


def find(name: str) -> type[Any]:
    """An entry of any shelf."""
    if ":" in name:
        entry = entries.find("methods", name)
        check_kind(entry, Settings, name)
        return entry
    known: dict[str, type[Any]] = {}
    for shelf in SHELVES:
        known |= entries.names(shelf)
    if name not in known:
        raise SettingsError(unknown_name("entry", name, known))
    return known[name]
