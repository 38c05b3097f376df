"""Are the stays too few, or the features? The ten divisions of DBME's studies, drawn from twice as many stays.

Run it with `seqdis bench examples/ceiling_stays.py --jobs 2`.
Needs PhysioNet 2012, sets a and b. About half an hour of processor time. Settings are those of `beyond_icu_unit.py` and
`beyond_mortality.py`; only the stays that everything learns from, with their labels, are 2,388 in place of 1,189.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME
from seqdis.protocols import ICUUnit, Mortality

stays = PhysioNet2012(sets=("a", "b"), test="random")

study = Study(
    name="ceiling-stays",
    title="Ten features of twice the stays: ten random divisions of sets a and b",
    methods={"DBME, ICU setting": DBME.published("icu-unit"), "DBME, mortality setting": DBME.published("mortality")},
    data={f"split {seed}": stays.replace(split_seed=seed) for seed in range(10, 20)},
    protocols=(ICUUnit(forms=("corrected",)), Mortality(forms=("corrected",))),
    seeds=(0,),
    reference="DBME, ICU setting",
)
