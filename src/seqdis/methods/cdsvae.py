"""C-DSVAE: contrast with views of the input that keep one factor."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor
from torch.nn.functional import leaky_relu

from seqdis.errors import SettingsError
from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Gaussian, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms, mutual_information
from seqdis.nn import augment, contrast
from seqdis.nn.elements import Features, require_two_elements
from seqdis.nn.network import Progress
from seqdis.nn.recurrent_vae import RecurrentVAE
from seqdis.sequences import Batch, DataSpec
from seqdis.training.settings import Training


@hyperparameters
class CDSVAE(Disentangler):
    """Contrastively disentangled sequential VAE: views that keep what stays, and views that keep what moves.

    The evidence bound of DSVAE, contrast between the static codes of a sequence and of its frames in another
    order, contrast between its dynamic codes and those of its frames in other colours, and a penalty on
    what the two codes share. Not to be confused with SPYL, whose views come from the model and not from the input.

    Parameters
    ----------
    static_dim, dynamic_dim
        Sizes of the two codes.
    variant
        "paper", or "reference": as released, see Notes.
    content_view
        What keeps the static factor: "shuffle" puts the elements in a random order. "auto": that for frames, none for
        series, whose windows in another order may tell another story.
    motion_view
        What keeps the dynamic factor: "colours" distorts the colours of images (needs kornia). "auto": that for
        images, none for spectrograms and series.
    temperature
        Divides cosines in the contrastive terms.
    static_weight, dynamic_weight, content_weight, motion_weight, mutual_weight
        Weights of both KL terms, of both contrastive terms, and of ``I(s; d)``.
    population
        "reference": training sequences that the estimate of ``I(s; d)`` counts; of Sprites by default.
    hidden_dim
        Width of the recurrent heads and of the prior.
    feature_dim
        Width of an element's features.
    filters
        Images: channels of the first convolution.
    window, scale_floor
        Series: steps per element; smallest predicted scale, in standard deviations of the feature.
    released_start
        Initial weights of the released code, which is for video, instead of ours (small posterior variances).
    training
        The optimiser's settings.

    Notes
    -----
    Minimised: ``R + KL(q(s | x) || N(0, I)) + KL(q(d | x) || p(d)) + a (NCE(s) + NCE(d)) + g I(s; d)``, each averaged
    over sequences. ``NCE`` compares posterior means of the sequences of a batch with those of their views, each code
    against all others (`seqdis.nn.contrast.nt_xent`); dynamic codes as whole paths, padding as zeros. ``I(s; d)``:
    `seqdis.losses.mutual_information`.

    Views of the motion change brightness, contrast, saturation, hue, grey and sharpness, one draw per sequence and
    step of the training (`seqdis.nn.augment`; the released files hold views drawn beforehand). Frames are encoded one
    by one, so the view in another order needs no second pass through the encoder: its features are the
    same in that order. Views are encoded only, neither decoded nor held against the prior, and do not move
    the batch norms' running statistics. Audio was published with converted voices as views of the motion,
    series with no view at all (the "C-DSVAE" of later tables): here neither has one for motion.

    ``variant="reference"`` passes both moments of the static posterior through a leaky ReLU, lets views of the
    motion move the running statistics, and estimates ``I(s; d)`` as released: with the log-variance for a
    logarithm of the standard deviation, ``log N`` added, clipped at zero.

    The paper was not at hand in full; its weights are those of the released code.

    References
    ----------
    Bai, Wang, Gomes. Contrastively Disentangled Sequential Variational Autoencoder. NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import CDSVAE
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = CDSVAE(static_dim=4, dynamic_dim=2, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 2))
    """

    name = "c-dsvae"
    papers = ("Bai2021CDSVAE",)

    static_dim: int = hyper(default=16, low=8, high=256, log=True, at_least=1)
    dynamic_dim: int = hyper(default=8, low=4, high=64, log=True, at_least=1)
    variant: Literal["paper", "reference"] = "paper"
    content_view: Literal["auto", "shuffle", "none"] = "auto"
    motion_view: Literal["auto", "colours", "none"] = "auto"
    temperature: float = hyper(default=0.5, above=0)
    static_weight: float = hyper(default=1.0, low=0.1, high=10.0, log=True, at_least=0)
    dynamic_weight: float = hyper(default=1.0, low=0.1, high=10.0, log=True, at_least=0)
    content_weight: float = hyper(default=10.0, low=0.1, high=10.0, log=True, at_least=0)
    motion_weight: float = hyper(default=10.0, low=0.1, high=10.0, log=True, at_least=0)
    mutual_weight: float = hyper(default=1.0, low=0.1, high=5.0, log=True, at_least=0)
    population: int = hyper(default=9000, at_least=1)
    hidden_dim: int = hyper(default=64, low=32, high=256, log=True, at_least=1)
    feature_dim: int = hyper(default=64, low=16, high=256, log=True, at_least=1)
    filters: int = hyper(default=32, low=16, high=64, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    scale_floor: float = hyper(default=0.05, at_least=0, at_most=0.4)
    released_start: bool = False
    training: Training = hyper(factory=Training)

    def build(self, spec: DataSpec) -> CDSVAENetwork:
        """The network for these data.

        Raises
        ------
        SettingsError
            Views in other colours of what has none.
        DataError
            Sequences of a single element.
        """
        if self.motion_view == "colours" and spec.kind != "image":
            raise SettingsError(f"CDSVAE.motion_view = 'colours': these data are a {spec.kind}; use 'auto' or 'none'.")
        require_two_elements(spec, self.window)
        return CDSVAENetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """ "paper": its objective with the released weights. "reference": the released code."""
        return {"paper": PAPER, "reference": REFERENCE}


class CDSVAENetwork(RecurrentVAE):
    """The sequence VAE with recurrent heads, and contrast between their means."""

    def __init__(self, settings: CDSVAE, spec: DataSpec) -> None:
        super().__init__(settings, spec)
        self.settings = settings
        self.released = settings.variant == "reference"
        self.shuffles = settings.content_view == "shuffle" or (
            settings.content_view == "auto" and spec.kind != "series"
        )
        self.distorts = settings.motion_view == "colours" or (settings.motion_view == "auto" and spec.kind == "image")
        self.start(settings.released_start)

    def encode(self, batch: Batch) -> Posterior:
        """Posteriors of both codes."""
        return self._posterior(self.body.elements(batch))

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The bound, what the codes share, and the contrast of each code whose view there is."""
        settings, generator = self.settings, progress.generator
        elements = self.body.elements(batch)
        posterior = self._posterior(elements)
        codes, means = posterior.sample(generator), posterior.mean()
        terms = self.bound(batch, posterior, codes, (1.0, settings.static_weight, settings.dynamic_weight))
        mutual = mutual_information(
            *(codes.static, posterior.static, codes.dynamic, posterior.dynamic),
            None if codes.lengths is None else codes.valid(),
            settings.population if self.released else None,
        )
        terms.add("mutual_information", mutual, settings.mutual_weight)
        if self.shuffles and settings.content_weight:
            view = self._rectified(self.heads.static_of(augment.shuffled(elements, generator))).mean
            terms.add("contrast_static", self._contrast(means.static, view), settings.content_weight)
        if self.distorts and settings.motion_weight:
            with nullcontext() if self.released else contrast.running_statistics_kept(self):
                view = contrast.paths(self.encode(replace(batch, x=augment.distorted(batch.x, generator))).mean())
            terms.add("contrast_dynamic", self._contrast(contrast.paths(means), view), settings.motion_weight)
        return terms

    def _posterior(self, elements: Features) -> Posterior:
        posterior: Posterior = self.heads(elements)
        return replace(posterior, static=self._rectified(posterior.static))

    def _rectified(self, static: Gaussian) -> Gaussian:
        return static.map(lambda moment: leaky_relu(moment, 0.2)) if self.released else static

    def _contrast(self, codes: Tensor, view: Tensor) -> Tensor:
        return contrast.nt_xent(codes, view, self.settings.temperature)


def _published(dims: tuple[int, int], batch: int, **more: Any) -> dict[str, Any]:
    training = Training(lr=1e-3, batch_size=batch, max_epochs=100)
    row: dict[str, Any] = {"static_dim": dims[0], "dynamic_dim": dims[1], "training": training}
    return row | {"feature_dim": 128, "hidden_dim": 256, "filters": 64} | more


# Sprites as released; nothing else was: other data have the sizes and batches that SPYL states for itself, whose
# tables are where C-DSVAE's numbers on them stand.
PAPER: dict[str, dict[str, Any]] = {
    "sprites": _published((256, 32), 128, released_start=True),
    "mug": _published((256, 64), 16, released_start=True),
    "letters": _published((256, 32), 64, released_start=True),
    "jester": _published((256, 64), 16, released_start=True),
    "timit": _published((256, 64), 10),
}

REFERENCE: dict[str, dict[str, Any]] = {"sprites": PAPER["sprites"] | {"variant": "reference"}}
