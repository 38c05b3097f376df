"""`Score` and `Report`: tidy rows with spread, role and provenance. What every protocol returns."""

from __future__ import annotations

import math
import platform
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import msgspec

from seqdis.disk import unreadable, write_bytes
from seqdis.errors import DataError

Role = Literal["model", "control", "published"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number and what it is.

    Parameters
    ----------
    method : str
        "DBSE", or the control's name ("majority class", "PCA code", ...).
    dataset, protocol, metric : str
    factor : str
        Which factor or code is read ("icu_unit from static"); empty if there is one only.
    value : float
    spread : float or None
        Standard deviation over ``n`` values; None for a single one.
    n : int
        How many values ``value`` averages.
    over : str
        What the values differ in: "heads", "splits", "training seeds", ... The two kinds of
        spread, over sampling and over training, are never merged.
    seed : int or None
        Training seed of the model, where one model is meant.
    split : str
        Which split of the data, where a study compares several; empty otherwise.
    role : "model", "control" or "published"
    form : "published", "corrected" or ""
        Whether the protocol ran as printed or with its known defects mended.
    better : "higher", "lower" or ""
        Which direction is good; empty where chance is the target.
    source : str
        For published numbers: paper and table.
    bound : bool
        Of controls: what is asked about stands in it by construction ("real test data"), so that it is no competitor
        but as much as can be had.
    """

    method: str
    dataset: str
    protocol: str
    metric: str
    value: float
    factor: str = ""
    spread: float | None = None
    n: int = 1
    over: str = ""
    seed: int | None = None
    role: Role = "model"
    form: str = ""
    better: str = ""
    source: str = ""
    split: str = ""
    bound: bool = False

    def place(self) -> tuple[str, str, str, str, str]:
        """What it may be compared within: data set, protocol, form, metric and factor."""
        return (self.dataset, self.protocol, self.form, self.metric, self.factor)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Rows of scores with the settings and the provenance under which they were measured."""

    scores: tuple[Score, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Score]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def __add__(self, other: Report) -> Report:
        return Report(
            scores=self.scores + other.scores,
            settings={**self.settings, **other.settings},
            provenance={**self.provenance, **other.provenance, **_all_parts(self, other)},
        )

    def find(self, **wanted: Any) -> tuple[Score, ...]:
        """Scores whose fields equal those given, such as ``find(role="model", metric="AUROC")``."""
        return tuple(s for s in self.scores if all(getattr(s, name) == value for name, value in wanted.items()))

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all."""
        path = Path(path)
        write_bytes(path, msgspec.json.format(msgspec.json.encode(self), indent=1))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            The file is missing, truncated or not a report.
        """
        try:
            content = msgspec.json.decode(Path(path).read_bytes())
            for row in content["scores"]:  # JSON has no NaN: an undefined score is stored as null
                row["value"] = math.nan if row["value"] is None else row["value"]
            return msgspec.convert(content, cls)
        except (OSError, KeyError, TypeError, msgspec.DecodeError, msgspec.ValidationError) as error:
            raise DataError(
                unreadable(path, error, ": no report, or cut short. Delete it and evaluate again, or restore it.")
            ) from error


def provenance(fingerprints: Mapping[str, str], extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Versions, hardware, threads and data fingerprints of this process."""
    import torch

    return {
        "versions": {name: version(name) for name in ("torch", "numpy", "scikit-learn")}
        | {"python": platform.python_version(), "seqdis": _own_version()},
        "hardware": {
            "processor": _processor(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        },
        "data": dict(fingerprints),
        **(extra or {}),
    }


def merge(reports: Sequence[Report]) -> Report:
    """All rows of several reports, in order."""
    total = Report(scores=())
    for report in reports:
        total = total + report
    return total


def over_seeds(reports: Sequence[Report]) -> Report:
    """Average the rows of several training runs.

    Every row becomes the mean of the runs' values, with their standard deviation as spread: the
    spread over *training*. That over heads or splits inside a run is averaged away, not merged
    into it. Rows that no training touches (printed numbers, most controls) are the same in every
    run and stay as they are, with the spread they have inside one.

    Raises
    ------
    DataError
        The runs were not evaluated alike: a row of one is missing in another.
    """
    if len(reports) < 2:
        return merge(reports)
    groups: dict[tuple[Any, ...], list[Score]] = {}
    for score in merge(reports):
        groups.setdefault((score.role, score.source, score.method, *score.place()), []).append(score)
    rows: list[Score] = []
    for scores in groups.values():
        first = scores[0]
        if len(scores) != len(reports):
            raise DataError(
                f"{first.method} ({first.protocol} {first.metric} {first.factor}) was measured in {len(scores)} of "
                f"{len(reports)} runs; evaluate all of them alike."
            )
        values = [score.value for score in scores]
        if first.role != "model" and (len(set(values)) == 1 or all(map(math.isnan, values))):
            rows.append(first)
            continue
        spread = deviation(values)
        rows.append(
            replace(
                first, value=statistics.fmean(values), spread=spread, n=len(values), over="training seeds", seed=None
            )
        )
    total = merge(reports)
    return Report(scores=tuple(rows), settings=total.settings, provenance=total.provenance)


def _all_parts(*reports: Report) -> dict[str, Any]:
    """Fingerprints of all parts of the data that were used: protocols use different ones."""
    found = [each.provenance["data"] for each in reports if isinstance(each.provenance.get("data"), Mapping)]
    return {"data": {part: value for parts in found for part, value in parts.items()}} if found else {}


def deviation(values: Sequence[float]) -> float:
    """Of a sample; NaN where a score is undefined, which `statistics.stdev` does not survive."""
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _own_version() -> str:
    from seqdis import __version__

    return __version__


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
