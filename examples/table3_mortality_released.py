"""In-hospital mortality: the ablations of DBSE once more, with the released code's weights and losses.

Run it with `seqdis bench examples/table3_mortality_released.py --jobs 2`.
Needs PhysioNet 2012, set a. The released code computes the subtraction and does not use it: as released it is
"w/o sub". Half an hour of processor time for three seeds.
"""

from seqdis.benchmark import Study
from seqdis.datasets import PhysioNet2012
from seqdis.methods import DBSE
from seqdis.protocols import Mortality

released = DBSE.published("mortality", "reference").replace(copies=1)

study = Study(
    name="table3-mortality-released",
    title="In-hospital mortality: ablations of DBSE with the released weights (DBSE paper, Tab. 3)",
    methods={
        "with sub": released.replace(subtract=True),
        "with sub, w/o loss": released.replace(subtract=True, anchor_loss=False),
        "as released, w/o sub": released,
        "w/o both": released.replace(anchor_loss=False),
    },
    data={"official split": PhysioNet2012()},
    protocols=(Mortality(),),
    seeds=(0, 1, 2, 3, 4),
    reference="with sub",
)
