"""DBSE beside the sequence VAEs before it, on generated video with known factors.

Run it with `seqdis bench examples/family_toy_video.py --jobs 2`. Needs no data. Data, budget and scores are
those of `six_methods_toy_video.py`: nothing is tuned, combinations of figure and motion in test are unseen in training.
"""

from six_methods_toy_video import study as six_methods

from seqdis.benchmark import Study
from seqdis.methods import CDSVAE, DSVAE, GPVAE, S3VAE

codes = {"static_dim": 12, "dynamic_dim": 8, "filters": 16}
training = six_methods.methods["DBSE"].training
methods = {
    "DBSE": six_methods.methods["DBSE"],
    "DSVAE": DSVAE(**codes, training=training),
    "DSVAE, factorised": DSVAE(**codes, posterior="factorised", training=training),
    "S3VAE": S3VAE(**codes, training=training),
    "C-DSVAE": CDSVAE(**codes, training=training),
    "GP-VAE (one code for both)": GPVAE(code_dim=20, filters=16, training=training),
}

study = Study(
    name="family-toy-video",
    title="DBSE beside the sequence VAEs before it, on generated video: swaps against true hybrids, a judge, leakage",
    methods=methods,
    data=six_methods.data,
    protocols=six_methods.protocols,
    seeds=(0, 1, 2),
    reference="DBSE",
    summary=six_methods.summary,
)
