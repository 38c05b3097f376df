"""The errors of seqdis: each says what was given, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SeqdisError(Exception):
    """Anything seqdis refuses to do. The command line prints it without a traceback."""


class SettingsError(SeqdisError, ValueError):
    """A hyperparameter has the wrong type, an impossible value or an unknown name."""


class DataError(SeqdisError, ValueError):
    """Sequences that cannot be used: wrong rank, no data, corrupt or missing files."""


class RunFolderError(SeqdisError, OSError):
    """A run folder is incomplete, was altered, or belongs to another run."""


class CapabilityError(SeqdisError, TypeError):
    """A method was asked for something that it cannot do by design."""


def unknown_name(kind: str, given: str, known: Iterable[str]) -> str:
    """Message for a name that is not known, with the nearest known one suggested."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown {kind} '{given}'.{hint} Known: {', '.join(names) or 'none'}."
