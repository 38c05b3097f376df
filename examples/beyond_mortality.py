"""Mortality from ten features: DBME beside every control, ten random divisions of the stays.

Run it with `seqdis bench examples/beyond_mortality.py --jobs 2`.
Needs PhysioNet 2012, set a. About half an hour of processor time. Other divisions (0 to 4) of the same stays
served to choose the settings, on their valid parts; see docs/time-series.md.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME
from seqdis.protocols import Imputation, Mortality, SeriesLeakage

study = Study(
    name="beyond-mortality",
    title="In-hospital mortality from ten features: DBME beside every control, ten random splits",
    methods={"DBME": DBME.published("mortality")},
    data={f"split {seed}": PhysioNet2012(test="random", split_seed=seed) for seed in range(10, 20)},
    protocols=(Mortality(forms=("corrected",)), SeriesLeakage(), Imputation()),
    seeds=(0, 1, 2),
    reference="DBME",
)
