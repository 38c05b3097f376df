"""A method of another package: found by dotted path or entry point, and checked like those of the shelf."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import seqdis
from seqdis import entries
from seqdis.errors import RunFolderError, SettingsError
from seqdis.testing import check_method
from seqdis.training import Training

SOURCE = Path(__file__).resolve().parents[1] / "tiny.py"
X = np.random.default_rng(0).normal(size=(6, 5, 3))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages that holds the module ``theirs``."""
    folder = tmp_path / "site"
    folder.mkdir()
    shutil.copy(SOURCE, folder / "theirs.py")
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("theirs", None)


def install(site: Path, **points: str) -> None:
    """The metadata that an installer leaves for a package with these entry points."""
    info = site / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[seqdis.methods]\n{lines}")
    importlib.invalidate_caches()


def test_found_by_dotted_path_and_keeps_the_contracts(site: Path) -> None:
    found = entries.find("methods", "theirs:Tiny")
    assert found.__module__ == "theirs"
    assert entries.name_of(found) == "theirs:Tiny"
    check_method(found(training=Training(max_epochs=2)), modalities=("series",))


def test_found_by_entry_point_beside_the_shelf(site: Path) -> None:
    before = set(entries.names("methods"))
    install(site, tiny="theirs:Tiny")
    assert entries.find("methods", "tiny") is importlib.import_module("theirs").Tiny
    assert set(entries.names("methods")) == before | {"tiny"}
    with pytest.raises(SettingsError, match="Did you mean 'tiny'"):
        entries.find("methods", "tinny")


def test_an_entry_point_never_replaces_an_entry_of_the_shelf(site: Path) -> None:
    install(site, dbse="theirs:Tiny")
    words = "'dbse' names two methods: seqdis.methods.dbse:DBSE, and theirs:Tiny of another package. Give its"
    with pytest.raises(SettingsError, match=words):
        entries.find("methods", "dbse")


def test_an_entry_point_to_the_very_entry_of_the_shelf_does_no_harm(site: Path) -> None:
    before = entries.names("methods")
    install(site, dbse="seqdis.methods:DBSE")
    assert entries.names("methods") == before


def test_an_entry_point_that_cannot_be_imported_raises_its_own_error(site: Path) -> None:
    (site / "theirs.py").write_text("raise RuntimeError('their own words')")
    install(site, tiny="theirs:Tiny")
    with pytest.raises(RuntimeError, match="their own words"):
        entries.names("methods")


def test_a_run_is_loaded_where_the_plugin_is_and_refused_where_it_is_not(site: Path, tmp_path: Path) -> None:
    method = entries.find("methods", "theirs:Tiny")(training=Training(max_epochs=1))
    folder = method.fit(X).save(tmp_path / "run")
    sys.modules.pop("theirs")  # as in a new process
    loaded = seqdis.load(folder)
    assert type(loaded) is sys.modules["theirs"].Tiny
    assert loaded.encode(X).static.tolist() == method.encode(X).static.tolist()
    sys.path.remove(str(site))
    sys.modules.pop("theirs")
    importlib.invalidate_caches()
    with pytest.raises(RunFolderError, match="no module 'theirs'"):
        seqdis.load(folder)
