"""Settings that the studies of six methods share: defaults of each method, one budget of training per data set.

Nothing is tuned: every method has its defaults with equal sizes of codes, where it has them, and the same epochs,
batches and falling learning rate. Used by the files `six_methods_*.py` beside it, each a study of its own.
"""

from seqdis.estimator import Disentangler
from seqdis.methods import DBSE, GLR, RWAE, SKD, SPYL, VAE
from seqdis.training import Training


def six_methods(training: Training, *, static: int, dynamic: int, **sizes: int) -> dict[str, Disentangler]:
    """The methods by label; ``sizes`` (filters, window, feature_dim) go to those that know them.

    SKD's latent and VAE's code stand for both codes and get both sizes together. GLR is for series only and joins
    where a window is given.
    """
    codes = {"static_dim": static, "dynamic_dim": dynamic}
    methods: dict[str, Disentangler] = {
        "DBSE": DBSE(**codes),
        "SPYL": SPYL(**codes),
        "R-WAE (MMD)": RWAE(**codes),
        "SKD": SKD(latent_dim=static + dynamic, static_modes=static // 2),
        "VAE of sequences": VAE(code_dim=static + dynamic, form="sequence"),
    }
    if "window" in sizes:
        methods["GLR"] = GLR(**codes)
    return {
        label: method.replace(
            training=training, **{name: size for name, size in sizes.items() if name in method.get_params(deep=False)}
        )
        for label, method in methods.items()
    }
