"""Calendar month of air quality from the static code: DBME, what each part of it brings, four test years.

Run it with `seqdis bench examples/beyond_month.py --jobs 2`.
Needs Beijing air quality. COST
"""

from seqdis.benchmark import Study
from seqdis.datasets import BeijingAirQuality
from seqdis.methods import DBME
from seqdis.protocols import CalendarMonth, Imputation, SeriesLeakage

ours = DBME.published("air-quality")

study = Study(
    name="beyond-month",
    title="Calendar month of air quality: DBME and what each part of it brings",
    methods={
        "DBME": ours,
        "principal components": ours.replace(ridge=1e6),
        "four parts": ours.replace(parts=4),
        "without step profile": ours.replace(profile=False),
        "w/o sub": ours.replace(subtract=False),
    },
    data={f"test year {year}": BeijingAirQuality(test_year=year) for year in (2016, 2015, 2014, 2013)},
    protocols=(CalendarMonth(forms=("corrected",)), SeriesLeakage(), Imputation()),
    seeds=(0, 1, 2),
    reference="DBME",
)
