"""The results of a study as one Markdown page: conditions, means with both spreads, paired differences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence, Set
from typing import Any

from seqdis.report.glance import ARROWS, NOTE, Glance, at_a_glance, digits, number, places_of
from seqdis.report.layout import EMPTY
from seqdis.report.tables import escaped, markdown_row

READING = (
    "Every method: mean over splits of the means over training seeds. ± seeds: standard deviation over training "
    "seeds of one split (pooled over splits); ± splits: standard deviation over splits of the means over seeds. The "
    "two are never merged. n: values averaged; a run that is missing is never replaced. ↑ higher is better, ↓ lower is "
    "better. Fractions are not percentages."
)
SEEDS_ONLY = (
    "Over training seeds, paired by seed: training noise only. The interval does not cover which sequences (patients, "
    "months) happened to be in the test part. A control was measured once, and its own noise is not covered."
)
SAME = "A difference that is the same every time: no interval, as it does not say how others would scatter."
SPLITS = {
    "random": "Over splits, after averaging each over its seeds. The J splits divide the same sequences again: "
    "variance of the mean (1/J + test size/training size) times that of the differences (Nadeau and Bengio 2003).",
    "independent": "Over splits, after averaging each over its seeds; the splits share no sequences.",
    "same test": "Over divisions of train and valid, which overlap: variance of the mean (1/J + valid size/training "
    "size) times that of the differences. All share one test part; the interval does not cover which sequences are in "
    "it.",
}


def study_page(about: Mapping[str, Any], groups: Sequence[Any]) -> str:
    """The scores that matter most, what a reader of the results must know, then one table per thing measured.

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
    first = _glance(at_a_glance(groups, study.get("summary", ()))) if groups else []
    listed = "\n".join(f"- {fact}" for fact in facts(about))
    reading = [READING, _controls_note(about["lead"], about.get("controls missing", ()))]
    waiting = set(about.get("methods missing", ()))
    sections = [_section(group, waiting) for group in groups]
    return "\n\n".join(["\n".join(head), *first, listed, *map(escaped, reading), *sections]) + "\n"


def facts(about: Mapping[str, Any]) -> list[str]:
    """Conditions of a study, in Markdown: seeds, hardware, sizes, times, judges, data, and what is missing."""
    return [
        *_conditions(about),
        *_code_sizes(about.get("code sizes", {})),
        *_times(about["runs"]),
        *_times_with_controls(about.get("seconds with controls", {})),
        *_judges(about.get("judges", {})),
        *_counts(about.get("counts", {})),
        *_data(about),
        *_missing(about["missing"]),
    ]


def _glance(glance: Glance) -> list[str]:
    rows = [glance.heads, ("---", *["---:"] * (len(glance.heads) - 2), "---"), *glance.rows]
    lines = [markdown_row(row if i == 1 else map(escaped, row)) for i, row in enumerate(rows)]
    return ["\n".join(lines), escaped(NOTE)]


def _judges(judges: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"Judge, {escaped(split)}: reads real test data right in "
        + ", ".join(f"{value:.4f} ({escaped(name)})" for name, value in judge["accuracy on real test data"].items())
        + f"; floor {judge['floor']}, {judge['epochs trained']} epochs"
        + (f" in {judge['seconds trained']:.3g} s." if judge.get("seconds trained") else ".")
        for split, judge in judges.items()
    ]


def _counts(counts: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    return [
        f"Sequences, {escaped(split)}, {escaped(protocol)}, {form} form: "
        + "; ".join(
            f"{escaped(factor)} {count['n']}, inception score and entropies of {count['m']} of each class"
            for factor, count in factors.items()
        )
        + "."
        for split, protocols in counts.items()
        for protocol, forms in protocols.items()
        for form, factors in forms.items()
    ]


def _conditions(about: Mapping[str, Any]) -> list[str]:
    seeds = ", ".join(map(str, about["seeds"]))
    found = [f"Training seeds: {seeds}. Reference: {escaped(about['study']['reference'])}."]
    for each in about["conditions"]:
        hardware = each["hardware"]
        versions = ", ".join(f"{name} {value}" for name, value in each["versions"].items())
        found.append(
            f"Evaluated on: {hardware.get('processor')}, {hardware.get('threads')} thread(s), accelerator "
            f"{hardware.get('accelerator')}; {versions}."
        )
    return found


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
    found = []
    for label in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == label]
        fits = [run["fit_seconds"] for run in own]
        timed = [run["evaluation_seconds"] for run in own]
        names = {name for each in timed for name in each}
        by_protocol = [[each[name] for each in timed if name in each] for name in sorted(names)]
        scored = f"{sum(map(statistics.fmean, by_protocol)):.3g} s" if by_protocol else "not timed without controls"
        found.append(
            f"{escaped(label)}: {len(own)} run(s) of {own[0]['epochs']} epochs, fit {statistics.fmean(fits):.3g} s on "
            f"average ({min(fits):.3g} to {max(fits):.3g}), evaluation {scored}, wall time."
        )
    return found


