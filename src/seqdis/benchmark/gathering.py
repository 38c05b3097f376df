"""What the store holds of a study, as one report: every score, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqdis.benchmark.store import Run
from seqdis.benchmark.study import Study
from seqdis.estimator import Disentangler
from seqdis.evaluation.report import Report, Score
from seqdis.hyperparameters import to_dict
from seqdis.training.checkpoint import RunFolder


def collect(study: Study, runs: Sequence[Run]) -> Report:
    """Every score in the store that belongs to the study, tidy: one row per method, split and seed.

    Raises
    ------
    DataError
        A file of scores is damaged.
    """
    kept = {run.name: _kept(run) for run in runs}
    scores = [score for reports in kept.values() for report in reports for score in report]
    done = [run for run in runs if run.done()]
    missing = [run for run in runs if not run.done()]
    return Report(
        scores=tuple(dict.fromkeys(scores)),
        settings={
            "methods": {label: to_dict(model) for label, model in study.methods.items()},
            "data": {label: to_dict(data) for label, data in study.data.items()},
            "protocols": {label: to_dict(protocol) for label, protocol in study.labelled_protocols().items()},
        },
        provenance={
            "study": {
                "name": study.name,
                "title": study.title,
                "reference": study.reference,
                "splits": study.splits,
                "summary": list(study.summary),
            },
            "code sizes": {label: _code_sizes(model) for label, model in study.methods.items()},
            "seeds": list(study.seeds),
            "lead": next(run.name for run in runs if run.leads),
            "controls missing": [run.split.label for run in missing if run.leads],
            "data": {run.split.label: run.split.fingerprints for run in runs},
            "sequences": {run.split.label: run.split.sizes for run in runs},
            "judges": _judges(_notes(runs, kept, "judge")),
            "counts": _notes(runs, kept, "counts"),
            "seconds with controls": _seconds_with_controls(kept),
            "conditions": _conditions([report for reports in kept.values() for report in reports]),
            "runs": [_about(run, kept[run.name]) for run in done],
            "missing": [run.name for run in missing],
            "methods missing": list(dict.fromkeys(run.label for run in missing)),
        },
    )


def _code_sizes(model: Disentangler) -> dict[str, int]:
    return dict(zip(("static_dim", "dynamic_dim"), model.code_dims, strict=True))


def _kept(run: Run) -> list[Report]:
    own = [(label, run.scores_path(protocol)) for label, protocol in run.protocols.items()]
    shared = [(label, run.controls_path(protocol)) for label, protocol in run.protocols.items() if run.leads]
    return [_named(run, label, Report.load(path)) for label, path in (*own, *shared) if path.exists()]


def _named(run: Run, label: str, report: Report) -> Report:
    """Rows and notes as the study calls them; printed numbers belong to no split, and to the data set alone.

    What is kept of equal sequences may come from a data set of another name.
    """
    own, dataset = run.protocols[label].name, run.split.data.name

    def labelled(notes: Mapping[str, Any]) -> dict[str, Any]:
        return {label if key == own else key: value for key, value in notes.items()}

    def named(score: Score) -> Score:
        score = replace(score, protocol=label, dataset=dataset)
        if score.role == "model":
            return replace(score, method=run.label, split=run.split.label, seed=run.seed)
        return replace(score, split=run.split.label) if score.role == "control" else score

    provenance = labelled(report.provenance)
    for times in ("seconds", "seconds with controls"):
        provenance |= {times: labelled(provenance[times])} if times in provenance else {}
    rows = (score for score in report if score.role != "published" or score.dataset == dataset)
    return replace(report, scores=tuple(map(named, rows)), provenance=provenance)


def _notes(runs: Sequence[Run], kept: Mapping[str, Sequence[Report]], key: str) -> dict[str, dict[str, Any]]:
    """What protocols noted under this word, by split and protocol."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for report in kept[run.name]:
            for protocol, notes in report.provenance.items():
                if isinstance(notes, dict) and key in notes:
                    found.setdefault(run.split.label, {})[protocol] = notes[key]
    return found


def _judges(notes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """By split, where its protocols share one, else by split and protocol."""
    found: dict[str, Any] = {}
    for split, by_protocol in notes.items():
        first = next(iter(by_protocol.values()))
        shared = all(judge == first for judge in by_protocol.values())
        found |= {split: first} if shared else {f"{split}, {label}": judge for label, judge in by_protocol.items()}
    return found


def _seconds_with_controls(kept: Mapping[str, Sequence[Report]]) -> dict[str, dict[str, float]]:
    """What evaluations took with which controls were measured, by run and protocol."""
    found: dict[str, dict[str, float]] = {}
    for name, reports in kept.items():
        for report in reports:
            if seconds := report.provenance.get("seconds with controls"):
                found.setdefault(name, {}).update(seconds)
    return found


def _conditions(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Hardware and versions of the evaluations, each combination once."""
    found = [{key: report.provenance.get(key, {}) for key in ("hardware", "versions")} for report in reports]
    return [each for i, each in enumerate(found) if each not in found[:i]]


def _about(run: Run, reports: Sequence[Report]) -> dict[str, Any]:
    history = RunFolder(run.folder).history()
    return {
        "method": run.label,
        "split": run.split.label,
        "seed": run.seed,
        "folder": run.folder.name,
        "epochs": len(history),
        "fit_seconds": round(sum(record.get("seconds", 0.0) for record in history), 2),
        "evaluation_seconds": {k: v for report in reports for k, v in report.provenance.get("seconds", {}).items()},
    }
