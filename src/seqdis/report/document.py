"""A report as one Markdown document: command, conditions, tables."""

from __future__ import annotations

from collections.abc import Sequence

from seqdis.evaluation.report import Report
from seqdis.report.tables import markdown


def document(title: str, report: Report, command: str, made_by: Sequence[str] = ()) -> str:
    """What a results folder keeps: nobody should have to ask how a number came about.

    Parameters
    ----------
    title : str
    report : Report
    command : str
        The command that wrote it.
    made_by : sequence of str
        The commands that made the runs.
    """
    about = report.provenance
    hardware, versions = about.get("hardware", {}), about.get("versions", {})
    lines = [f"# {title}", "", "```bash", *made_by, command, "```", ""]
    if hardware:
        lines.append(
            f"Hardware: {hardware.get('processor')}, {hardware.get('threads')} thread(s) at evaluation, "
            f"accelerator {hardware.get('accelerator')}. "
        )
    lines.append("Versions: " + ", ".join(f"{name} {value}" for name, value in versions.items()) + ".")
    fingerprints = ", ".join(f"{part} `{value}`" for part, value in about.get("data", {}).items())
    lines += [f"Data fingerprints: {fingerprints}.", "", markdown(report), ""]
    return "\n".join(lines)
