"""Mortality and unit from all 37 measured variables, transductive: set b joins the fit without its labels.

Run it with `seqdis bench examples/beyond_mortality_stays.py --jobs 2`.
Needs PhysioNet 2012, sets a and b. About twenty minutes of processor time.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME
from seqdis.protocols import ICUUnit, Mortality

stays = PhysioNet2012(sets=("a", "b"), test_set="b", features=("all",), unlabelled=("b",))

study = Study(
    name="beyond-mortality-stays",
    title="All measured variables, transductive: set b without labels joins the fit, then is the test part",
    methods={"DBME (transductive)": DBME.published("mortality-all")},
    data={f"train and valid {seed}": stays.replace(split_seed=seed) for seed in range(3)},
    protocols=(Mortality(forms=("corrected",)), ICUUnit(forms=("corrected",))),
    seeds=(0, 1, 2),
    reference="DBME (transductive)",
)
