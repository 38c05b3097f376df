"""Six methods on generated video with known factors, combinations of figure and motion unseen in training.

Run it with `seqdis bench examples/six_methods_toy_video.py --jobs 2`. Needs no data. Settings are in `six_methods.py`.
"""

from six_methods import six_methods

from seqdis.benchmark import Study
from seqdis.datasets import MovingFigures
from seqdis.evaluation.judge import Judge
from seqdis.protocols import ConditionalGeneration, LatentLeakage, SwapFidelity
from seqdis.training import Training

JUDGE = Judge(epochs=40, filters=16, lr=2e-3, batch_size=32)

study = Study(
    name="six-methods-toy-video",
    title="Six methods on generated video: swaps against true hybrids, a judge's view, leakage both ways",
    methods=six_methods(
        Training(max_epochs=20, batch_size=24, lr=3e-3, schedule="cosine"), static=12, dynamic=8, filters=16
    ),
    data={"moving figures": MovingFigures(unseen=0.1, seed=4)},
    protocols=(
        SwapFidelity(),
        ConditionalGeneration(judge=JUDGE, forms=("corrected",)),
        LatentLeakage(forms=("corrected",)),
    ),
    seeds=(0, 1, 2),
    reference="DBSE",
    summary=(
        "swap-fidelity: *",
        *(f"conditional-generation: {score}, motion, kept dynamics*" for score in ("accuracy", "IS", "H(y|x)", "H(y)")),
        "conditional-generation: accuracy, *, kept static*",
        "conditional-generation: accuracy, *, swap*",
        "latent-leakage: leakage_gap *",
    ),
)
