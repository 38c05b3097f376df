"""Spoken words: telling unseen speakers apart by the static code, and what the dynamic code tells of them.

Run it with `seqdis bench examples/spoken_words.py --jobs 2`.
Needs DSPSpeech-20, of which takes 1 and 11. About ten minutes of processor time. Settings were
chosen on speakers of the train and valid parts; see docs/audio.md.
"""

from seqdis.benchmark import Study
from seqdis.datasets import SpokenWords
from seqdis.methods import DBME, DBSE
from seqdis.protocols import SpeakerVerification
from seqdis.training import Training

dbse = DBSE(
    static_dim=64,
    dynamic_dim=32,
    feature_dim=128,
    dynamic_weight=0.05,
    training=Training(max_epochs=10, lr=3e-3, schedule="cosine"),
)

study = Study(
    name="spoken-words",
    title="Spoken words: speaker verification by both codes, speakers not seen in training",
    methods={
        "DBSE, every frame as anchor": dbse.replace(anchor="every"),
        "DBSE, first frame": dbse,
        "DBME (ours)": DBME.published("spoken-words"),
    },
    data={"speakers apart": SpokenWords()},
    protocols=(SpeakerVerification(forms=("corrected",), together=(1, 5)),),
    seeds=(0, 1, 2),
    reference="DBSE, first frame",
)
