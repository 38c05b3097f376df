"""The store of runs, shared by all studies: what is equal is run once, whatever a study calls it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqdis import __version__, entries
from seqdis.benchmark.study import Study
from seqdis.benchmark.summary import Design, SplitKind
from seqdis.datasets import SequenceDataset
from seqdis.errors import SettingsError
from seqdis.estimator import Disentangler
from seqdis.evaluation.judge_cache import VERSION as JUDGE_VERSION
from seqdis.evaluation.report import Report, merge
from seqdis.hyperparameters import signature
from seqdis.protocols import Protocol
from seqdis.sequences import Sequences


@dataclass(frozen=True, kw_only=True)
class Split:
    """One of the study's data: settings, and what their parts are known by.

    Parameters
    ----------
    label : str
    data : SequenceDataset
        Not yet prepared: every run reads the sequences anew, so that no more than one split is in memory.
    fingerprints, sizes : dict from part name
        Hash of the content, and sequences.
    labelled : int
        Training sequences with any label at all: the others join every division alike.
    tested_on : str
        Hash of the test part whatever train is: its fingerprint holds the scale, which comes from train.
        Empty without a test part.
    """

    label: str
    data: SequenceDataset
    fingerprints: dict[str, str]
    sizes: dict[str, int]
    labelled: int
    tested_on: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One method, split and training seed.

    Parameters
    ----------
    label : str
        What the study calls the method.
    model : Disentangler
        With the seed set.
    protocols : mapping from label to Protocol
    leads : bool
        Whether the controls of its split are measured with this run.
    command : str
        What started it, for ``run.json``.
    """

    label: str
    model: Disentangler
    split: Split
    protocols: Mapping[str, Protocol]
    store: Path
    leads: bool
    command: str = ""

    @property
    def seed(self) -> int:
        """Training seed."""
        return self.model.training.seed

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.label}, {self.split.label}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Named after method class, its version, settings with seed, and training data: the identity of a run."""
        model, train = self.model, self.split.fingerprints["train"]
        version = [model.version] if model.version > 1 else []
        return self.store / f"{model.name}-{_key(entries.name_of(type(model)), signature(model), train, *version)}"

    def scores_path(self, protocol: Protocol) -> Path:
        """Where the model's own rows are kept."""
        return self.folder / "evaluations" / f"{protocol.name}-{self._conditions(protocol)}.json"

    def controls_path(self, protocol: Protocol) -> Path:
        """Where rows of controls and printed numbers are kept that were measured with this run."""
        return self.store / f"controls-{protocol.name}-{_key(self.folder.name, self._conditions(protocol))}.json"

    def report(self) -> Report:
        """The model's own rows so far, with what the protocols noted of it."""
        return merge([Report.load(path) for path in map(self.scores_path, self.protocols.values()) if path.exists()])

    def done(self) -> bool:
        """Whether nothing is left to fit or to evaluate."""
        protocols = self.protocols.values()
        paths = [self.scores_path(protocol) for protocol in protocols]
        paths += [self.controls_path(protocol) for protocol in protocols if self.leads]
        paths.append(self.folder / "weights.safetensors")
        return all(path.exists() for path in paths)

    def _conditions(self, protocol: Protocol) -> str:
        """What scores depend on beside the model; of the code, versions alone are known."""
        versions = (__version__, protocol.version, JUDGE_VERSION if hasattr(protocol, "judge") else 0)
        return _key(entries.name_of(type(protocol)), signature(protocol), self.split.fingerprints, *versions)


def plan(study: Study, store: str | Path, command: str = "") -> list[Run]:
    """All runs, seed by seed, so that a study that was stopped half way has tried every method.

    Raises
    ------
    DataError
        Files are missing or damaged.
    SettingsError
        Two labels of the data mean the same sequences, or runs of two labels have one name.
    """
    splits = [_split(label, data) for label, data in study.data.items()]
    known: dict[str, str] = {}
    for split in splits:
        twin = known.setdefault(_key(split.data.name, split.fingerprints), split.label)
        if twin != split.label:
            raise SettingsError(f"Study.data: '{twin}' and '{split.label}' are the same sequences. Leave one out.")
    able = [label for label, model in study.methods.items() if model.has_encoder] or list(study.methods)
    if any(protocol.draws_from_prior for protocol in study.labelled_protocols().values()):  # so do its controls
        able = [label for label in able if study.methods[label].probabilistic] or able
    lead = able[0]
    runs = [
        Run(
            label=label,
            model=model.replace(training__seed=seed),
            split=split,
            protocols=study.labelled_protocols(),
            store=Path(store),
            leads=label == lead and seed == study.seeds[0],
            command=command,
        )
        for seed in study.seeds
        for split in splits
        for label, model in study.methods.items()
    ]
    names = Counter(run.name for run in runs)
    if twice := [name for name, count in names.items() if count > 1]:
        raise SettingsError(f"Study: two runs are called '{twice[0]}'; change a label of methods or data.")
    return runs


def design(study: Study, runs: Sequence[Run]) -> Design:
    """What the summary must know of the study beside its scores."""
    splits = {run.split.label: run.split for run in runs}
    names: dict[str, list[str]] = {}
    for label, split in splits.items():
        names.setdefault(split.data.name, []).append(label)
    kinds = {name: _kind(study, [splits[label] for label in labels]) for name, labels in names.items()}
    redrawn = {"random": "test", "same test": "valid"}  # the part that every split draws anew from one pool with train
    shares = {
        name: max(splits[label].sizes.get(redrawn[kinds[name]], 0) / splits[label].labelled for label in labels)
        for name, labels in names.items()
        if kinds[name] in redrawn
    }
    return Design(
        methods=tuple(study.methods),
        splits={name: tuple(labels) for name, labels in names.items()},
        seeds=tuple(study.seeds),
        reference=study.reference,
        kinds=kinds,
        test_share=shares,
        controls_known={run.split.data.name for run in runs if run.leads and run.done()} == set(names),
    )


def _split(label: str, data: SequenceDataset) -> Split:
    parts = data.replace().parts()
    test = parts.get("test")
    return Split(
        label=label,
        data=data,
        fingerprints={name: part.fingerprint() for name, part in parts.items()},
        sizes={name: len(part) for name, part in parts.items()},
        labelled=_labelled(parts["train"]),
        tested_on=replace(test, spec=replace(test.spec, center=(0.0,), scale=(1.0,))).fingerprint() if test else "",
    )


def _labelled(train: Sequences) -> int:
    known = [
        np.isfinite(values) if values.dtype.kind == "f" else values != -1
        for values in (np.asarray(values) for values in train.labels.values())
    ]
    return int(np.logical_or.reduce([each.reshape(len(train), -1).any(1) for each in known]).sum() or len(train))


def _kind(study: Study, splits: Sequence[Split]) -> SplitKind:
    tests = {split.tested_on for split in splits}
    return "same test" if len(splits) > 1 and len(tests) == 1 and "" not in tests else study.splits


def _key(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
