"""Six methods on Sprites at 32 pixels: leakage both ways, swaps encoded again, reconstruction.

Run it with `seqdis bench examples/six_methods_sprites.py --jobs 2`; it needs the layers of Sprites
(`seqdis data fetch sprites`). Settings are in `six_methods.py`. GLR, which is for series only, is not among them.
No judge: trained on 216 characters it reads skin of real test data right in 0.896 and is refused, and SKD has no
prior to draw the other code from.
"""

from six_methods import six_methods

from seqdis.benchmark import Study
from seqdis.datasets import Sprites
from seqdis.protocols import LatentLeakage, Reconstruction, ReencodeSwap
from seqdis.training import Training

study = Study(
    name="six-methods-sprites",
    title="Six methods on Sprites, 32 x 32 pixels, 216 characters",
    methods=six_methods(
        Training(max_epochs=20, batch_size=24, lr=3e-3, schedule="cosine"), static=32, dynamic=16, filters=16
    ),
    data={"reduced": Sprites(size=32, characters=216)},
    protocols=(LatentLeakage(forms=("corrected",)), ReencodeSwap(), Reconstruction()),
    seeds=(0, 1, 2),
    reference="DBSE",
    summary=(
        "latent-leakage: leakage_gap *",
        "reencode-swap: nearest donor, *",
        "reconstruction: MSE",
    ),
)
