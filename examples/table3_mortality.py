"""In-hospital mortality: DBSE and its ablations (DBSE paper, Tab. 3).

Run it with `seqdis bench examples/table3_mortality.py --jobs 2`.
Needs PhysioNet 2012, set a. About 1.5 hours of processor time, extrapolated from three
epochs and one evaluation on a core of a shared AMD EPYC server.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME, DBSE
from seqdis.protocols import Mortality

full = DBSE.published("mortality")

study = Study(
    name="table3-mortality",
    title="In-hospital mortality: DBSE and its ablations (DBSE paper, Tab. 3)",
    methods={
        "DBSE": full,
        "w/o loss": full.replace(anchor_loss=False),
        "w/o sub": full.replace(subtract=False),
        "w/o both": full.replace(anchor_loss=False, subtract=False),
        "released setting, one copy": DBSE.published("mortality", "reference").replace(copies=1),
        "DBME (ours)": DBME.published("mortality"),
    },
    data={"official split": PhysioNet2012()},
    protocols=(Mortality(),),
    seeds=(0, 1, 2, 3, 4),
    reference="DBSE",
)
