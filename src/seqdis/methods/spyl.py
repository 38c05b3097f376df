"""SPYL: contrast with views that the model samples from itself, decodes and encodes again."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from seqdis.errors import SettingsError
from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Factors, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms, mutual_information, pairwise_kl
from seqdis.nn import contrast
from seqdis.nn.contrast import Negatives, Part
from seqdis.nn.elements import require_two_elements
from seqdis.nn.network import Progress
from seqdis.nn.recurrent_vae import RecurrentVAE
from seqdis.sequences import Batch, DataSpec
from seqdis.training.settings import Training

PARTS: tuple[Part, Part] = ("static", "dynamic")
Contrast = dict[Part, Tensor]


@hyperparameters
class SPYL(Disentangler):
    """Sample and predict your latent: contrastive disentanglement without augmentations.

    A sequence VAE whose codes are drawn towards views of similar sequences and away from views of
    dissimilar ones. Posteriors of the batch are compared by their KL divergence; a chosen one is
    sampled, joined with the other code from the prior, decoded, and encoded again: that is the view.
    Not to be confused with C-DSVAE, whose views are augmented inputs.

    Parameters
    ----------
    static_dim, dynamic_dim
        Sizes of the two codes.
    variant
        "paper": Algorithm 1. "reference": as released, see Notes.
    views
        "predictive": decoded and encoded again (Eq. 8). "reparameterised": the sample of the chosen
        posterior itself, the ablation of Table 7 ("paper" only).
    negatives
        Which distributions negatives come from, by distance: see `seqdis.nn.contrast`.
    draws
        "paper": so many views of every posterior of the batch, of which rows take their 2n negatives.
        0: every row has its own 2n, as Algorithm 1 is written; that is 2n^2 sequences to decode and
        encode, for each of the two codes.
    temperature
        Divides cosines in the contrastive terms.
    reconstruction_weight, static_weight, dynamic_weight, contrast_weight, mutual_weight
        Weights of the terms: lambda 1 to 5 of the paper.
    warm_up
        Epochs before the contrastive terms set in.
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
        Initial weights of the released code, which is for video, instead of ours (small posterior variances). Series
        and spectrograms have no batch norms, from which such small weights recover.
    training
        The optimiser's settings.

    Notes
    -----
    Minimised: ``l1 R + l2 KL(q(s) || N(0, I)) + l3 KL(q(d) || p(d)) + l4 (NCE(s) + NCE(d)) + l5 I(s; d)``, Eq. 9
    with the signs turned, each averaged over sequences as in the released code. ``NCE`` is Eq. 6 with
    the codes as anchors; dynamic codes are compared as whole paths, padding as zeros. ``I(s; d)``:
    `seqdis.losses.mutual_information`. Positives come from the nearest third of distributions (a row's own
    among them), 2n negatives from another, with replacement. No gradient flows through negatives, as
    released, and no view moves the batch norms' running statistics. A batch of one has nothing to contrast.

    ``variant="reference"`` is what was released for Sprites: candidates are a bank of 4n sequences from
    the prior instead of the batch; a row's positive is its own mean, with the other code from the prior;
    means stand for samples; dynamic codes are averaged over time; negatives are ranked in the bank; views
    move the running statistics; ``I(s; d)`` takes the log-variance for a logarithm of the standard
    deviation, adds ``log N`` and is clipped at zero, below which that density would take it without bound.

    Departures from the released code: no bank is made while nothing is contrasted, and views are encoded
    only, not decoded once more. From the paper: dynamic posteriors do not see sampled codes, as in no code
    of this family; spectrograms pass two linear layers before the LSTM, and are not rectified at the end.
    Of series the paper leaves open how windows meet the LSTM, widths, and how the likelihood is reduced:
    here a first LSTM makes one element of a window, widths are 32, and the likelihood is summed; the decoder
    has no rectifier after its last hidden layer.

    References
    ----------
    Naiman, Berman, Azencot. Sample and Predict Your Latent: Modality-free Sequential Disentanglement
    via Contrastive Estimation. ICML 2023, PMLR 202:25694-25717.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import SPYL
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = SPYL(static_dim=4, dynamic_dim=2, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 2))
    """

    name = "spyl"
    papers = ("Naiman2023SPYL",)

    static_dim: int = hyper(default=16, low=8, high=256, log=True, at_least=1)
    dynamic_dim: int = hyper(default=8, low=4, high=64, log=True, at_least=1)
    variant: Literal["paper", "reference"] = "paper"
    views: Literal["predictive", "reparameterised"] = "predictive"
    negatives: Negatives = "farthest"
    draws: int = hyper(default=2, at_least=0)
    temperature: float = hyper(default=0.5, above=0)
    reconstruction_weight: float = hyper(default=10.0, low=1.0, high=10.0, log=True, at_least=0)
    static_weight: float = hyper(default=5.0, low=1.0, high=10.0, log=True, at_least=0)
    dynamic_weight: float = hyper(default=1.0, at_least=0)
    contrast_weight: float = hyper(default=1.0, low=0.1, high=5.0, log=True, at_least=0)
    mutual_weight: float = hyper(default=1.0, low=0.1, high=5.0, log=True, at_least=0)
    warm_up: int = hyper(default=0, at_least=0)
    population: int = hyper(default=9000, at_least=1)
    hidden_dim: int = hyper(default=64, low=32, high=256, log=True, at_least=1)
    feature_dim: int = hyper(default=64, low=16, high=256, log=True, at_least=1)
    filters: int = hyper(default=32, low=16, high=64, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    scale_floor: float = hyper(default=0.05, at_least=0, at_most=0.4)
    released_start: bool = False
    training: Training = hyper(factory=Training)

    def build(self, spec: DataSpec) -> SPYLNetwork:
        """The network for these data.

        Raises
        ------
        SettingsError
            Reparameterised views of the released variant, which has none.
        DataError
            Sequences of a single element.
        """
        if self.variant == "reference" and self.views != "predictive":
            raise SettingsError(
                f"SPYL.views = {self.views!r}: the released variant knows 'predictive' only; use variant='paper'."
            )
        require_two_elements(spec, self.window)
        return SPYLNetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """ "paper": Table 6. "reference": the released code."""
        return {"paper": PAPER, "reference": REFERENCE}


class SPYLNetwork(RecurrentVAE):
    """The sequence VAE of C-DSVAE, and views of its own making."""

    def __init__(self, settings: SPYL, spec: DataSpec) -> None:
        super().__init__(settings, spec)
        self.settings = settings
        self.start(settings.released_start)

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """Eq. 9, or the released loss."""
        settings, generator = self.settings, progress.generator
        released = settings.variant == "reference"
        posterior = self.encode(batch)
        codes = posterior.sample(generator)
        mutual = mutual_information(
            *(codes.static, posterior.static, codes.dynamic, posterior.dynamic),
            None if codes.lengths is None else codes.valid(),
            settings.population if released else None,
        )
        weights = (settings.reconstruction_weight, settings.static_weight, settings.dynamic_weight)
        terms = self.bound(batch, posterior, codes, weights)
        terms.add("mutual_information", mutual, settings.mutual_weight)
        if progress.epoch < settings.warm_up or settings.contrast_weight == 0:
            return terms
        with nullcontext() if released else contrast.running_statistics_kept(self):
            compare = self._released_contrast if released else self._contrast
            for part, value in compare(posterior, codes, generator).items():
                terms.add(f"contrast_{part}", value, settings.contrast_weight)
        return terms

    def _contrast(self, posterior: Posterior, codes: Factors, generator: torch.Generator | None) -> Contrast:
        """Algorithm 1, for the static and for the dynamic code, all rows at once."""
        settings, n = self.settings, len(codes)
        if n < 2:
            return dict.fromkeys(PARTS, posterior.static.mean.new_zeros(()))
        predictive, terms = settings.views == "predictive", {}
        of_part = {
            "static": (posterior.static, codes.static),
            "dynamic": (contrast.path_posterior(posterior), contrast.paths(codes)),
        }
        for part in PARTS:
            q, anchor = of_part[part]
            distance = pairwise_kl(q, q).detach()
            like = contrast.pick(contrast.nearest_third(distance), 1, generator).squeeze(1)
            positive = contrast.views(self, part, posterior, like, generator, predictive=predictive)
            pool = contrast.negatives_pool(distance, settings.negatives, generator)
            unlike, members = contrast.draw_negatives(pool, 2 * n, settings.draws, generator)
            with torch.no_grad():
                negative = contrast.views(self, part, posterior, unlike, generator, predictive=predictive)
            terms[part] = contrast.info_nce(anchor, positive, negative, members, settings.temperature)
        return terms

    def _released_contrast(self, posterior: Posterior, codes: Factors, generator: torch.Generator | None) -> Contrast:
        """Own means as positives, a bank from the prior as negatives."""
        settings, (n, windows) = self.settings, codes.dynamic.shape[:2]
        means, drawn = posterior.mean(), self.prior(n, windows, generator, mean=True)
        kept_static = contrast.encode_again(self, replace(drawn, static=means.static))
        kept_dynamic = contrast.encode_again(self, replace(means, static=drawn.static))
        with torch.no_grad():
            bank = contrast.encode_again(self, self.prior(4 * n, windows, generator, mean=True))
        of_part = {
            "static": (posterior.static, kept_static.static, bank.static),
            "dynamic": tuple(contrast.mean_posterior(each) for each in (posterior, kept_dynamic, bank)),
        }
        terms = {}
        for part in PARTS:
            own, view, others = of_part[part]
            distance = pairwise_kl(own, others).detach()
            members = contrast.bank_negatives(distance, settings.negatives, 2 * n, generator)
            terms[part] = contrast.info_nce(own.mean, view.mean, others.mean, members, settings.temperature)
        return terms


def _published(weights: tuple[float, ...], dims: tuple[int, int], batch: int, lr: float, **more: Any) -> dict[str, Any]:
    """Constructor arguments from a row of Table 6; ``weights`` are lambda 1 to 5."""
    training = Training(lr=lr, batch_size=batch, max_epochs=more.pop("epochs", 600))
    names = ("reconstruction", "static", "dynamic", "contrast", "mutual")
    row: dict[str, Any] = {f"{name}_weight": weight for name, weight in zip(names, weights, strict=True)}
    row |= {"static_dim": dims[0], "dynamic_dim": dims[1], "training": training, "released_start": True}
    # Where a row's own negatives would be too many to decode, rows share them.
    return row | {"draws": 0 if batch <= 16 else 2} | more


_VIDEO = {"feature_dim": 128, "hidden_dim": 256, "filters": 64}
_SERIES = {"feature_dim": 32, "hidden_dim": 32, "released_start": False}

# Table 6; epochs: "at most 600" (Section 5.2); widths of images from the released code, windows from GLR.
# TIMIT's batch of 10 is taken as segments; the paper states no unit (DBSE's card counts utterances).
PAPER: dict[str, dict[str, Any]] = {
    "sprites": _published((10, 5, 1, 5, 1), (256, 32), 100, 2e-3, **_VIDEO),
    "mug": _published((5, 9, 1, 0.5, 2.5), (256, 64), 16, 1.5e-3, **_VIDEO),
    "letters": _published((2.5, 1, 1, 5, 5), (256, 32), 64, 2e-3, **_VIDEO),
    "jester": _published((5, 1, 1, 1, 1), (256, 64), 16, 1e-3, **_VIDEO),
    "timit": _published((5, 1, 1, 0.5, 1), (256, 64), 10, 1e-3, **_VIDEO | {"released_start": False}),
    "mortality": _published((2.5, 7, 1, 0.1, 2.5), (12, 4), 10, 1e-3, window=4, **_SERIES),
    "air-quality": _published((2.5, 5, 1, 0.1, 2.5), (12, 4), 10, 1e-3, window=24, **_SERIES),
}

REFERENCE: dict[str, dict[str, Any]] = {
    "sprites": _published(
        (10, 5, 1, 1, 1), (256, 32), 128, 2e-3, variant="reference", warm_up=50, epochs=1000, **_VIDEO
    ),
}
