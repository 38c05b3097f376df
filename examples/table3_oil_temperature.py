"""Oil temperature: DBSE and its ablations (DBSE paper, Tab. 3).

Run it with `seqdis bench examples/table3_oil_temperature.py --jobs 2`.
Needs ETTh1. About 10 minutes of processor time, extrapolated from three
epochs and one evaluation on a core of a shared AMD EPYC server.
"""

from seqdis.benchmark import Study
from seqdis.datasets import ETTh1
from seqdis.methods import DBME, DBSE
from seqdis.protocols import OilTemperature

full = DBSE.published("etth1")

study = Study(
    name="table3-oil-temperature",
    title="Oil temperature: DBSE and its ablations (DBSE paper, Tab. 3)",
    methods={
        "DBSE": full,
        "w/o loss": full.replace(anchor_loss=False),
        "w/o sub": full.replace(subtract=False),
        "w/o both": full.replace(anchor_loss=False, subtract=False),
        "released setting, one copy": DBSE.published("etth1", "reference").replace(copies=1),
        "DBME (ours)": DBME.published("etth1"),
    },
    data={"published split": ETTh1()},
    protocols=(OilTemperature(),),
    seeds=(0, 1, 2, 3, 4),
    reference="DBSE",
)
