"""`Study`: which methods are compared, on which data, by which protocols, over which seeds."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqdis.datasets import AudioFolder, SequenceDataset, UserFile, VideoFolder
from seqdis.entries import name_of
from seqdis.errors import SeqdisError, SettingsError, unknown_name
from seqdis.estimator import Disentangler
from seqdis.hyperparameters import Settings, signature, validate
from seqdis.protocols import Protocol

STUDY_MODULE = "seqdis_study_"
"""What the modules of study files are called begins so."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison: every method on every split of the data with every training seed.

    Parameters
    ----------
    name : str
        Names the files of results.
    title : str
        What the study shows or reproduces.
    methods : mapping from label to Disentangler
        The first one that has an encoder, with the first seed, is the one that the controls are measured with:
        "untrained encoder" and the size of "PCA code" are its own. Where a protocol draws from priors, the first one
        that has a prior as well.
    data : mapping from label to SequenceDataset
        Splits. Those of one data set (equal ``name``) are averaged over, others never.
    protocols : tuple of Protocol, or mapping from label to Protocol
        Results call a protocol by its name, and by its label where there is one: so one kind may occur with several
        settings, as ``{"leakage of hair": LatentLeakage(static_factor="hair"), ...}``.
    seeds : tuple of int
        Set ``training.seed`` of every method.
    reference : str
        Label of a method or name of a control, that every method is compared with.
    splits : "random" or "independent"
        How several splits of one data set came about. "random": the same sequences divided again,
        which makes their scores alike and intervals wider (see `seqdis.benchmark.summary`).
        "independent": no sequence in common. That all have one and the same test part is found out.
    summary : tuple of str
        Scores that the table at the start of the results shows, as patterns of "protocol: metric, factor" in which
        ``*`` stands for anything. Empty: the first score of every protocol.

    Examples
    --------
    >>> from seqdis.datasets import ToySeries
    >>> from seqdis.methods import DBSE
    >>> from seqdis.protocols import LatentLeakage
    >>> study = Study(
    ...     name="toy",
    ...     title="Does subtraction matter on toy series?",
    ...     methods={"DBSE": DBSE(), "w/o sub": DBSE(subtract=False)},
    ...     data={"toy": ToySeries()},
    ...     protocols=(LatentLeakage(static_factor="group", dynamic_factor="regime"),),
    ...     reference="DBSE",
    ... )
    >>> study.seeds
    (0, 1, 2, 3, 4)
    """

    name: str
    title: str
    methods: Mapping[str, Disentangler]
    data: Mapping[str, SequenceDataset]
    protocols: Sequence[Protocol] | Mapping[str, Protocol]
    reference: str
    seeds: Sequence[int] = (0, 1, 2, 3, 4)
    splits: Literal["random", "independent"] = "random"
    summary: Sequence[str] = ()

    def labelled_protocols(self) -> dict[str, Protocol]:
        """Protocols by what results call them."""
        given = self.protocols
        return dict(given) if isinstance(given, Mapping) else {protocol.name: protocol for protocol in given}

    def check(self) -> None:
        """Refuse, before hours of work, what could not be run or told apart.

        Raises
        ------
        SettingsError
            A dimension that is empty or has something else in it, names or settings given twice,
            settings that are not valid.
        """
        if not re.fullmatch(r"[\w.-]+", str(self.name)):
            raise SettingsError(f"Study.name = {self.name!r}: it names files; use letters, digits, '-', '_' and '.'.")
        if self.splits not in ("random", "independent"):
            raise SettingsError(f"Study.splits = {self.splits!r}: expected 'random' or 'independent'.")
        self._check_types()
        protocols = self.labelled_protocols()
        for settings in (*self.methods.values(), *self.data.values(), *protocols.values()):
            validate(settings)
        for seed in self.seeds:
            validate(next(iter(self.methods.values())).replace(training__seed=seed))
        # Which controls there are, protocols say when they run; what is almost a method's label is no control.
        near = difflib.get_close_matches(self.reference, list(self.methods), n=1, cutoff=0.7)
        if self.reference not in self.methods and (near or not self.reference):
            raise SettingsError(f"Study.reference: {unknown_name('method', self.reference, self.methods)}")
        _refuse_twice("seeds", [str(seed) for seed in self.seeds])
        if not isinstance(self.protocols, Mapping):
            _refuse_twice("protocols", [protocol.name for protocol in self.protocols], "label them in a mapping")
        _refuse_same("methods", {label: model.replace(training__seed=0) for label, model in self.methods.items()})
        _refuse_same("protocols", protocols)
        _refuse_several_places(self.data)

    def _check_types(self) -> None:
        labelled: tuple[tuple[str, object, type], ...] = (
            ("methods", self.methods, Disentangler),
            ("data", self.data, SequenceDataset),
        )
        for name, given, kind in labelled:
            if not isinstance(given, Mapping) or not given:
                raise SettingsError(
                    f"Study.{name} = {given!r}: expected one or more, as {{'label': {kind.__name__}(...)}}."
                )
            _refuse_other(name, given.values(), kind)
        if isinstance(self.summary, str):
            raise SettingsError(f"Study.summary = {self.summary!r}: expected a tuple of patterns.")
        _refuse_other("summary", self.summary, str)
        for name, listed, kind in (("protocols", self.protocols, Protocol), ("seeds", self.seeds, int)):
            values = tuple(listed.values()) if isinstance(listed, Mapping) and kind is Protocol else listed
            if not isinstance(values, Sequence) or not values:
                raise SettingsError(f"Study.{name} = {listed!r}: expected a tuple of one or more.")
            _refuse_other(name, values, kind)


def load_study(path: str | Path) -> Study:
    """The ``study`` that a Python file builds. The file is run, as a script would be.

    Raises
    ------
    SettingsError
        No such file, one that Python refuses, no `Study` named ``study`` in it, or one that `Study.check` refuses.
    """
    file = Path(path)
    if file.suffix != ".py" or not file.is_file():
        what = "this is no .py file" if file.is_file() else "there is no such file"
        raise SettingsError(f"{path}: {what}. Give a Python file that builds `study = Study(...)`.")
    _refuse_repeated_keys(file)
    # Dataclasses look up their module by name; what lies beside the file can be imported, as beside a script.
    name = STUDY_MODULE + re.sub(r"[^a-zA-Z0-9]", "_", file.stem)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SettingsError(f"{path} cannot be run as a Python file.")
    if str(file.resolve().parent) not in sys.path:
        sys.path.append(str(file.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SeqdisError:
        raise
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        where = f", line {lines[-1]}" if lines else ""
        raise SettingsError(f"{file}{where}: {type(error).__name__}: {error}") from error
    study = getattr(module, "study", None)
    if not isinstance(study, Study):
        found = "has no `study`" if study is None else f"has a `study` that is a {type(study).__name__}"
        raise SettingsError(f"{path} {found}; a study file ends in `study = Study(...)`, of seqdis.benchmark.")
    study.check()
    return study


def _refuse_several_places(data: Mapping[str, SequenceDataset]) -> None:
    """A user's own files have one name, and what has one name is averaged."""
    first: dict[str, tuple[str, str]] = {}
    for label, settings in data.items():
        if isinstance(settings, UserFile | VideoFolder | AudioFolder):
            place = os.path.abspath(Path(settings.path).expanduser())
            other, elsewhere = first.setdefault(settings.name, (label, place))
            if place != elsewhere:
                raise SettingsError(
                    f"Study.data: '{other}' is {elsewhere}, '{label}' is {place}: splits of one data set are averaged, "
                    "different data are not. Make a study of each."
                )


