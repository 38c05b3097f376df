"""Sprites at 32 x 32 pixels: loss terms and anchors of DBSE, every ablation with the settings of `sprites_long.py`.

Run it with `seqdis bench examples/sprites_ablations.py`; the full method is the run of that study and is not repeated.
A random anchor is drawn once per run by the training seed, so that the seeds of "random per run" are six draws.
Eight methods with six seeds are 48 fits, of which three of the full method are shared: about 25 minutes of one core of
an AMD EPYC each. `--seeds 0` runs one seed of each, `--jobs 2` two at a time.
"""

from __future__ import annotations

from sprites_long import DATA, FULL, JUDGE, SUMMARY, protocols

from seqdis.benchmark import Study

study = Study(
    name="sprites-ablations",
    title="Sprites, 32 x 32 pixels, 648 characters: loss terms and anchors of DBSE",
    methods={
        "DBSE, first": FULL,
        "w/o loss": FULL.replace(anchor_loss=False),
        "w/o sub": FULL.replace(subtract=False),
        "w/o both": FULL.replace(anchor_loss=False, subtract=False),
        "middle": FULL.replace(anchor="middle"),
        "last": FULL.replace(anchor="last"),
        "random per run": FULL.replace(anchor="random_per_run"),
        "random per batch": FULL.replace(anchor="random_per_batch"),
    },
    data=DATA,
    protocols=protocols(JUDGE),
    seeds=(0, 1, 2, 3, 4, 5),
    reference="DBSE, first",
    summary=SUMMARY,
)
