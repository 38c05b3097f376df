from __future__ import annotations

import pytest

from seqdis import entries
from seqdis.datasets import ToySeries
from seqdis.errors import SettingsError
from seqdis.methods import DBSE
from seqdis.protocols import SwapFidelity


@pytest.mark.parametrize(
    ("shelf", "name", "entry"),
    [("methods", "dbse", DBSE), ("datasets", "toy-series", ToySeries), ("protocols", "swap-fidelity", SwapFidelity)],
)
def test_entries_are_found_by_name_and_by_path(shelf, name: str, entry: type) -> None:
    assert entries.names(shelf)[name] is entry
    assert entries.find(shelf, name) is entry
    assert entries.name_of(entry) == name
    assert entries.find(shelf, f"{entry.__module__}:{entry.__name__}") is entry


@pytest.mark.parametrize("shelf", ["methods", "datasets", "protocols"])
def test_bases_are_no_entries(shelf) -> None:
    found = entries.names(shelf)
    assert found
    assert all(entry.name == name for name, entry in found.items())


@pytest.mark.parametrize(
    ("shelf", "name", "words"),
    [
        (
            "methods",
            "dbsee",
            "unknown method 'dbsee'. Did you mean 'dbse'[?] Known: c-.*, vae[.] One of your own",
        ),
        ("datasets", "toyseries", "unknown data set 'toyseries'. Did you mean 'toy-series'"),
        ("protocols", "swap", "unknown protocol 'swap'"),
        ("methods", "nowhere.mod:Method", "'nowhere.mod:Method': there is no module 'nowhere'"),
        ("methods", "seqdis.methods:Nope", "module 'seqdis.methods' has no class 'Nope'"),
        ("methods", "seqdis.methods:__all__", "has no class '__all__'"),
        ("methods", ":DBSE", "expected `package.module:Class`"),
        ("methods", ".dbse:DBSE", "expected `package.module:Class`"),
    ],
)
def test_names_that_lead_nowhere(shelf, name: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        entries.find(shelf, name)
