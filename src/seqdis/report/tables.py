"""`Report` -> tables for the terminal, for Markdown and for LaTeX.

See `seqdis.report.layout` for what stands in which row and column.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from seqdis.evaluation.report import Report
from seqdis.report.layout import EMPTY, LEGEND, Cell, Column, Row, Table, tables

NOTHING = "The report holds no scores."


def text(report: Report, width: int = 110) -> str:
    """Aligned tables for a terminal; tables wider than ``width`` characters continue below themselves."""
    if not len(report):
        return f"{NOTHING}\n"
    blocks = [_text_table(table, width) for table in tables(report)]
    return "\n\n".join([*blocks, textwrap.fill(LEGEND, width)]) + "\n"


def markdown(report: Report) -> str:
    """Markdown (GitHub) tables, the model in bold, notes and sources below each."""
    if not len(report):
        return f"{NOTHING}\n"
    blocks = [_markdown_table(table) for table in tables(report)]
    return "\n\n".join([*blocks, escaped(LEGEND)]) + "\n"


def latex(report: Report) -> str:
    r"""LaTeX ``table`` environments (need the package *booktabs*), the model in bold."""
    if not len(report):
        return f"% {NOTHING}\n"
    return "\n\n".join(["% needs \\usepackage{booktabs}", *map(_latex_table, tables(report))]) + "\n"


def _text_table(table: Table, width: int) -> str:
    names = [["", "", *(row.method for row in table.rows)], ["", "", *(row.kind for row in table.rows)]]
    cells = [_text_column(table, index) for index in range(len(table.columns))]
    stub = _aligned(names, right=False)
    chunks = ["\n".join(_join(stub, part)) for part in _fitting(_aligned(cells, right=True), stub, width)]
    notes = [textwrap.fill(note, width, initial_indent="  ", subsequent_indent="    ") for note in table.notes]
    return "\n".join([table.title, "=" * len(table.title), "\n\n".join(chunks), *notes])


def _text_column(table: Table, index: int) -> list[str]:
    """Two heading lines, then the cells, with room for spread and note so that points line up."""
    column, cells = table.columns[index], [row.cells[index] for row in table.rows]
    tail = len(table.tail(index))
    mark = 2 if any(cell is not None and cell.mark for cell in cells) else 0
    lines = []
    for cell in cells:
        value, spread, letter = (EMPTY, "", "") if cell is None else (cell.value, cell.spread, cell.mark)
        after = f" ± {spread}" if spread else ""
        lines.append(value + after.ljust(tail) + f" {letter}"[:mark].ljust(mark))
    return [column.heading, column.factor, *lines]


def _aligned(columns: Iterable[Sequence[str]], right: bool) -> list[list[str]]:
    out = []
    for column in columns:
        width = max(len(entry) for entry in column)
        out.append([entry.rjust(width) if right else entry.ljust(width) for entry in column])
    return out


def _fitting(columns: Sequence[list[str]], stub: Sequence[list[str]], width: int) -> list[list[list[str]]]:
    """Split columns into runs that fit beside the row names; at least one column per run."""
    room = width - sum(len(column[0]) + 2 for column in stub)
    runs: list[list[list[str]]] = [[]]
    used = 0
    for column in columns:
        need = len(column[0]) + 2
        if runs[-1] and used + need > room:
            runs.append([])
            used = 0
        runs[-1].append(column)
        used += need
    return runs


def _join(stub: Sequence[list[str]], columns: Sequence[list[str]]) -> list[str]:
    """Lines of one run, without the lines that say nothing in it."""
    cells = zip(*columns, strict=True)
    names = zip(*stub, strict=True)
    silent = {"", EMPTY}
    return [
        "  ".join([*name, *entries]).rstrip()
        for name, entries in zip(names, cells, strict=True)
        if any(entry.strip() not in silent for entry in entries)
    ]


def _markdown_table(table: Table) -> str:
    heads = ["method", "", *(f"{c.label} {c.arrow}".strip() for c in table.columns)]
    lines = [f"### {escaped(table.title)}", "", markdown_row(map(escaped, heads))]
    lines.append(markdown_row(["---", "---", *["---:"] * len(table.columns)]))
    for row in table.rows:
        bold = "**" if row.role == "model" else ""
        names = [f"{bold}{escaped(name)}{bold}" for name in (row.method, row.kind)]
        lines.append(markdown_row([*names, *(_markdown_cell(cell, bold) for cell in row.cells)]))
    notes = [f"- {escaped(note)}" for note in table.notes]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _markdown_cell(cell: Cell | None, bold: str) -> str:
    if cell is None:
        return EMPTY
    return f"{bold}{cell}{bold}" + (f"<sup>{cell.mark}</sup>" if cell.mark else "")


def markdown_row(entries: Iterable[str]) -> str:
    """One row of a Markdown table; entries are escaped already."""
    return f"| {' | '.join(entries)} |"


def escaped(words: str) -> str:
    """Escape what Markdown or HTML would read as markup; line breaks would end a row."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(words.split()))


def _latex_table(table: Table) -> str:
    heads = ["method", "", *map(_latex_heading, table.columns)]
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_latex(table.title)}. {_latex(' '.join(table.notes))}}}",
        rf"  \begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
        r"    \toprule",
        f"    {' & '.join(heads)} \\\\",
    ]
    previous = ""
    for row in table.rows:
        if row.role != previous:
            lines.append(r"    \midrule")
        previous = row.role
        lines.append(f"    {_latex_row(row)} \\\\")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"])


def _latex_heading(column: Column) -> str:
    arrow = {"higher": r" $\uparrow$", "lower": r" $\downarrow$"}.get(column.better, "")
    head = f"{_latex(column.metric)}{arrow}"
    return rf"\shortstack[r]{{{head} \\ {_latex(column.factor)}}}" if column.factor else head


def _latex_row(row: Row) -> str:
    names = [_latex(row.method), _latex(row.kind)]
    if row.role == "model":
        names = [rf"\textbf{{{name}}}" for name in names]
    return " & ".join([*names, *(_latex_cell(cell, bold=row.role == "model") for cell in row.cells)])


def _latex_cell(cell: Cell | None, bold: bool) -> str:
    if cell is None:
        return "--"
    if cell.value == "undefined":
        return cell.value
    inner = f"{cell.value} \\pm {cell.spread}" if cell.spread else cell.value
    mark = f"^{{{cell.mark}}}" if cell.mark else ""
    return rf"$\mathbf{{{inner}}}{mark}$" if bold else f"${inner}{mark}$"


def _latex(words: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    special |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    return "".join(special.get(character, character) for character in " ".join(words.split()))
