"""The results of a study as one Markdown page: conditions, means with both spreads, paired differences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from seqdis.report.layout import EMPTY
from seqdis.report.tables import escaped, markdown_row

ARROWS = {"higher": "↑", "lower": "↓"}
READING = (
    "Every method: mean over splits of the means over training seeds. ± seeds: standard deviation over training "
    "seeds of one split (pooled over splits); ± splits: standard deviation over splits of the means over seeds. The "
    "two are never merged. n: values averaged; a run that is missing is never replaced. ↑ higher is better, ↓ lower is "
    "better. Fractions are not percentages."
)
SEEDS_ONLY = (
    "Over training seeds, paired by seed: training noise only. The interval does not cover which sequences (patients, "
    "months) happened to be in the test part."
)
SAME = "A difference that is the same for every seed: no interval, as training noise has no part in it."
SPLITS = {
    "random": "Over splits, after averaging each over its seeds. The J splits divide the same sequences again: "
    "variance of the mean (1/J + test size/training size) times that of the differences (Nadeau and Bengio 2003).",
    "independent": "Over splits, after averaging each over its seeds; the splits share no sequences.",
    "same test": "Over divisions of train and valid; all share one test part, so the interval does not cover which "
    "sequences were tested on.",
}


def study_page(about: Mapping[str, Any], groups: Sequence[Any]) -> str:
    """Everything that a reader of the results must know, then one table per thing measured.

    Parameters
    ----------
    about : mapping
        Provenance of the report that `seqdis.benchmark.run_study` returns, and "command".
    groups : sequence
        As `seqdis.benchmark.summary.summarise` returns them.

    Returns
    -------
    str
        Markdown (GitHub).
    """
    study = about["study"]
    head = [f"# {escaped(study['title'] or study['name'])}", "", "```bash", about["command"], "```"]
    facts = [
        *_conditions(about),
        *_code_sizes(about.get("code sizes", {})),
        *_times(about["runs"]),
        *_data(about),
        *_missing(about["missing"]),
    ]
    reading = [READING, _controls_note(about["lead"])]
    sections = [_section(group) for group in groups]
    body = ["\n".join(head), "\n".join(f"- {fact}" for fact in facts), *map(escaped, reading), *sections]
    return "\n\n".join(body) + "\n"


def _conditions(about: Mapping[str, Any]) -> list[str]:
    seeds = ", ".join(map(str, about["seeds"]))
    facts = [f"Training seeds: {seeds}. Reference: {escaped(about['study']['reference'])}."]
    for each in about["conditions"]:
        hardware = each["hardware"]
        versions = ", ".join(f"{name} {value}" for name, value in each["versions"].items())
        facts.append(
            f"Evaluated on: {hardware.get('processor')}, {hardware.get('threads')} thread(s), accelerator "
            f"{hardware.get('accelerator')}; {versions}."
        )
    return facts


def _code_sizes(sizes: Mapping[str, Mapping[str, int]]) -> list[str]:
    known = [
        f"{escaped(label)} " + ", ".join(f"{name.removesuffix('_dim')} {size}" for name, size in own.items())
        for label, own in sizes.items()
        if own
    ]
    return [f"Code sizes: {'; '.join(known)}."] if known else []


def _times(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Wall times; runs that were resumed or reused count what their own log says.

    Evaluations that measured controls as well have no time of their own.
    """
    facts = []
    for label in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == label]
        fits = [run["fit_seconds"] for run in own]
        timed = [run["evaluation_seconds"] for run in own]
        names = {name for each in timed for name in each}
        by_protocol = [[each[name] for each in timed if name in each] for name in sorted(names)]
        scored = f"{sum(map(statistics.fmean, by_protocol)):.3g} s" if by_protocol else "not timed without controls"
        facts.append(
            f"{escaped(label)}: {len(own)} run(s) of {own[0]['epochs']} epochs, fit {statistics.fmean(fits):.3g} s on "
            f"average ({min(fits):.3g} to {max(fits):.3g}), evaluation {scored}, wall time."
        )
    return facts


def _data(about: Mapping[str, Any]) -> list[str]:
    return [
        f"Data, {escaped(label)}: "
        + ", ".join(f"{part} {about['sequences'][label][part]} `{value}`" for part, value in fingerprints.items())
        + " (sequences, fingerprint)."
        for label, fingerprints in about["data"].items()
    ]


