"""In-hospital mortality: does one Monte-Carlo copy do as well as the ten of the released code?

Run it with `seqdis bench examples/copies_mortality.py --jobs 2`.
Needs PhysioNet 2012, set a. About half an hour of processor time.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBSE
from seqdis.protocols import ICUUnit, Mortality

released = DBSE.published("mortality", "reference")

study = Study(
    name="copies-mortality",
    title="Released setting of DBSE on PhysioNet: ten Monte-Carlo copies or one",
    methods={"ten copies": released, "one copy": released.replace(copies=1)},
    data={"official split": PhysioNet2012()},
    protocols=(Mortality(), ICUUnit()),
    seeds=(0, 1, 2),
    reference="ten copies",
)
