"""Finding entries by name: on the shelves, from installed packages, or as ``package.module:Class``."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any, Literal

from seqdis.errors import SettingsError, unknown_name

Shelf = Literal["methods", "datasets", "protocols"]


def names(shelf: Shelf) -> dict[str, type[Any]]:
    """All entries of a shelf by name, those of other packages (entry points ``seqdis.<shelf>``) included.

    Raises
    ------
    SettingsError
        Two entries have one name: a run folder that names it could be loaded with the wrong one.
    """
    module = importlib.import_module(f"seqdis.{shelf}")
    found = {entry.name: entry for entry in (getattr(module, name) for name in module.__all__) if "name" in vars(entry)}
    for point in entry_points(group=f"seqdis.{shelf}"):
        entry = point.load()
        if found.setdefault(point.name, entry) is not entry:
            raise SettingsError(
                f"'{point.name}' names two {_kind(shelf)}s: {_path(found[point.name])}, and {point.value} of another "
                "package. Give its entry point another name, or uninstall that package."
            )
    return found


def find(shelf: Shelf, name: str) -> type[Any]:
    """The entry of that name.

    Raises
    ------
    SettingsError
        Unknown name (with a suggestion), a name that two entries have, or a dotted path to nothing. An entry
        that fails to import raises its own error.
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
        hint = " One of your own is given as `package.module:Class`."
        raise SettingsError(unknown_name(_kind(shelf), name, known) + hint)
    return known[name]


def name_of(entry: type[Any]) -> str:
    """How `find` finds this class again: its name if it is on a shelf, else its dotted path."""
    if entry.__module__.startswith("seqdis."):
        return str(entry.name)
    return _path(entry)


def _path(entry: type[Any]) -> str:
    return f"{entry.__module__}:{entry.__qualname__}"


def _kind(shelf: Shelf) -> str:
    """What one entry of the shelf is called."""
    return shelf.removesuffix("s").replace("dataset", "data set")
