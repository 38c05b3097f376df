"""Kind of intensive-care unit: DBME beside every control, ten random divisions of the stays.

Run it with `seqdis bench examples/beyond_icu_unit.py --jobs 2`.
Needs PhysioNet 2012, set a. About half an hour of processor time. Other divisions (0 to 4) of the same stays
served to choose the settings, on their valid parts; see docs/time-series.md.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME
from seqdis.protocols import ICUUnit, Imputation, SeriesLeakage

study = Study(
    name="beyond-icu-unit",
    title="Kind of intensive-care unit: DBME beside every control, ten random splits",
    methods={"DBME": DBME.published("icu-unit")},
    data={f"split {seed}": PhysioNet2012(test="random", split_seed=seed) for seed in range(10, 20)},
    protocols=(ICUUnit(forms=("corrected",)), SeriesLeakage(), Imputation()),
    seeds=(0, 1, 2),
    reference="DBME",
)
