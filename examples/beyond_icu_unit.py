"""Kind of intensive-care unit: DBME, what each part of it brings, ten random splits not used to choose its settings.

Run it with `seqdis bench examples/beyond_icu_unit.py --jobs 2`.
Needs PhysioNet 2012, set a. COST
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME
from seqdis.protocols import ICUUnit, Imputation, SeriesLeakage

ours = DBME.published("icu-unit")

study = Study(
    name="beyond-icu-unit",
    title="Kind of intensive-care unit: DBME and what each part of it brings",
    methods={
        "DBME": ours,
        "principal components": ours.replace(ridge=1e6),
        "one part": ours.replace(parts=1),
    },
    data={f"split {seed}": PhysioNet2012(test="random", split_seed=seed) for seed in range(10, 20)},
    protocols=(ICUUnit(forms=("corrected",)), SeriesLeakage(), Imputation()),
    seeds=(0, 1, 2),
    reference="DBME",
)
