"""The sequence VAEs before DBSE on PhysioNet 2012: mortality, ICU unit, leakage, imputation.

Run it with `seqdis bench examples/family_physionet.py --jobs 2`. Needs PhysioNet 2012, set a. Data, budget and scores
are those of `six_methods_physionet.py`. Series have no augmented views: C-DSVAE is the bound and its penalty alone.
"""

from family import family
from six_methods_physionet import study as six_methods

from seqdis.benchmark import Study

study = Study(
    name="family-physionet",
    title="The sequence VAEs before DBSE on PhysioNet 2012: mortality, ICU unit, leakage, imputation",
    methods=family(six_methods, static=8, dynamic=8, window=4),
    data=six_methods.data,
    protocols=six_methods.protocols,
    seeds=(0, 1, 2),
    reference="DBSE",
)