def _refuse_other(name: str, given: Iterable[object], kind: type) -> None:
    for value in given:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise SettingsError(f"Study.{name} holds {value!r}: expected {kind.__name__}, such as an instance of it.")


def _refuse_twice(name: str, given: Sequence[str], otherwise: str = "make two studies") -> None:
    twice = [value for value, count in Counter(given).items() if count > 1]
    if twice:
        raise SettingsError(f"Study.{name} has {', '.join(twice)} more than once: give each once, or {otherwise}.")


def _refuse_same(name: str, labelled: Mapping[str, Settings]) -> None:
    first: dict[str, str] = {}
    for label, settings in labelled.items():
        value = f"{name_of(type(settings))} {signature(settings)}"
        if value in first:
            raise SettingsError(
                f"Study.{name}: '{first[value]}' and '{label}' have the same settings, so they would be one run "
                "under two names. Leave one out."
            )
        first[value] = label


def _refuse_repeated_keys(file: Path) -> None:
    """Python keeps the last of equal keys without a word: a method would vanish from the study."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    except (SyntaxError, UnicodeDecodeError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise SettingsError(f"{file}{where} is no Python: {getattr(error, 'msg', error)}.") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            twice = [key for key, count in Counter(keys).items() if count > 1]
            if twice:
                raise SettingsError(f"{file}, line {node.lineno}: the label {twice[0]!r} is given twice.")
