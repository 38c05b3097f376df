"""Kind of intensive-care unit on PhysioNet, read from frozen codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from seqdis.evaluation.metrics import Metric, accuracy
from seqdis.evaluation.probe import Probe, Read, StaticHead
from seqdis.hyperparameters import hyperparameters
from seqdis.protocols._base import Printed
from seqdis.protocols._label import LabelProtocol


@hyperparameters
class ICUUnit(LabelProtocol):
    """Accuracy of the kind of intensive-care unit (four classes); the paper reads the static code.

    Needs the parts train, valid and test with the label "icu_unit" (-1: unknown, dropped).

    Notes
    -----
    Published form: `StaticHead` (two linear layers, 41 epochs of five passes, best validation loss).
    Departures from the released code: posterior means encoded once in place of fresh samples at
    every pass (but with ``codes="samples"``); ``repeats`` fresh heads in place of two runs that go on with one head.

    References
    ----------
    Berman et al., ICML 2024 (DBSE), Tab. 4 and 8. Tonekaboni et al., AISTATS 2022 (GLR).

    Examples
    --------
    >>> ICUUnit().forms
    ('published', 'corrected')
    """

    name: ClassVar[str] = "icu-unit"
    title: ClassVar[str] = "Kind of intensive-care unit"
    version: ClassVar[int] = 3
    published: ClassVar[tuple[Printed, ...]] = (
        Printed(key="ICU_unit_acc_percent", metric="accuracy", factor="icu_unit from static", unit=0.01),
    )
    label: ClassVar[str] = "icu_unit"
    head_read: ClassVar[Read] = "static"
    metrics: ClassVar[Mapping[str, Metric]] = {"accuracy": accuracy}

    def _head(self, seed: int) -> Probe:
        return StaticHead(seed=seed, epochs=self.epochs)
