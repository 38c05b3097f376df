"""Ten features, fitted on set a, tested once on set b, which no setting of DBME for ten features was chosen on.

Run it with `seqdis bench examples/beyond_blind.py --jobs 2`.
Needs PhysioNet 2012, sets a and b. About ten minutes of processor time.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME
from seqdis.protocols import ICUUnit, Mortality, SeriesLeakage

stays = PhysioNet2012(sets=("a", "b"), test_set="b")

study = Study(
    name="beyond-blind",
    title="Ten features: fitted on set a, tested on set b, which was not looked at before",
    methods={"DBME, ICU setting": DBME.published("icu-unit"), "DBME, mortality setting": DBME.published("mortality")},
    data={f"train and valid {seed}": stays.replace(split_seed=seed) for seed in range(3)},
    protocols=(ICUUnit(forms=("corrected",)), Mortality(forms=("corrected",)), SeriesLeakage()),
    seeds=(0,),
    reference="DBME, ICU setting",
)
