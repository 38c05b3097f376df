"""The sequence VAEs before DBSE on Beijing air quality: calendar month, leakage, imputation.

Run it with `seqdis bench examples/family_air_quality.py --jobs 2`. Needs Beijing air quality. Data, budget and scores
are those of `six_methods_air_quality.py`. Series have no augmented views: C-DSVAE is the bound and its penalty alone.
"""

from family import family
from six_methods_air_quality import study as six_methods

from seqdis.benchmark import Study

study = Study(
    name="family-air-quality",
    title="The sequence VAEs before DBSE on Beijing air quality: calendar month, leakage, imputation",
    methods=family(six_methods, static=8, dynamic=8, window=24),
    data=six_methods.data,
    protocols=six_methods.protocols,
    seeds=(0, 1, 2),
    reference="DBSE",
)
