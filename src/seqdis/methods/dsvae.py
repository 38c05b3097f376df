"""DSVAE: the first sequence VAE with one static code, a dynamic code per element and a learned prior."""

from __future__ import annotations

from typing import Any, Literal

import torch

from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Factors, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms
from seqdis.nn.codec import Codec, codec_of
from seqdis.nn.elements import require_two_elements
from seqdis.nn.heads import start_certain
from seqdis.nn.network import Progress
from seqdis.nn.priors import AutoregressivePrior
from seqdis.nn.recurrent import ConditionedHeads, ElementHeads, RecurrentHeads, start_loud
from seqdis.nn.sequence_vae import SequenceVAE
from seqdis.sequences import Batch, DataSpec
from seqdis.training.settings import Training


@hyperparameters
class DSVAE(Disentangler):
    """Disentangled sequential autoencoder: the factorisation alone, and a small dynamic code, must separate.

    The evidence bound of ``p(s) prod_t p(d_t | d_<t) p(x_t | s, d_t)`` and no term beside it. Not to be confused
    with C-DSVAE, which adds contrast between views and a penalty on what the codes share.

    Parameters
    ----------
    static_dim, dynamic_dim
        Sizes of the two codes. The second small: nothing else keeps what stays out of the dynamic codes.
    posterior
        "full": ``q(s | x) q(d | s, x)``, recurrent over all elements. "factorised": ``q(s | x) prod_t q(d_t | x_t)``.
        "shared": ``q(s | x) q(d | x)`` by the heads of C-DSVAE and SPYL, which later tables mean when they
        compare methods of one architecture.
    prior_path
        Which codes the prior is given when the dynamic posterior is held against it. "posterior": the sampled ones, as
        the bound says. "own": its own draws, as in the public re-implementation; see Notes.
    static_weight, dynamic_weight
        Weights of the two KL terms; 1 and 1 are the evidence bound.
    hidden_dim
        Width of the recurrent heads and of the prior.
    prior_layers
        LSTM layers of the prior; later methods have 2.
    feature_dim
        Width of an element's features.
    filters
        Images: channels of the first convolution.
    window, scale_floor
        Series: steps per element; smallest predicted scale, in standard deviations of the feature.
    training
        The optimiser's settings.

    Notes
    -----
    Minimised: ``R + KL(q(s | x) || N(0, I)) + KL(q(d | .) || p(d))``, summed over values, codes and elements, averaged
    over sequences; ``R`` is the squared error of frames and the negative log-likelihood of series. With the full
    posterior, dynamic codes are read beside a sample of the static one while training and in ``encode(draw=)``, and
    beside its mean otherwise.

    ``prior_path="own"`` compares every posterior step with a roll-out that never saw the sequence. That is
    not the bound: nothing ties the posterior to the prior's own dynamics.

    The paper was not at hand in full. Settings are those of a public re-implementation, which departs from it
    in unknown ways. Ours from that: elements pass the house's encoder and decoder, whose convolutions cost about a
    twentieth of its four 5 x 5 ones of 256 channels; images are in [0, 1] after a sigmoid, not in
    [-1, 1] after batch norm and tanh; means have no leaky ReLU; initial weights are the house's.

    References
    ----------
    Li, Mandt. Disentangled Sequential Autoencoder. ICML 2018, PMLR 80:5670-5679.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import DSVAE
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = DSVAE(static_dim=4, dynamic_dim=2, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 2))
    """

    name = "dsvae"
    papers = ("Li2018DSVAE",)

    static_dim: int = hyper(default=16, low=8, high=256, log=True, at_least=1)
    dynamic_dim: int = hyper(default=4, low=2, high=64, log=True, at_least=1)
    posterior: Literal["full", "factorised", "shared"] = "full"
    prior_path: Literal["posterior", "own"] = "posterior"
    static_weight: float = hyper(default=1.0, low=0.01, high=1.0, log=True, at_least=0)
    dynamic_weight: float = hyper(default=1.0, low=0.01, high=1.0, log=True, at_least=0)
    hidden_dim: int = hyper(default=64, low=32, high=512, log=True, at_least=1)
    prior_layers: int = hyper(default=1, at_least=1)
    feature_dim: int = hyper(default=64, low=16, high=256, log=True, at_least=1)
    filters: int = hyper(default=32, low=16, high=64, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    scale_floor: float = hyper(default=0.05, at_least=0, at_most=0.4)
    training: Training = hyper(factory=Training)

    def build(self, spec: DataSpec) -> DSVAENetwork:
        """The network for these data.

        Raises
        ------
        DataError
            Sequences of a single element.
        """
        require_two_elements(spec, self.window)
        return DSVAENetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """ "reference": a public re-implementation; see Notes."""
        return {"reference": REFERENCE}


HEADS = {"full": ConditionedHeads, "factorised": ElementHeads, "shared": RecurrentHeads}


class DSVAENetwork(SequenceVAE[Codec]):
    """The sequence VAE with one of three posteriors."""

    def __init__(self, settings: DSVAE, spec: DataSpec) -> None:
        static, dynamic, hidden = settings.static_dim, settings.dynamic_dim, settings.hidden_dim
        super().__init__(spec, codec_of(settings, spec, static + dynamic), static, dynamic, hidden)
        self.dynamic_prior = AutoregressivePrior(dynamic, hidden, settings.prior_layers)
        self.settings = settings
        self.heads = HEADS[settings.posterior](settings.feature_dim, hidden, static, dynamic)
        start_loud(self)
        start_certain(self.heads)

    def encode(self, batch: Batch) -> Posterior:
        """Posteriors of both codes; a dynamic one that is conditioned, for the mean static code."""
        posterior: Posterior = self.heads(self.body.elements(batch))
        return posterior

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Factors:
        """One sample of the joint posterior."""
        return self._sampled(batch, generator)[1]

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The negative evidence bound."""
        settings, generator = self.settings, progress.generator
        posterior, codes = self._sampled(batch, generator)
        weights = (1.0, settings.static_weight, settings.dynamic_weight)
        prior = None
        if settings.prior_path == "own":
            prior, _ = self.dynamic_prior.path(len(codes), codes.dynamic.shape[1], generator)
        return self.bound(batch, posterior, codes, weights, prior)

    def _sampled(self, batch: Batch, generator: torch.Generator | None) -> tuple[Posterior, Factors]:
        """Posteriors, the dynamic one given the static sample where it is conditioned, and one sample of both."""
        elements = self.body.elements(batch)
        if not isinstance(self.heads, ConditionedHeads):
            posterior: Posterior = self.heads(elements)
            return posterior, posterior.sample(generator)
        static = self.heads.static(elements)
        drawn = static.sample(generator)
        dynamic = self.heads.dynamic(elements, drawn)
        return (
            Posterior(static, dynamic, elements.lengths),
            Factors(drawn, dynamic.sample(generator), elements.lengths),
        )


# 200 epochs by its text, 500 by its launch code.
REFERENCE: dict[str, dict[str, Any]] = {
    "sprites": {
        "static_dim": 256, "dynamic_dim": 32, "hidden_dim": 512, "feature_dim": 128, "filters": 64,
        "training": Training(lr=2e-4, batch_size=25, max_epochs=200),
    },
}  # fmt: skip
