"""Kind of intensive-care unit: which element DBSE takes as anchor (DBSE paper, Tab. 8).

Run it with `seqdis bench examples/table8_anchors_icu_unit.py --jobs 2`.
Needs PhysioNet 2012, set a. About 1.7 hours of processor time, extrapolated from three
epochs and one evaluation on a core of a shared AMD EPYC server.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBSE
from seqdis.protocols import ICUUnit

full = DBSE.published("icu-unit")

study = Study(
    name="table8-anchors-icu-unit",
    title="Kind of intensive-care unit: which element is the anchor (DBSE paper, Tab. 8)",
    methods={
        "first": full.replace(anchor="first"),
        "middle": full.replace(anchor="middle"),
        "last": full.replace(anchor="last"),
        "random per run": full.replace(anchor="random_per_run"),
        "random per batch": full.replace(anchor="random_per_batch"),
    },
    data={"official split": PhysioNet2012()},
    protocols=(ICUUnit(),),
    seeds=(0, 1, 2, 3, 4),
    reference="first",
)
