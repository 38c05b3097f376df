"""Calendar month of Beijing air-quality series, read from frozen codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from seqdis.evaluation.metrics import Metric, accuracy
from seqdis.evaluation.probe import Probe, Read, StaticHead
from seqdis.hyperparameters import hyperparameters
from seqdis.protocols._base import Printed
from seqdis.protocols._label import LabelProtocol


@hyperparameters
class CalendarMonth(LabelProtocol):
    """Accuracy of the calendar month (twelve classes) of a stretch of hours; the paper reads the static code.

    Needs the parts train, valid and test with the label "month" (0 to 11; -1: unknown, dropped).

    Notes
    -----
    Published form: `StaticHead` (two linear layers, 41 epochs of five passes, best validation loss).
    Departures from the released code: posterior means encoded once in place of fresh samples at
    every pass (but with ``codes="samples"``); ``repeats`` fresh heads in place of two runs that go on with one head.

    The twelve stations measure the same weather and smog at the same hours. Where train and test hold
    the same months of the same years at other stations, a code that only tells sequences apart
    does well: split by year before calling a month recognised.

    References
    ----------
    Berman et al., ICML 2024 (DBSE), Tab. 4 and 8. Tonekaboni et al., AISTATS 2022 (GLR).

    Examples
    --------
    >>> CalendarMonth().repeats
    5
    """

    name: ClassVar[str] = "calendar-month"
    title: ClassVar[str] = "Calendar month"
    version: ClassVar[int] = 3
    published: ClassVar[tuple[Printed, ...]] = (
        Printed(key="month_acc_percent", metric="accuracy", factor="month from static", unit=0.01),
    )
    label: ClassVar[str] = "month"
    head_read: ClassVar[Read] = "static"
    metrics: ClassVar[Mapping[str, Metric]] = {"accuracy": accuracy}

    def _head(self, seed: int) -> Probe:
        return StaticHead(seed=seed, epochs=self.epochs)
