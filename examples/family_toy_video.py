"""The sequence VAEs before DBSE on generated video with known factors.

Run it with `seqdis bench examples/family_toy_video.py --jobs 2`. Needs no data. Data, budget and scores are
those of `six_methods_toy_video.py`: combinations of figure and motion in test are unseen in training. C-DSVAE's views
need kornia (`pip install 'seqdis[video]'`). FHVAE, which is made for sound, is left out.
"""

from family import family
from six_methods_toy_video import study as six_methods

from seqdis.benchmark import Study

methods = family(six_methods, static=12, dynamic=8, filters=16)
del methods["FHVAE"]

study = Study(
    name="family-toy-video",
    title="The sequence VAEs before DBSE on generated video: swaps against true hybrids, a judge, leakage",
    methods=methods | {"DSVAE, factorised": methods["DSVAE"].replace(posterior="factorised")},
    data=six_methods.data,
    protocols=six_methods.protocols,
    seeds=(0, 1, 2),
    reference="DBSE",
    summary=six_methods.summary,
)
