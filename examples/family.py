"""Settings that the studies of the methods before DBSE share; used by the files `family_*.py` beside it.

As in `six_methods.py` nothing is tuned: defaults of each method, equal sizes of codes, one budget per data set.
"""

from seqdis.benchmark import Study
from seqdis.estimator import Disentangler
from seqdis.methods import CDSVAE, DSVAE, FHVAE, GPVAE, S3VAE


def family(six_methods: Study, *, static: int, dynamic: int, **sizes: int) -> dict[str, Disentangler]:
    """DBSE of a study of six methods, and the others by label, with its training.

    ``sizes`` (filters, window, feature_dim) go to those that know them. GP-VAE's code stands for both codes and gets
    both sizes together.
    """
    codes = {"static_dim": static, "dynamic_dim": dynamic}
    dbse = six_methods.methods["DBSE"]
    others: dict[str, Disentangler] = {
        "DSVAE": DSVAE(**codes),
        "S3VAE": S3VAE(**codes),
        "C-DSVAE": CDSVAE(**codes),
        "FHVAE": FHVAE(**codes),
        "GP-VAE": GPVAE(code_dim=static + dynamic),
    }
    return {"DBSE": dbse} | {
        label: method.replace(
            training=dbse.training,
            **{name: size for name, size in sizes.items() if name in method.get_params(deep=False)},
        )
        for label, method in others.items()
    }
