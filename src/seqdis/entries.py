"""Finding entries by name: on the shelves, from installed packages, or as ``package.module:Class``."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any, Literal

from seqdis.errors import SettingsError, unknown_name

Shelf = Literal["methods", "datasets", "protocols"]


def names(shelf: Shelf) -> dict[str, type[Any]]:
    """All entries of a shelf by name, those of other packages (entry points ``seqdis.<shelf>``) included."""
    module = importlib.import_module(f"seqdis.{shelf}")
    found = {entry.name: entry for entry in (getattr(module, name) for name in module.__all__) if "name" in vars(entry)}
    for point in entry_points(group=f"seqdis.{shelf}"):
        found[point.name] = point.load()
    return found


def find(shelf: Shelf, name: str) -> type[Any]:
    """The entry of that name.

    Raises
    ------
    SettingsError
        Unknown name (with a suggestion), or a dotted path to nothing. An entry that fails to
        import raises its own error.
    """
    if ":" in name:
        path, _, attribute = name.partition(":")
        if not path or path.startswith("."):
            raise SettingsError(f"'{name}': expected `package.module:Class`.")
        try:
            entry = getattr(importlib.import_module(path), attribute, None)
        except ModuleNotFoundError as error:
            raise SettingsError(f"'{name}': there is no module '{error.name}' to import.") from error
        if not isinstance(entry, type):
            raise SettingsError(f"'{name}': module '{path}' has no class '{attribute}'.")
        return entry
    known = names(shelf)
    if name not in known:
        kind = shelf.removesuffix("s").replace("dataset", "data set")
        raise SettingsError(unknown_name(kind, name, known))
    return known[name]


def name_of(entry: type[Any]) -> str:
    """How `find` finds this class again: its name if it is on a shelf, else its dotted path."""
    if entry.__module__.startswith("seqdis."):
        return str(entry.name)
    return f"{entry.__module__}:{entry.__qualname__}"