def _times_with_controls(runs: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [
        f"Evaluation with controls ({escaped(run)}): "
        + ", ".join(f"{escaped(protocol)} {seconds:.3g} s" for protocol, seconds in by_protocol.items())
        + ", wall time."
        for run, by_protocol in runs.items()
    ]


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


def _controls_note(lead: str, missing: Sequence[str]) -> str:
    if missing:
        return (
            f"Controls are measured with one method and seed ({lead}, the same on each split), which has not been run "
            f"on every split (not on {', '.join(missing)})."
        )
    return (
        f"Controls were measured once per split. Those made of a network belong to one method and seed ({lead}; the "
        "same on each split): the untrained encoder is its network, the PCA code has its sizes, whatever the code "
        "sizes of the other methods are. A bound is a control that holds what is asked about by construction."
    )


def _section(group: Any, waiting: Set[str]) -> str:
    form = f"{group.form} form" if group.form else ""
    what = f"{group.metric}, {group.factor}" if group.factor else group.metric
    title = " · ".join(part for part in (group.protocol, group.dataset, form, what) if part)
    blocks = [f"### {escaped(title)} {ARROWS.get(group.better, '')}".rstrip(), _scores(group, waiting)]
    blocks += [_differences(group)] if group.differences else []
    return "\n\n".join(blocks)


def _scores(group: Any, waiting: Set[str]) -> str:
    places = places_of(group.lines)
    split = any(line.split_spread is not None for line in group.lines)
    sources = list(dict.fromkeys(line.source for line in group.lines if line.source))
    rows = [["method", "", "mean", "± seeds", *(["± splits"] if split else []), "n"]]
    rows.append(["---", "---", *["---:"] * (len(rows[0]) - 2)])
    for line in group.lines:
        own = line.role == "model"
        kind = f"printed [{sources.index(line.source) + 1}]" if line.source else line.role + ", bound" * line.bound
        mean = number(line.mean, places) if line.n else EMPTY
        if line.printed_spread is not None:
            mean += f" ± {line.printed_spread:.{places}f}"
        cells = [mean, number(line.seed_spread, places)]
        cells += [number(line.split_spread, places)] if split else []
        cells.append(_count(line, waiting))
        bold = "**" if own else ""
        rows.append([f"{bold}{escaped(line.method)}{bold}", escaped(kind), *cells])
    notes = [f"- {escaped(f'[{i}] {source}')}; ± as printed" for i, source in enumerate(sources, start=1)]
    return "\n".join([*map(markdown_row, rows), *(["", *notes] if notes else [])])


def _count(line: Any, waiting: Set[str]) -> str:
    """``waiting``: methods of which runs are missing; what finished runs do not have, the method cannot do."""
    if line.role == "published":
        return EMPTY
    if line.n == line.planned:
        return str(line.n)
    waited_for = line.role == "control" or line.method in waiting
    return f"{line.n} of {line.planned}, " + (
        "**rest missing**" if waited_for else "as it cannot be asked of this method"
    )


def _differences(group: Any) -> str:
    # A difference far below the scores is read to two digits more than they are.
    coarse = places_of(group.lines)
    places = min(max(coarse, digits([each.mean for each in group.differences])), coarse + 2)
    rows = [["method", "minus", "mean difference", "95 % interval", "n", "over"], ["---", "---", *["---:"] * 3, "---"]]
    for each in group.differences:
        against = f"{escaped(each.against)}{' (strongest control)' if each.against == group.strongest else ''}"
        value = "undefined" if math.isnan(each.mean) else f"{each.mean:+.{places}f}"
        interval = EMPTY if each.low is None else f"{each.low:+.{places}f} to {each.high:+.{places}f}"
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
