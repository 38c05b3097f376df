"""Calendar month of air quality: DBME beside every control, each year in turn held out, another one for validation.

Run it with `seqdis bench examples/beyond_month.py --jobs 2`.
Needs Beijing air quality. About twenty minutes of processor time.
"""

from seqdis.benchmark import Study
from seqdis.datasets import BeijingAirQuality
from seqdis.methods import DBME
from seqdis.protocols import CalendarMonth, DailyRain, Imputation, SeriesLeakage

study = Study(
    name="beyond-month",
    title="Calendar month of air quality: DBME beside every control, four test years",
    methods={"DBME": DBME.published("air-quality")},
    data={f"test year {year}": BeijingAirQuality(test_year=year, valid="year") for year in (2016, 2015, 2014, 2013)},
    protocols=(CalendarMonth(forms=("corrected",)), SeriesLeakage(), Imputation(), DailyRain(forms=("corrected",))),
    seeds=(0, 1, 2),
    reference="DBME",
)
