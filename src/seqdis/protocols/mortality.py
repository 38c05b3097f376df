"""In-hospital mortality on PhysioNet, read from frozen codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from seqdis.evaluation.metrics import Metric, auroc, average_precision
from seqdis.evaluation.probe import Probe, Read, RecurrentHead
from seqdis.hyperparameters import hyperparameters
from seqdis.protocols._base import Printed
from seqdis.protocols._label import LabelProtocol


@hyperparameters
class Mortality(LabelProtocol):
    """AUROC and AUPRC of in-hospital death, read from both codes.

    Needs the parts train, valid and test with the label "mortality" (1: died, -1: unknown, dropped).

    Notes
    -----
    Published form: `RecurrentHead` (LSTM over window codes, static code joined, 41 epochs, the last
    one kept), ``repeats`` seeds on one representation and one split, as in DBSE. Departure from the
    released code: the mask is kept, where their call loses it. Unless ``codes="samples"``, codes are posterior
    means encoded once, where the authors draw fresh samples at every pass.

    The spread of the published form is over head seeds, that of the corrected form over resamples
    of the test part. The second is the larger one where few patients died; the papers do not give it.

    References
    ----------
    Berman et al., ICML 2024 (DBSE), Tab. 3 and 5. Naiman et al., ICML 2023 (SPYL), Tab. 2.
    Tonekaboni et al., AISTATS 2022 (GLR), where the head comes from.

    Examples
    --------
    >>> Mortality(repeats=5).epochs
    41
    """

    name: ClassVar[str] = "mortality"
    title: ClassVar[str] = "In-hospital mortality"
    version: ClassVar[int] = 3
    published: ClassVar[tuple[Printed, ...]] = (
        Printed(key="mortality_AUROC", metric="AUROC", factor="mortality from static + dynamic"),
        Printed(key="mortality_AUPRC", metric="AUPRC", factor="mortality from static + dynamic"),
    )
    label: ClassVar[str] = "mortality"
    head_read: ClassVar[Read] = "static + dynamic"
    metrics: ClassVar[Mapping[str, Metric]] = {"AUROC": auroc, "AUPRC": average_precision}

    def _head(self, seed: int) -> Probe:
        return RecurrentHead(seed=seed, epochs=self.epochs)
