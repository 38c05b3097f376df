"""R-WAE: a recurrent Wasserstein autoencoder; penalties on aggregated, not on single posteriors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from seqdis.coding import device_of
from seqdis.errors import CapabilityError, SettingsError
from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Factors, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms
from seqdis.nn.aggregate import CriticPenalty, KernelPenalty, beside_the_last
from seqdis.nn.categorical import CategoricalReader, gumbel_softmax, likeliest, uniformity_and_entropy
from seqdis.nn.codec import Codec, codec_of
from seqdis.nn.elements import Features, Observation, join, require_two_elements
from seqdis.nn.heads import start_certain
from seqdis.nn.likelihood import reconstruction_error
from seqdis.nn.network import Progress
from seqdis.nn.recurrent import DynamicReader, StaticReader, start_loud
from seqdis.nn.sequence_vae import SequenceVAE
from seqdis.sequences import Array, Batch, DataSpec
from seqdis.training.settings import Training

HOTTEST, COLDEST = 1.0, 0.3
"""Temperatures of the Gumbel-softmax at the start and at the end of a training."""


@hyperparameters
class RWAE(Disentangler):
    """Disentangled recurrent Wasserstein autoencoder.

    Where a variational autoencoder draws the posterior of every sequence to the prior, this one asks
    only that all of them together look like it: the static codes of a batch like N(0, I), its dynamic
    codes of each step like draws of a learned prior that saw the same codes before.

    Parameters
    ----------
    static_dim, dynamic_dim
        Sizes of the two codes.
    penalty
        How posterior and prior samples are compared: "mmd", by kernels, or "gan", by critics that train
        with an optimiser of their own.
    kernel
        "mmd" only: "imq", inverse multiquadrics, whose tails do not vanish in high dimension, or "rbf".
    history
        What is compared at a step: the code beside the one before it ("conditional"), or the code alone
        ("marginal"), which cannot tell a prior of the right steps in the wrong order from a right one.
    actions
        Number of action classes, the weak supervision of the paper: a categorical code, read from the
        dynamic codes, is part of what the generator sees. No label is used. 0: none.
    static_weight, dynamic_weight
        Weights of the two penalties, beta_1 and beta_2.
    action_weight, confidence_weight
        Weights of the two terms of the categorical code: on average uniform, for each sequence certain.
    feedback
        Dynamic posteriors see the codes before them, as in the paper. False: one fused call for all steps.
    decoder_rnn
        An LSTM runs over the codes before they are decoded, as in the paper. False: every element apart.
    hidden_dim
        Width of the recurrent layers over elements and of the prior.
    critic_dim
        "gan" only: width of the four hidden layers of each critic.
    critic_rate
        "gan" only: learning rate of the critics over that of the model. Faster critics, or weights above 1,
        more often leave a static code that says nothing (on toys, in up to half of the fits).
    feature_dim
        Width of an element's features.
    filters
        Images: channels of the first convolution.
    window
        Series: steps per element. (Frames are elements by themselves.)
    scale_floor
        Series: smallest predicted scale, in standard deviations of the feature.
    training
        The optimiser's settings. The estimates of "mmd" are noise in batches below 32; prefer 64.

    Notes
    -----
    The paper's objective, with ``s`` for z^c, ``d_t`` for z^m_t and ``D`` for the divergence::

        sum_t E_q |x_t - x'_t|^2 + beta_1 D(Q_s, P_s) + beta_2 sum_t D(Q(d_t | d_<t), P(d_t | d_<t))

    ``q(s | x)`` reads the last states of an LSTM over all elements; ``q(d_t | d_<t, x_<=t)`` a second LSTM over
    the states of a forward one and the code before. Prior samples ``d'_t`` are drawn from the prior after
    the posterior's own codes, so that all steps take one call. In ragged batches a step counts by the
    share of sequences that reach it. "gan": the encoder, and with it the dynamic prior, wants the two
    sides to be mistaken for each other; critics and model step at once, from one forward pass.

    Weak supervision: the action from an LSTM over ``d`` and a Gumbel-softmax; the loss adds
    ``action_weight KL(mean softmax || uniform) + confidence_weight mean H(softmax)``. Decoding takes the
    likeliest action of the dynamic codes it is given, so actions travel with the dynamics in a swap.

    We know no released code, nor the authors' sizes, weights and kernels. Ours: a bidirectional LSTM for
    ``s``; the last code for a step's whole history in the comparison; the estimator of the discrepancy, with
    kernel widths from the spread of the prior's draws; the floor of posterior variances; one critic for all
    steps; the action of a drawn sequence, read from its drawn dynamics; the start of the LSTMs; for series
    the Gaussian likelihood. Left out: a learned kernel, codes of past batches in the penalty, averaged weights.

    References
    ----------
    Han, Min, Han, Li, Zhang. Disentangled Recurrent Wasserstein Autoencoder. ICLR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import RWAE
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = RWAE(static_dim=4, dynamic_dim=2, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 2))
    """

    name = "rwae"
    papers = ("Han2021RWAE",)

    static_dim: int = hyper(default=16, low=4, high=256, log=True, at_least=1)
    dynamic_dim: int = hyper(default=8, low=2, high=64, log=True, at_least=1)
    penalty: Literal["mmd", "gan"] = "mmd"
    kernel: Literal["imq", "rbf"] = "imq"
    history: Literal["conditional", "marginal"] = "conditional"
    actions: int = hyper(default=0, at_least=0)
    static_weight: float = hyper(default=1.0, low=0.1, high=50.0, log=True, at_least=0)
    dynamic_weight: float = hyper(default=1.0, low=0.1, high=50.0, log=True, at_least=0)
    action_weight: float = hyper(default=1.0, low=0.1, high=10.0, log=True, at_least=0)
    confidence_weight: float = hyper(default=0.1, low=0.01, high=1.0, log=True, at_least=0)
    feedback: bool = True
    decoder_rnn: bool = True
    hidden_dim: int = hyper(default=64, low=32, high=256, log=True, at_least=1)
    critic_dim: int = hyper(default=128, low=64, high=512, log=True, at_least=1)
    critic_rate: float = hyper(default=1.0, low=1.0, high=4.0, above=0)
    feature_dim: int = hyper(default=64, low=16, high=256, log=True, at_least=1)
    filters: int = hyper(default=32, low=16, high=64, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    scale_floor: float = hyper(default=0.05, at_least=0, at_most=0.4)
    training: Training = hyper(factory=Training)

    def build(self, spec: DataSpec) -> RWAENetwork:
        """The network for these data.

        Raises
        ------
        SettingsError
            A single action, which would tell nothing.
        DataError
            Sequences of a single element.
        """
        if self.actions == 1:
            raise SettingsError("RWAE.actions = 1: a code of one class tells nothing. Give 2 or more, or 0 for none.")
        require_two_elements(spec, self.window)
        return RWAENetwork(self, spec)

    def action_probabilities(self, X: Any) -> Array:
        """(n, actions): how likely each sequence shows each action; classes have no order and no name.

        Raises
        ------
        CapabilityError
            The method was fitted without actions.
        """
        reader = cast("RWAENetwork", self._network).action
        if reader is None:
            raise CapabilityError("RWAE.actions = 0: this model has no action code. Fit one with `actions` set.")
        codes = self.encode(X)
        with torch.inference_mode():
            return reader(codes.to(device_of(self._network))).softmax(-1).cpu().numpy()

    @classmethod
    def presets(cls) -> Presets:
        """Ours, for data sets of the published tables, which do not say the penalty of their rows."""
        return {"ours": PUBLISHED}


class RWAENetwork(SequenceVAE[Codec]):
    """Two recurrent posteriors, a recurrent generator and the two penalties on a shared body."""

    def __init__(self, settings: RWAE, spec: DataSpec) -> None:
        static_dim, dynamic_dim, hidden = settings.static_dim, settings.dynamic_dim, settings.hidden_dim
        width, joint = settings.feature_dim, static_dim + dynamic_dim
        codec = codec_of(settings, spec, joint)
        super().__init__(spec, codec, static_dim, dynamic_dim, hidden)
        self.settings = settings
        self.static = StaticReader(width, hidden, static_dim)
        self.dynamic = DynamicReader(width, hidden, dynamic_dim, settings.feedback)
        seen = joint + settings.actions
        self.generator_rnn = nn.LSTM(seen, hidden, batch_first=True) if settings.decoder_rnn else None
        self.to_decoder = nn.Linear(hidden if settings.decoder_rnn else seen, joint)
        self.action = CategoricalReader(dynamic_dim, hidden, settings.actions) if settings.actions else None
        start_loud(self)
        start_certain(self.static)
        start_certain(self.dynamic)
        weights = (settings.static_weight, settings.dynamic_weight)
        if settings.penalty == "gan":
            self.objectives, self.betas = ("model", "critic"), (0.5, 0.999)
            judged = dynamic_dim * (2 if settings.history == "conditional" else 1)
            self.penalty: nn.Module = CriticPenalty(static_dim, judged, settings.critic_dim, *weights)
        else:
            self.penalty = KernelPenalty(settings.kernel, *weights)

    def parameters_of(self, objective: str) -> list[nn.Parameter]:
        """The critics' own, or all others."""
        critics = objective == "critic"
        return [value for name, value in self.named_parameters() if name.startswith("penalty.") == critics]

    def rate_of(self, objective: str) -> float:
        """Critics may learn faster."""
        return self.settings.critic_rate if objective == "critic" else 1.0

    def encode(self, batch: Batch) -> Posterior:
        """Posterior of both codes, with the means fed back: nothing in it is drawn."""
        elements = self.body.elements(batch)
        return Posterior(self.static(elements), self.dynamic(elements)[0], elements.lengths)

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Factors:
        """One sample of both codes, every step given the samples before it."""
        return self._drawn(self.body.elements(batch), generator)

    def observe(self, codes: Factors) -> Observation:
        """Predicted observations of codes under the likeliest action."""
        return self._observe(codes, None if self.action is None else likeliest(self.action(codes)))

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """Reconstruction, the two penalties, the terms of the action code, and those of the critics."""
        settings, draw = self.settings, progress.generator
        codes = self._drawn(self.body.elements(batch), draw)
        logits = None if self.action is None else self.action(codes)
        action = None if logits is None else self._drawn_action(logits, progress)
        observation = self._observe(codes, action)
        terms = LossTerms().add("reconstruction", reconstruction_error(observation, batch).mean())
        noise = torch.randn(codes.static.shape, generator=draw, device=codes.static.device)
        prior = replace(codes, static=noise, dynamic=self.dynamic_prior(codes.dynamic).sample(draw))
        self.penalty(terms, *(beside_the_last(codes, prior) if settings.history == "conditional" else (codes, prior)))
        if logits is not None:
            uniformity, entropy = uniformity_and_entropy(logits)
            terms.add("action_uniformity", uniformity, settings.action_weight)
            terms.add("action_entropy", entropy, settings.confidence_weight)
        return terms

    def _drawn(self, elements: Features, generator: torch.Generator | None) -> Factors:
        static = self.static(elements).sample(generator)
        return Factors(static, self.dynamic(elements, True, generator)[1], elements.lengths)

    def _observe(self, codes: Factors, action: Tensor | None) -> Observation:
        """Predicted observations of codes and, where there are actions, of one of those."""
        joint = join(codes.static, codes.dynamic)
        if action is not None:
            joint = torch.cat([joint, action.unsqueeze(1).expand(-1, joint.shape[1], -1)], dim=-1)
        if self.generator_rnn is not None:
            joint, _ = self.generator_rnn(joint)
        return self.body.observe(self.to_decoder(joint), None if codes.lengths is None else codes.valid())

    def _drawn_action(self, logits: Tensor, progress: Progress) -> Tensor:
        """A Gumbel-softmax draw, colder and colder; in evaluation the likeliest action, as in decoding."""
        if not self.training:
            return likeliest(logits)
        done = progress.epoch / max(1, progress.epochs - 1)
        return gumbel_softmax(logits, HOTTEST * (COLDEST / HOTTEST) ** done, progress.generator)


# Not the authors' values, which we do not know; chosen for kernels, not critics (see `critic_rate`).
def _published(dynamic_dim: int, feature_dim: int) -> dict[str, Any]:
    training = Training(max_epochs=300, batch_size=64, lr=1e-3)
    sizes = {"static_dim": 256, "dynamic_dim": dynamic_dim, "hidden_dim": 256, "feature_dim": feature_dim}
    return {**sizes, "critic_dim": 512, "static_weight": 10.0, "dynamic_weight": 10.0, "training": training}


PUBLISHED: dict[str, dict[str, Any]] = {
    "sprites": _published(dynamic_dim=32, feature_dim=128),
    "mug": _published(dynamic_dim=64, feature_dim=128),
    "timit": _published(dynamic_dim=64, feature_dim=256),
}
