"""Oil temperature: which element DBSE takes as anchor (DBSE paper, Tab. 5).

Run it with `seqdis bench examples/table5_anchors_oil_temperature.py --jobs 2`.
Needs ETTh1. About 10 minutes of processor time, extrapolated from three
epochs and one evaluation on a core of a shared AMD EPYC server.
"""

from seqdis.benchmark import Study
from seqdis.datasets import ETTh1
from seqdis.methods import DBSE
from seqdis.protocols import OilTemperature

full = DBSE.published("etth1")

study = Study(
    name="table5-anchors-oil-temperature",
    title="Oil temperature: which element is the anchor (DBSE paper, Tab. 5)",
    methods={
        "first": full.replace(anchor="first"),
        "middle": full.replace(anchor="middle"),
        "last": full.replace(anchor="last"),
        "random per run": full.replace(anchor="random_per_run"),
        "random per batch": full.replace(anchor="random_per_batch"),
    },
    data={"published split": ETTh1()},
    protocols=(OilTemperature(),),
    seeds=(0, 1, 2, 3, 4),
    reference="first",
)
