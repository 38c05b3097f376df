"""One HTML page for one run: opens offline, can be mailed, reads on a phone, in light and in dark."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from seqdis.disk import write_bytes
from seqdis.evaluation.report import Report
from seqdis.report.figures import loss_curves
from seqdis.report.glance import NOTE, Glance
from seqdis.report.layout import EMPTY, LEGEND, Cell, Table, tables
from seqdis.report.picture import Picture
from seqdis.report.players import CAPTION, Player
from seqdis.report.tables import NOTHING

# Heading, explanation, and how the names of its pictures begin; in the order of the page.
_SECTIONS = (
    ("", "", ("score_bars",)),
    ("Swapped codes", "The static code of one sequence is decoded with the dynamic code of another.", ("swap",)),
    ("Samples", "One code is kept from a given sequence, the other is drawn from the prior.", ("sample",)),
    ("Drawn codes", "Both codes are drawn from the prior: the model reads none from sequences.", ("drawn",)),
    ("Judged classes", "", ("confusion",)),
    ("Codes", "", ("tsne",)),
    ("Reconstruction", "", ("reconstruction",)),
    ("Training", "", ("losses",)),
)

_WIDE = 544


@dataclass(frozen=True)
class _Item:
    """A picture as the template needs it; ``still`` replaces it in print and where motion is unwelcome."""

    name: str
    caption: str
    src: str
    still: str
    width: int
    height: int
    wide: bool


def write_page(
    path: str | Path,
    title: str,
    report: Report,
    pictures: Iterable[Picture] = (),
    history: Sequence[Mapping[str, Any]] = (),
    settings: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    command: str = "",
    glance: Glance | None = None,
    players: Sequence[Sequence[Player]] = (),
) -> Path:
    """Write a self-contained page: scores beside their controls, pictures, settings, provenance.

    Parameters
    ----------
    path : path
        Where the page goes; replaced whole or not at all.
    title : str
    report : Report
        May be empty: the page then says that nothing was measured.
    pictures : iterable of Picture
        Put into sections by their names; a GIF and a PNG of one name are one figure.
    history : sequence of mappings
        ``model.history_``; drawn unless a picture named "losses" is given.
    settings, provenance : mapping, optional
        Nested; those of the report if left out.
    command : str
        The command that repeats the run.
    glance : Glance, optional
        A short table that the page begins with; all scores then follow the pictures.
    players : sequence of sequences of Player
        Sounds, those of one exchange together; see `seqdis.report.players.exchanges`.

    Returns
    -------
    Path
        ``path``, absolute or not as given.
    """
    shown = list(pictures)
    if history and not any(picture.name == "losses" for picture in shown):
        shown.append(loss_curves(history))
    laid_out = tables(report)
    words = {
        "title": title,
        "summary": summary(laid_out, history),
        "tables": laid_out,
        "glance": glance,
        "glance_note": NOTE,
        "players": [[(player, *_heard(player)) for player in some] for some in players],
        "players_note": CAPTION,
        "sections": _sections(_items(shown)),
        "settings": _flat(report.settings if settings is None else settings),
        "provenance": _flat(report.provenance if provenance is None else provenance),
        "command": command,
        "legend": LEGEND,
        "empty": EMPTY,
        "nothing": NOTHING,
    }
    write_bytes(Path(path), _render(words).encode())
    return Path(path)


def summary(laid_out: Sequence[Table], history: Sequence[Mapping[str, Any]] = ()) -> str:
    """One sentence: the first score that has a control, beside its best control.

    A protocol as printed, with its known defects, is spoken of only if nothing else was measured.
    """
    trained = ""
    if history:
        seconds = sum(epoch.get("seconds", 0.0) for epoch in history)
        trained = f"trained for {len(history)} epoch{'s' if len(history) > 1 else ''} in {_duration(seconds)}"
    ordered = sorted(laid_out, key=lambda table: table.form.startswith("published"))
    found = [hit for table in ordered if (hit := _headline(table)) is not None]
    if not found:
        return f"A model {trained}; {NOTHING[0].lower()}{NOTHING[1:]}" if trained else NOTHING
    table, index, cell, control = next((hit for hit in found if hit[3] is not None), found[0])
    score = cell.score
    on = f"{score.method} on {table.dataset}{', ' + trained if trained else ''}"
    column = table.columns[index]
    best = "the best control" if column.better else "a control"
    beside = "no control was measured" if control is None else f"{best} ({control.score.method}) reaches {control}"
    sentence = f"{on}: {column.label}{',' if column.factor else ''} is {cell}; {beside}."
    return sentence.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def _headline(table: Table) -> tuple[Table, int, Cell, Cell | None] | None:
    """The table's first model score, one with a control if there is one."""
    found: list[tuple[Table, int, Cell, Cell | None]] = []
    for index, column in enumerate(table.columns):
        cells = {role: _cells(table, index, role) for role in ("model", "control")}
        # Where no direction is good, the order of the report decides.
        rank = {"higher": max, "lower": min}.get(column.better)
        controls = [cell for cell in cells["control"] if math.isfinite(cell.score.value) and not cell.score.bound]
        best = None if not controls else rank(controls, key=_value) if rank else controls[0]
        found += [(table, index, cell, best) for cell in cells["model"][:1]]
    return next((hit for hit in found if hit[3] is not None), found[0] if found else None)


def _cells(table: Table, index: int, role: str) -> list[Cell]:
    return [cell for row in table.rows if row.role == role and (cell := row.cells[index]) is not None]


def _value(cell: Cell) -> float:
    return cell.score.value


def _items(pictures: Sequence[Picture]) -> list[_Item]:
    """Pictures in order, the still form of a moving one folded into it."""
    moving = {picture.name for picture in pictures if picture.mime == "image/gif"}
    stills = {picture.name: picture for picture in pictures if picture.mime == "image/png"}
    items = []
    for picture in pictures:
        if picture.mime == "image/png" and picture.name in moving:
            continue
        # Stills are drawn with two pixels for each of the screen's.
        scale = 2 if picture.mime == "image/png" else 1
        width, height = (side // scale for side in picture.size)
        still = _inline(stills[picture.name]) if picture.name in moving and picture.name in stills else ""
        # On a phone these are scrolled; shrunk to its width, their words could not be read.
        wide = width > _WIDE and width > 1.3 * height
        items.append(_Item(picture.name, picture.caption, _inline(picture), still, width, height, wide))
    return items


def _heard(player: Player) -> tuple[_Item, str]:
    return _items([player.picture])[0], _uri("audio/wav", player.sound)


def _inline(picture: Picture) -> str:
    return _uri(picture.mime, picture.data)


def _uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _sections(items: Sequence[_Item]) -> list[tuple[str, str, list[_Item]]]:
    left = list(items)
    sections = []
    for heading, explanation, prefixes in _SECTIONS:
        mine = [item for item in left if item.name.startswith(prefixes)]
        left = [item for item in left if item not in mine]
        if mine:
            sections.append((heading, explanation, mine))
    if left:
        sections.append(("More figures", "", left))
    return sections


def _flat(nested: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """{"training": {"lr": 1}} -> [("training.lr", "1")]."""
    rows: list[tuple[str, str]] = []
    for name, value in nested.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            rows.append((f"{prefix}{name}", ", ".join(map(str, value)) or "none"))
        else:
            rows.append((f"{prefix}{name}", "none" if value is None else str(value)))
    return rows


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _render(words: Mapping[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files("seqdis.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(words)
