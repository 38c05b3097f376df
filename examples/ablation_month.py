"""Calendar month of air quality: what each part of DBME brings, on the test years of `beyond_month.py`.

Run it with `seqdis bench examples/ablation_month.py --jobs 2`.
Needs Beijing air quality. The static code has a closed form and no seed, hence one training seed.
"""

from seqdis.benchmark import Study
from seqdis.datasets import BeijingAirQuality
from seqdis.methods import DBME
from seqdis.protocols import CalendarMonth, SeriesLeakage

ours = DBME.published("air-quality")

study = Study(
    name="ablation-month",
    title="Calendar month of air quality: what each part of DBME brings",
    methods={
        "DBME": ours,
        "principal components": ours.replace(ridge=1e6),
        "four parts": ours.replace(parts=4),
        "without step profile": ours.replace(profile=False),
        "w/o sub": ours.replace(subtract=False),
    },
    data={f"test year {year}": BeijingAirQuality(test_year=year, valid="year") for year in (2016, 2015, 2014, 2013)},
    protocols=(CalendarMonth(forms=("corrected",)), SeriesLeakage()),
    seeds=(0,),
    reference="DBME",
)
