"""``seqdis list``: what is on the shelves."""

from __future__ import annotations

from seqdis import entries
from seqdis.cli.parsing import positionals, say, usage_error, wants_help
from seqdis.errors import SettingsError, unknown_name

HELP = """usage: seqdis list [methods | datasets | protocols]

examples:
  seqdis list
  seqdis list methods
"""
SHELVES: tuple[entries.Shelf, ...] = ("methods", "datasets", "protocols")
ABILITIES = ("has_encoder", "probabilistic", "variable_length", "handles_missing", "multi_factor")


def run(arguments: list[str]) -> None:
    """Print one line per entry; methods say what they can do."""
    words, flags = positionals(arguments)
    if wants_help(flags):
        print(HELP)
        return
    if flags or len(words) > 1:
        usage_error("list", "one shelf or none", arguments)
    if words and words[0] not in SHELVES:
        raise SettingsError(unknown_name("shelf", words[0], SHELVES))
    for shelf in SHELVES:
        if words and words[0] != shelf:
            continue
        say(f"{shelf}:")
        known = entries.names(shelf)
        width = max(map(len, known)) + 2
        for name, entry in sorted(known.items()):
            first = (entry.__doc__ or "").strip().splitlines()[0]
            say(f"  {name:{width}s}{first}")
            if shelf == "methods":
                can = [ability.replace("_", " ") for ability in ABILITIES if getattr(entry, ability)]
                say(f"  {'':{width}s}{', '.join(entry.kinds)}; {', '.join(can)}")
