"""The results of a study as one HTML page: a short table, what its models make of sequences, then every score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from seqdis.evaluation.published import AS_PRINTED
from seqdis.evaluation.report import Report, Score
from seqdis.report.figures import loss_curves
from seqdis.report.glance import at_a_glance
from seqdis.report.page import write_page
from seqdis.report.picture import Picture
from seqdis.report.run_page import pictures
from seqdis.sequences import Sequences


def write_study_html(path: Path, report: Report, groups: Sequence[Any], shown: Sequence[Picture] = ()) -> Path:
    """Write the page of a study; self-contained, replaced whole or not at all.

    Parameters
    ----------
    path : Path
    report : Report
        As `seqdis.benchmark.collect` returns it, with "command" in its provenance.
    groups : sequence
        As `seqdis.benchmark.summarise` returns them. Paired differences are in the Markdown page only.
    shown : sequence of Picture
        Of all methods; see `method_pictures`.
    """
    about = report.provenance
    study = about["study"]
    scores = [_score(group, line) for group in groups for line in group.lines if line.n]
    return write_page(
        path,
        study["title"] or study["name"],
        Report(scores=tuple(scores)),
        shown,
        settings=report.settings,
        provenance=_facts(about),
        command=about["command"],
        glance=at_a_glance(groups, study["summary"]),
    )


def endings(labels: Iterable[str]) -> dict[str, str]:
    """How the names of each method's figures end: its label as file names may have it, with a number if that is taken.

    Capitals make no difference to some file systems, so they make none here.
    """
    found: dict[str, str] = {}
    for label in labels:
        taken = {ending.casefold() for ending in found.values()}
        plain = "".join(letter if letter.isalnum() else "_" for letter in label)
        tries = chain([plain], (f"{plain}_{number}" for number in count(2)))
        found[label] = next(each for each in tries if each.casefold() not in taken)
    return found


def method_pictures(
    label: str, model: Any, data: Any, report: Report, seed: int = 0, *, ending: str = ""
) -> list[Picture]:
    """Figures of one fitted method, captioned by the study's label.

    Parameters
    ----------
    label : str
    model : fitted Disentangler
    data : SequenceDataset
        Its "test" part is drawn ("train" if it has no other).
    report : Report
        What protocols noted of this run. Its scores are left to the page's tables.
    seed : int
        Which sequences and draws are shown.
    ending : str
        Of their names, see `endings`; made of the label alone if left out.
    """
    parts: Mapping[str, Sequences] = data.replace().parts()
    part = parts.get("test", parts["train"])
    drawn = pictures(model, part, getattr(data, "hybrid", None), replace(report, scores=()), seed)
    drawn += [loss_curves(model.history_)] if model.history_ else []
    ending = ending or endings([label])[label]
    return [
        replace(each, name=f"{each.name}-{ending}", caption=f"{label}: {each.caption[0].lower()}{each.caption[1:]}")
        for each in drawn
    ]


def _score(group: Any, line: Any) -> Score:
    spread, over = _spread(line)
    return Score(
        method=line.method,
        dataset=group.dataset,
        protocol=group.protocol,
        metric=group.metric,
        factor=group.factor,
        form=group.form,
        better=group.better,
        role=line.role,
        value=line.mean,
        spread=spread,
        n=line.n,
        over=over if spread is not None else "",
        source=line.source,
        bound=line.bound,
    )


def _spread(line: Any) -> tuple[float | None, str]:
    """The spread that is shown, and over what it is."""
    if line.role == "published":
        return line.printed_spread, AS_PRINTED
    if line.split_spread is not None:
        return line.split_spread, "runs (± of splits)"
    return line.seed_spread, "training seeds"


def _facts(about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "training seeds": about["seeds"],
        "reference": about["study"]["reference"],
        "missing runs": about["missing"],
        "controls measured with": about["lead"],
        "judge": about["judges"],
        "runs": {
            f"{run['method']}, {run['split']}, seed {run['seed']}": f"{run['epochs']} epochs, fit in "
            f"{run['fit_seconds']} s"
            for run in about["runs"]
        },
        "evaluated on": dict(enumerate(about["conditions"], start=1)),
        "sequences": about["sequences"],
        "data": about["data"],
    }
