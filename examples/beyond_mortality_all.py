"""Mortality and unit from all 37 measured variables: fitted on set a, tested on set b.

Run it with `seqdis bench examples/beyond_mortality_all.py --jobs 2`.
Needs PhysioNet 2012, sets a and b. About twenty minutes of processor time.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME
from seqdis.protocols import ICUUnit, Mortality, SeriesLeakage

stays = PhysioNet2012(sets=("a", "b"), test_set="b", features=("all",))

study = Study(
    name="beyond-mortality-all",
    title="All measured variables: fitted on set a, tested on set b",
    methods={"DBME": DBME.published("mortality-all")},
    data={f"train and valid {seed}": stays.replace(split_seed=seed) for seed in range(3)},
    protocols=(Mortality(forms=("corrected",)), ICUUnit(forms=("corrected",)), SeriesLeakage()),
    seeds=(0, 1, 2),
    reference="DBME",
)
