"""Six methods on air quality: month from the static code, leakage without labels, hidden entries.

Run it with `seqdis bench examples/six_methods_air_quality.py --jobs 2`. Needs Beijing air quality. Settings are in
`six_methods.py`; a year serves for validation.
"""

from six_methods import six_methods

from seqdis.benchmark import Study
from seqdis.datasets import BeijingAirQuality
from seqdis.protocols import CalendarMonth, Imputation, SeriesLeakage
from seqdis.training import Training

study = Study(
    name="six-methods-air-quality",
    title="Six methods on Beijing air quality",
    methods=six_methods(
        Training(max_epochs=40, batch_size=16, lr=2e-3, schedule="cosine"), static=8, dynamic=8, window=24
    ),
    data={"published split": BeijingAirQuality()},
    protocols=(CalendarMonth(), SeriesLeakage(), Imputation()),
    seeds=(0, 1, 2),
    reference="DBSE",
)
