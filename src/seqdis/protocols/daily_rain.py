"""Daily rain at Beijing's stations, read from frozen codes day by day."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from seqdis.evaluation.regression import NumberHead
from seqdis.evaluation.windows import Aggregate
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.protocols._base import Printed
from seqdis.protocols._regression import WindowRegression


@hyperparameters
class DailyRain(WindowRegression):
    """Absolute error, in millimetres, of the rain that fell in every window (24 hours).

    Needs the parts train, valid and test with the label "rain", millimetres of every hour (NaN: unknown).

    Notes
    -----
    Published form: batch norm, ``Linear(static + dynamic, 32)``, 32 to 8, 8 to 1, ReLU after each;
    absolute error, Adam, 51 epochs, the last one kept. A window with an unknown hour counts as dry, in
    train and test, as in GLR's code; the corrected form drops it. The papers say "average daily rain",
    the code sums. Departures from that code: posterior means encoded once; batch norm is learnt, where
    the authors' layers are made anew at every call; batches mix 280 windows of all sequences.

    ``pairing="released"`` in the published form: labels of train belong to other sequences (collected in
    one pass of a shuffling loader, here one permutation by ``seed``) and all labels are shifted by
    ``rotated`` windows, as where signals are rotated to move the anchor (DBSE: window 27) and labels
    are not.

    Most days are dry, so that the constant zero is hard to beat; all printed numbers lie in 1.81 to 1.83.
    The line of least absolute error often *is* that constant: equal rows of the corrected form mean
    that no line through these codes errs less than zero, not that they know nothing of rain.

    References
    ----------
    Naiman et al., ICML 2023 (SPYL), Tab. 2. Tonekaboni et al., AISTATS 2022 (GLR), where the task comes from.

    Examples
    --------
    >>> DailyRain().epochs
    51
    """

    name: ClassVar[str] = "daily-rain"
    title: ClassVar[str] = "Daily rain"
    published: ClassVar[tuple[Printed, ...]] = (
        Printed(key="daily_rain_MAE", metric="MAE", factor="rain from static + dynamic", better="lower"),
    )
    label: ClassVar[str] = "rain"
    aggregate: ClassVar[Aggregate] = "sum"
    zero_incomplete: ClassVar[bool] = True

    rotated: int = hyper(default=27, at_least=0)

    def _head(self, seed: int) -> NumberHead:
        return NumberHead(net=_net, seed=seed, epochs=self.epochs, lr=1e-4)


def _net(columns: int) -> nn.Module:
    layers: list[nn.Module] = [nn.BatchNorm1d(columns)]
    for width, size in ((columns, 32), (32, 8), (8, 1)):
        layers += [nn.Linear(width, size), nn.ReLU()]
    return nn.Sequential(*layers)
