"""Sprites at 32 x 32 pixels: the whole evaluation of video in minutes on two cores, DBSE beside every control.

Run it with `seqdis bench examples/sprites_small.py`; it needs the layers of Sprites (`seqdis data fetch sprites`).
One job: the fit uses all cores. What comes out is described in docs/video.md.

Two thirds of the epochs of `sprites_long.py`, as many as end within 20 minutes, and a judge of half its width. On the
valid part of another draw of training characters (`split_seed=1`), where no character of the test part occurs, 52
epochs were enough; on the test part they were not quite (docs/video.md).
"""

from __future__ import annotations

from sprites_long import DATA, FULL, JUDGE, SUMMARY, protocols

from seqdis.benchmark import Study

QUICK_JUDGE = JUDGE.replace(epochs=30, patience=3, filters=16)

study = Study(
    name="sprites-small",
    title="Sprites, 32 x 32 pixels, 648 characters: DBSE by a judge",
    methods={"DBSE": FULL.replace(training=FULL.training.replace(max_epochs=64))},
    data=DATA,
    protocols=protocols(QUICK_JUDGE),
    seeds=(0,),
    reference="DBSE",
    summary=SUMMARY,
)
