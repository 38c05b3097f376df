"""Calendar month of air quality: which element DBSE takes as anchor (DBSE paper, Tab. 8).

Run it with `seqdis bench examples/table8_anchors_month.py --jobs 2`.
Needs Beijing air quality. About 1.4 hours of processor time, extrapolated from three
epochs and one evaluation on a core of a shared AMD EPYC server.
"""

from seqdis.benchmark import Study
from seqdis.datasets import BeijingAirQuality
from seqdis.methods import DBSE
from seqdis.protocols import CalendarMonth

full = DBSE.published("air-quality")

study = Study(
    name="table8-anchors-month",
    title="Calendar month of air quality: which element is the anchor (DBSE paper, Tab. 8)",
    methods={
        "first": full.replace(anchor="first"),
        "middle": full.replace(anchor="middle"),
        "last": full.replace(anchor="last"),
        "random per run": full.replace(anchor="random_per_run"),
        "random per batch": full.replace(anchor="random_per_batch"),
    },
    data={"published split": BeijingAirQuality()},
    protocols=(CalendarMonth(),),
    seeds=(0, 1, 2, 3, 4),
    reference="first",
)
