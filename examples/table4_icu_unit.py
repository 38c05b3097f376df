"""Kind of intensive-care unit: DBSE and its ablations (DBSE paper, Tab. 4).

Run it with `seqdis bench examples/table4_icu_unit.py --jobs 2`.
Needs PhysioNet 2012, set a. About 1.7 hours of processor time, extrapolated from three
epochs and one evaluation on a core of a shared AMD EPYC server.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME, DBSE
from seqdis.protocols import ICUUnit

full = DBSE.published("icu-unit")

study = Study(
    name="table4-icu-unit",
    title="Kind of intensive-care unit: DBSE and its ablations (DBSE paper, Tab. 4)",
    methods={
        "DBSE": full,
        "w/o loss": full.replace(anchor_loss=False),
        "w/o sub": full.replace(subtract=False),
        "w/o both": full.replace(anchor_loss=False, subtract=False),
        "released setting, one copy": DBSE.published("icu-unit", "reference").replace(copies=1),
        "DBME (ours)": DBME.published("icu-unit"),
    },
    data={"official split": PhysioNet2012()},
    protocols=(ICUUnit(),),
    seeds=(0, 1, 2, 3, 4),
    reference="DBSE",
)
