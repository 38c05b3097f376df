"""``seqdis list``, ``show`` and ``cite``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Refused, edit, refused

from seqdis import entries
from seqdis.hyperparameters import to_dict


def test_every_entry_is_listed(seqdis) -> None:
    everything = seqdis("list").out
    for shelf in ("methods", "datasets", "protocols"):
        done = seqdis(f"list {shelf}")
        assert (done.status, done.err) == (0, "")
        assert done.out.startswith(f"{shelf}:\n")
        assert done.out in everything
        assert all(f"  {name} " in done.out for name in entries.names(shelf))
    methods = seqdis("list methods").out
    assert "image, spectrogram, series; has encoder" in methods
    assert "  series; has encoder" in methods


@pytest.mark.parametrize("shelf", ["methods", "datasets", "protocols"])
def test_every_entry_is_shown_with_its_defaults(seqdis, shelf: str) -> None:
    for name, entry in entries.names(shelf).items():
        done = seqdis(f"show {name}")
        assert (done.status, done.err) == (0, "")
        assert done.out.startswith(f"{entry.__name__}: ")
        defaults = done.out.split("\ndefaults:\n")[1].split("\n}")[0] + "\n}"
        assert json.loads(defaults) == json.loads(json.dumps(to_dict(entry())))
        assert getattr(entry, "licence", "") in done.out


def test_published_settings_are_shown(seqdis) -> None:
    done = seqdis("show dbse")
    assert "--published NAME --preset paper: sprites" in done.out
    assert "--published NAME --preset reference: " in done.out
    assert "--published NAME, settings of ours: air-quality" in seqdis("show dbme").out


def test_what_to_cite_for_an_entry_and_a_run(seqdis, runs: Path) -> None:
    assert seqdis("cite dbse").out.startswith("@inproceedings{Berman2024DBSE,")
    assert seqdis("cite physionet").out.startswith("@inproceedings{silva2012physionet,")
    assert seqdis("cite file") == seqdis("cite dbse")
    about = {"data": {"entry": "physionet", "settings": {}}}
    edit(runs / "toy0/run.json", about=about)
    assert seqdis("cite toy0").out == seqdis("cite dbse").out + "\n" + seqdis("cite physionet").out


def test_nothing_to_cite_is_said(seqdis) -> None:
    assert seqdis("cite swap-fidelity") == (0, "", "swap-fidelity states nothing to cite\n")


@pytest.mark.parametrize(
    "case",
    [
        Refused("list method", 2, "unknown shelf 'method'. Did you mean 'methods'?"),
        Refused("list methods datasets", 2, "list needs one shelf or none"),
        Refused("show dbes", 2, "unknown entry 'dbes'. Did you mean 'dbse'?"),
        Refused("show dbse --all", 2, "show needs one ENTRY"),
        Refused("show os:PathLike", 2, "PathLike, which is no Settings that can be used"),
        Refused("show nowhere:Mine", 2, "there is no module 'nowhere'"),
        Refused("cite dbes", 2, "unknown entry 'dbes'. Did you mean 'dbse'?"),
        Refused("cite runs/gone", 1, "runs/gone is not a run folder"),
        Refused("cite dbse --all", 2, "cite needs one RUN or ENTRY"),
    ],
    ids=lambda case: case.command,
)
def test_a_mistake_is_explained(seqdis, tmp_path: Path, case: Refused) -> None:
    refused(seqdis, tmp_path, case)
