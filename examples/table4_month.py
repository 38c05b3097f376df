"""Calendar month of air quality: DBSE and its ablations (DBSE paper, Tab. 4).

Run it with `seqdis bench examples/table4_month.py --jobs 2`.
Needs Beijing air quality. About 1.4 hours of processor time, extrapolated from three
epochs and one evaluation on a core of a shared AMD EPYC server.
"""

from seqdis.benchmark import Study
from seqdis.datasets import BeijingAirQuality
from seqdis.methods import DBME, DBSE
from seqdis.protocols import CalendarMonth

full = DBSE.published("air-quality")

study = Study(
    name="table4-month",
    title="Calendar month of air quality: DBSE and its ablations (DBSE paper, Tab. 4)",
    methods={
        "DBSE": full,
        "w/o loss": full.replace(anchor_loss=False),
        "w/o sub": full.replace(subtract=False),
        "w/o both": full.replace(anchor_loss=False, subtract=False),
        "released setting, one copy": DBSE.published("air-quality", "reference").replace(copies=1),
        "DBME (ours)": DBME.published("air-quality"),
    },
    data={"published split": BeijingAirQuality()},
    protocols=(CalendarMonth(),),
    seeds=(0, 1, 2, 3, 4),
    reference="DBSE",
)
