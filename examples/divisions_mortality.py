"""In-hospital mortality over ten random divisions: settings of DBSE compared in pairs.

Run it with `seqdis bench examples/divisions_mortality.py --jobs 2`.
Needs PhysioNet 2012, set a. About 70 minutes of processor time a seed on an AMD
EPYC, 140 on two shared virtual cores of an Intel Xeon. On one division two methods must differ by
0.07 in AUROC to be told apart; over ten, differences are paired and their interval allows for shared stays.
The divisions are those of `beyond_mortality.py`.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME, DBSE
from seqdis.protocols import ICUUnit, Mortality

full = DBSE.published("mortality")

study = Study(
    name="divisions-mortality",
    title="In-hospital mortality over ten random divisions: settings of DBSE compared in pairs",
    methods={
        "DBSE": full,
        "w/o loss": full.replace(anchor_loss=False),
        "w/o sub": full.replace(subtract=False),
        "released setting, one copy": DBSE.published("mortality", "reference").replace(copies=1),
        "DBME (ours)": DBME.published("mortality"),
    },
    data={f"split {seed}": PhysioNet2012(test="random", split_seed=seed) for seed in range(10, 20)},
    protocols=(Mortality(forms=("corrected",)), ICUUnit(forms=("corrected",))),
    seeds=(0, 1, 2),
    reference="DBSE",
)
