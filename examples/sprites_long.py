"""Sprites at 32 x 32 pixels, trained for 100 epochs: the settings that the ablations start from.

Run it with `seqdis bench examples/sprites_long.py`; it needs the layers of Sprites (`seqdis data fetch sprites`).
`sprites_small.py` is the same with fewer epochs and a smaller judge. What comes out is described in docs/video.md.

The settings were chosen on the valid part of another draw of training characters (`split_seed=1`), where no character
of the test part occurs. Earlier choices (docs/video.md) were tried on the test part, once each, and fell short there.
"""

from __future__ import annotations

from seqdis.benchmark import Study
from seqdis.datasets import Sprites
from seqdis.evaluation.judge import Judge
from seqdis.methods import DBSE
from seqdis.protocols import (
    ConditionalGeneration,
    GenerationLeakage,
    LatentLeakage,
    Protocol,
    Reconstruction,
    ReencodeSwap,
)
from seqdis.training import Training

JUDGE = Judge(epochs=60, patience=10, lr=2e-3, filters=32, feature_dim=64, hidden_dim=64)
FULL = DBSE(
    static_dim=32,
    dynamic_dim=64,
    filters=16,
    feature_dim=256,
    hidden_dim=128,
    static_weight=3.0,
    dynamic_weight=0.08,
    late_weights=(0.05, 1.0),
    training=Training(max_epochs=100, batch_size=16, lr=4e-3, schedule="cosine"),
)
DATA = {"reduced": Sprites(size=32, characters=648)}


def protocols(judge: Judge) -> tuple[Protocol, ...]:
    """Every way in which video is evaluated, by this judge where one is asked."""
    return (
        ConditionalGeneration(judge=judge, forms=("corrected",)),
        GenerationLeakage(judge=judge),
        Reconstruction(),
        LatentLeakage(forms=("corrected",)),
        ReencodeSwap(),
    )


SUMMARY = (
    *(f"conditional-generation: {metric}, action, kept dynamics*" for metric in ("accuracy", "IS", "H(y|x)", "H(y)")),
    "conditional-generation: accuracy, *, swap*",
    "conditional-generation: accuracy, *, kept static*",
    "generation-leakage: leakage_gap, *",
    "reconstruction: MSE",
    "reconstruction: PSNR",
    "latent-leakage: leakage_gap *",
    "reencode-swap: nearest donor, *",
)

study = Study(
    name="sprites-long",
    title="Sprites, 32 x 32 pixels, 648 characters: DBSE by a judge, 100 epochs",
    methods={"DBSE": FULL},
    data=DATA,
    protocols=protocols(JUDGE),
    seeds=(0, 1, 2),
    reference="DBSE",
    summary=SUMMARY,
)