def _missing(names: Sequence[str]) -> list[str]:
    if not names:
        return ["No run is missing."]
    return [f"**Missing: {len(names)} run(s)**, not averaged over: {escaped('; '.join(names))}."]


def _controls_note(lead: str) -> str:
    return (
        f"Controls were measured once per split. Those made of a network belong to the first method and seed ({lead}; "
        "the same method and seed on each split): the untrained encoder is its network, the PCA code has its sizes, "
        "whatever the code sizes of the other methods are."
    )


def _section(group: Any) -> str:
    form = f"{group.form} form" if group.form else ""
    what = f"{group.metric}, {group.factor}" if group.factor else group.metric
    title = " · ".join(part for part in (group.protocol, group.dataset, form, what) if part)
    blocks = [f"### {escaped(title)} {ARROWS.get(group.better, '')}".rstrip(), _scores(group)]
    blocks += [_differences(group)] if group.differences else []
    return "\n\n".join(blocks)


def _scores(group: Any) -> str:
    digits = _digits([line.mean for line in group.lines])
    split = any(line.split_spread is not None for line in group.lines)
    sources = list(dict.fromkeys(line.source for line in group.lines if line.source))
    rows = [["method", "", "mean", "± seeds", *(["± splits"] if split else []), "n"]]
    rows.append(["---", "---", *["---:"] * (len(rows[0]) - 2)])
    for line in group.lines:
        own = line.role == "model"
        kind = f"printed [{sources.index(line.source) + 1}]" if line.source else line.role
        mean = _number(line.mean, digits)
        if line.printed_spread is not None:
            mean += f" ± {line.printed_spread:.{digits}f}"
        cells = [mean, _number(line.seed_spread, digits)]
        cells += [_number(line.split_spread, digits)] if split else []
        cells.append(_count(line))
        bold = "**" if own else ""
        rows.append([f"{bold}{escaped(line.method)}{bold}", escaped(kind), *cells])
    notes = [f"- {escaped(f'[{i}] {source}')}; ± as printed" for i, source in enumerate(sources, start=1)]
    return "\n".join([*map(markdown_row, rows), *(["", *notes] if notes else [])])


def _count(line: Any) -> str:
    if line.role == "published":
        return EMPTY
    short = f" of {line.planned}, **rest missing**" if line.n < line.planned else ""
    return f"{line.n}{short}"


def _differences(group: Any) -> str:
    # A difference far below the scores is read to two digits more than they are.
    coarse = _digits([line.mean for line in group.lines])
    digits = min(max(coarse, _digits([each.mean for each in group.differences])), coarse + 2)
    rows = [["method", "minus", "mean difference", "95 % interval", "n", "over"], ["---", "---", *["---:"] * 3, "---"]]
    for each in group.differences:
        against = f"{escaped(each.against)}{' (strongest control)' if each.against == group.strongest else ''}"
        value = "undefined" if math.isnan(each.mean) else f"{each.mean:+.{digits}f}"
        interval = EMPTY if each.low is None else f"{each.low:+.{digits}f} to {each.high:+.{digits}f}"
        interval = "undefined" if each.low is not None and math.isnan(each.low) else interval
        rows.append([escaped(each.method), against, value, interval, str(each.n), each.over])
    kinds = {each.over for each in group.differences}
    notes = [SEEDS_ONLY] if "training seeds" in kinds else []
    notes += [SAME] if any(each.low is None and each.n > 1 for each in group.differences) else []
    notes += [SPLITS[group.splits]] if "splits" in kinds else []
    if group.strongest:
        notes.append(
            f"Strongest control ({group.strongest}): chosen by its score on test, which favours the control, not the "
            "methods."
        )
    return "\n".join([*map(markdown_row, rows), "", *(f"- {escaped(note)}" for note in notes)])


def _digits(values: Sequence[float]) -> int:
    """Digits after the point: about four significant ones of the largest value."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    power = math.floor(math.log10(largest)) if largest else 0
    return min(max(3 - power if power >= 0 else 2 - power, 0), 8)


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return EMPTY
    return "undefined" if math.isnan(value) else f"{value:.{digits}f}"
