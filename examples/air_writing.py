"""Air-writing: who writes, read from words that nobody wrote in training, and from writers that are new.

Run it with `seqdis bench examples/air_writing.py --jobs 2`. Needs 6DMG (`seqdis data fetch air-writing`). Nothing is
tuned: defaults of each method with equal sizes of codes and one budget.
"""

from seqdis.benchmark import Study
from seqdis.datasets import AirWriting
from seqdis.methods import DBME, DBSE, DSVAE, SPYL
from seqdis.protocols import Imputation, LatentLeakage, SeriesLeakage
from seqdis.training import Training

TRAINING = Training(max_epochs=30, batch_size=32, lr=3e-3, schedule="cosine")
SIZES = {"static_dim": 16, "dynamic_dim": 8, "window": 4}

METHODS = {
    "DBSE": DBSE(**SIZES),
    "DBME": DBME(**SIZES, profile=False),
    "SPYL": SPYL(**SIZES),
    "DSVAE": DSVAE(**SIZES),
}

study = Study(
    name="air-writing",
    title="Air-writing: the writer of new words",
    methods={label: method.replace(training=TRAINING) for label, method in METHODS.items()},
    data={f"split {seed}": AirWriting(split_seed=seed) for seed in range(3)},
    protocols=(LatentLeakage(forms=("corrected",)), SeriesLeakage(), Imputation()),
    seeds=(0,),
    reference="DBSE",
    summary=("latent-leakage: *", "series-leakage: *", "imputation: MSE*"),
)
