"""Six methods on stays in intensive care: mortality and kind of unit, leakage without labels, hidden entries.

Run it with `seqdis bench examples/six_methods_physionet.py --jobs 2`. Needs PhysioNet 2012, set a. Settings are in
`six_methods.py`.
"""

from six_methods import six_methods

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.protocols import ICUUnit, Imputation, Mortality, SeriesLeakage
from seqdis.training import Training

study = Study(
    name="six-methods-physionet",
    title="Six methods on PhysioNet 2012",
    methods=six_methods(
        Training(max_epochs=60, batch_size=32, lr=2e-3, schedule="cosine"), static=8, dynamic=8, window=4
    ),
    data={"official split": PhysioNet2012()},
    protocols=(Mortality(), ICUUnit(), SeriesLeakage(), Imputation()),
    seeds=(0, 1, 2),
    reference="DBSE",
)
