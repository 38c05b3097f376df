"""Kind of intensive-care unit: what each part of DBME brings, on the splits of `beyond_icu_unit.py`.

Run it with `seqdis bench examples/ablation_icu_unit.py --jobs 2`.
Needs PhysioNet 2012, set a. The static code has a closed form and no seed, hence one training seed.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBME
from seqdis.protocols import ICUUnit, SeriesLeakage

ours = DBME.published("icu-unit")

study = Study(
    name="ablation-icu-unit",
    title="Kind of intensive-care unit: what each part of DBME brings",
    methods={
        "DBME": ours,
        "principal components": ours.replace(ridge=1e6),
        "one part": ours.replace(parts=1),
        "w/o sub": ours.replace(subtract=False),
    },
    data={f"split {seed}": PhysioNet2012(test="random", split_seed=seed) for seed in range(10, 20)},
    protocols=(ICUUnit(forms=("corrected",)), SeriesLeakage()),
    seeds=(0,),
    reference="DBME",
)
