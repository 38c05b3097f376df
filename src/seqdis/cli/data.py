"""``seqdis data``: what is there, what is intact, how to get the rest."""

from __future__ import annotations

import shlex
import sys

from seqdis import entries
from seqdis.cli.parsing import data_of, note, positionals, say, usage_error, wants_help, with_overrides
from seqdis.datasets import SequenceDataset
from seqdis.datasets._download import check, data_root, fetch_files, status
from seqdis.errors import DataError, SettingsError, unknown_name

HELP = """usage: seqdis data list | check [DATA ...] | fetch DATA [settings] | path [DATA]

  list    every data set with its licence, and whether its files are here
  check   compare checksums of the files that are here, and name what DATA lacks beside them; without a name,
          of all data sets that have any file here
  fetch   download what is missing, with progress; an interrupted download is resumed
  path    the folder where files are looked for (variable SEQDIS_DATA, else a cache folder)

examples:
  seqdis data list
  seqdis data fetch physionet --sets a b
  SEQDIS_DATA=~/data seqdis data check physionet
"""


def run(arguments: list[str]) -> None:
    """Parse and do one of the four."""
    words, flags = positionals(arguments)
    actions = {"list": _list, "check": _check, "fetch": _fetch, "path": _path}
    if wants_help(flags) and len(words) < 2:
        print(HELP)
        return
    if not words or words[0] not in actions:
        if words:
            raise SettingsError(unknown_name("action of seqdis data", words[0], actions))
        usage_error("data", "list, check, fetch or path", arguments)
    actions[words[0]](words[1:], flags)


def _chosen(words: list[str], flags: list[str]) -> list[SequenceDataset]:
    names = words or [name for name, entry in entries.names("datasets").items() if entry.files()]
    sets = [data_of(name) for name in names]
    if flags and len(sets) != 1:
        raise SettingsError(f"settings {shlex.join(flags)} belong to one data set; name it.")
    if flags:
        sets = [with_overrides({"": sets[0]}, flags, f"seqdis data fetch {names[0]}", HELP.split("\n\n")[0])[""]]
    return sets


def _list(words: list[str], flags: list[str]) -> None:
    if flags:
        usage_error("data list", "no settings", words + flags)
    known = entries.names("datasets")
    for name in words or sorted(known):
        entry = entries.find("datasets", name)
        files = status(entry()) if entry.files() else ()
        present = sum(file.state not in ("missing", "partial") for file in files)
        here = f"{present}/{len(files)} files here" if files else "no download"
        say(f"{name:18s}{entry.modality:8s}{here:18s}{entry.licence}")


def _check(words: list[str], flags: list[str]) -> None:
    bad = 0
    for data in _chosen(words, flags) if words or flags else _begun():
        if not data.needed():
            note(f"{data.name}: no files to download, nothing to check")
        for file in check(data):
            bad += file.state in ("altered", "missing", "partial")
            say(f"{data.name:13s} {file.state:10s}{file.path}")
    if bad:
        raise DataError(
            f"{bad} file(s) missing or altered. Delete what is altered; then `seqdis data fetch "
            "DATA` downloads what is missing."
        )


def _begun() -> list[SequenceDataset]:
    """Data sets of which something is here: the others were never asked for, so they lack nothing."""
    found = [data for data in _chosen([], []) if any(file.state != "missing" for file in status(data))]
    if not found:
        note(f"no file of any data set is in {data_root()}: nothing to check")
    return found


def _fetch(words: list[str], flags: list[str]) -> None:
    if not words:
        usage_error("data fetch", "the name of a data set", flags)
    for data in _chosen(words, flags):
        for path in fetch_files(data, progress=sys.stderr.isatty()):
            say(str(path))


def _path(words: list[str], flags: list[str]) -> None:
    if flags and not words:
        usage_error("data path", "the name of a data set", flags)
    for path in [data.location() for data in _chosen(words, flags)] if words else [data_root()]:
        say(str(path))
