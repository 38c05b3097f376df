"""Six methods on Sprites at 32 pixels: a judge's view, leakage both ways, swaps encoded again, reconstruction.

Run it with `seqdis bench examples/six_methods_sprites.py --jobs 2`; it needs the layers of Sprites
(`seqdis data fetch sprites`). Settings are in `six_methods.py`. GLR, which is for series only, is not among them.
The judge reads three factors: 216 characters are too few to train one that reads skin above the floor.
"""

from six_methods import six_methods

from seqdis.benchmark import Study
from seqdis.datasets import Sprites
from seqdis.evaluation.judge import Judge
from seqdis.protocols import ConditionalGeneration, LatentLeakage, Reconstruction, ReencodeSwap
from seqdis.training import Training

JUDGE = Judge(epochs=60, lr=2e-3, filters=32, feature_dim=64, hidden_dim=64, factors=("top", "hair", "action"))

study = Study(
    name="six-methods-sprites",
    title="Six methods on Sprites, 32 x 32 pixels, 216 characters",
    methods=six_methods(
        Training(max_epochs=20, batch_size=24, lr=3e-3, schedule="cosine"), static=32, dynamic=16, filters=16
    ),
    data={"reduced": Sprites(size=32, characters=216)},
    protocols=(
        ConditionalGeneration(judge=JUDGE, forms=("corrected",)),
        LatentLeakage(forms=("corrected",)),
        ReencodeSwap(),
        Reconstruction(),
    ),
    seeds=(0, 1, 2),
    reference="DBSE",
    summary=(
        *(f"conditional-generation: {score}, action, kept dynamics*" for score in ("accuracy", "IS", "H(y|x)", "H(y)")),
        "conditional-generation: accuracy, *, kept static*",
        "conditional-generation: accuracy, *, swap*",
        "latent-leakage: leakage_gap *",
        "reencode-swap: nearest donor, *",
        "reconstruction: MSE",
    ),
)
