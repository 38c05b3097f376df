"""The sequence VAEs before DBSE on spoken words: speakers not heard in training by both codes.

Run it with `seqdis bench examples/family_spoken_words.py --jobs 2`. Needs DSPSpeech-20. Data, budget and scores are
those of `six_methods_spoken_words.py`. FHVAE cuts words into segments of ten frames, 100 ms.
"""

from six_methods_spoken_words import study as six_methods

from seqdis.benchmark import Study
from seqdis.methods import CDSVAE, DSVAE, FHVAE, GPVAE, S3VAE

codes = {"static_dim": 64, "dynamic_dim": 32}
shared = {"feature_dim": 128, "training": six_methods.methods["DBSE"].training}

study = Study(
    name="family-spoken-words",
    title="The sequence VAEs before DBSE on spoken words: speaker verification by both codes",
    methods={
        "DBSE": six_methods.methods["DBSE"],
        "DSVAE": DSVAE(**codes, **shared),
        "S3VAE": S3VAE(**codes, **shared),
        "C-DSVAE": CDSVAE(**codes, **shared),
        "FHVAE": FHVAE(**codes, **shared, window=10),
        "GP-VAE (one code for both)": GPVAE(code_dim=96, **shared),
    },
    data=six_methods.data,
    protocols=six_methods.protocols,
    seeds=(0, 1, 2),
    reference="DBSE",
)
