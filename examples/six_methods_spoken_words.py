"""Six methods on spoken words: speakers not heard in training by both codes, and the word from either.

Run it with `seqdis bench examples/six_methods_spoken_words.py --jobs 2`. Needs DSPSpeech-20. Settings are in
`six_methods.py`. GLR, which is for series only, is not among them.
"""

from six_methods import six_methods

from seqdis.benchmark import Study
from seqdis.datasets import SpokenWords
from seqdis.protocols import SpeakerVerification
from seqdis.training import Training

study = Study(
    name="six-methods-spoken-words",
    title="Methods on spoken words: speaker verification by both codes",
    methods=six_methods(
        Training(max_epochs=10, batch_size=32, lr=3e-3, schedule="cosine"), static=64, dynamic=32, feature_dim=128
    ),
    data={"speakers apart": SpokenWords()},
    protocols=(SpeakerVerification(forms=("corrected",), together=(1, 5)),),
    seeds=(0, 1, 2),
    reference="DBSE",
)
