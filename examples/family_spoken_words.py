"""The sequence VAEs before DBSE on spoken words: speakers not heard in training by both codes.

Run it with `seqdis bench examples/family_spoken_words.py --jobs 2`. Needs DSPSpeech-20. Data, budget and scores are
those of `six_methods_spoken_words.py`. FHVAE cuts words into segments of ten frames, 100 ms.
"""

from family import family
from six_methods_spoken_words import study as six_methods

from seqdis.benchmark import Study

methods = family(six_methods, static=64, dynamic=32, feature_dim=128)
methods["FHVAE"] = methods["FHVAE"].replace(window=10)

study = Study(
    name="family-spoken-words",
    title="The sequence VAEs before DBSE on spoken words: speaker verification by both codes",
    methods=methods,
    data=six_methods.data,
    protocols=six_methods.protocols,
    seeds=(0, 1, 2),
    reference="DBSE",
)
