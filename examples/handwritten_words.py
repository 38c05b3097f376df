"""Handwritten words: is the hand in the static code, and the letter in the dynamic one?

Run it with `seqdis bench examples/handwritten_words.py --jobs 2`. Needs Omniglot's smaller set of images (`seqdis data
fetch handwritten-words`) and the extra `video`. Stands in for Letters, whose images are not public: printed numbers
are of another set. As in `six_methods.py` nothing is tuned: defaults, equal sizes of codes, one budget.

Not run yet but for fits of DBSE (seed 0, an Intel Xeon, one thread, scored on the valid part). 30 epochs are too few;
100 rebuild letters (squared error 0.010) and put the writer into the static code (0.985 by an SVC, but 0.705 from the
dynamic one, too), while a swap is worse than the average letter (0.053, 0.039) and the letter is read from the dynamic
code in 0.306 only. So it is the weights that want choosing, not the budget.
"""

from seqdis.benchmark import Study
from seqdis.datasets import HandwrittenWords
from seqdis.estimator import Disentangler
from seqdis.methods import CDSVAE, DBSE, DSVAE, SPYL, VAE
from seqdis.protocols import LatentLeakage, SwapFidelity
from seqdis.training import Training

TRAINING = Training(max_epochs=100, batch_size=24, lr=3e-3, schedule="cosine")
SIZES = {"static_dim": 16, "dynamic_dim": 16}

METHODS: dict[str, Disentangler] = {
    "DBSE": DBSE(**SIZES),
    "SPYL": SPYL(**SIZES),
    "C-DSVAE": CDSVAE(**SIZES),
    "DSVAE": DSVAE(**SIZES),
    "VAE of letters": VAE(code_dim=32),
}

study = Study(
    name="handwritten-words",
    title="Handwritten words: the hand in the static code, the letter in the dynamic one",
    methods={label: method.replace(training=TRAINING, filters=16) for label, method in METHODS.items()},
    data={"handwritten words": HandwrittenWords()},
    protocols=(SwapFidelity(), LatentLeakage()),
    seeds=(0, 1, 2),
    reference="DBSE",
    summary=("swap-fidelity: *", "latent-leakage: *"),
)
