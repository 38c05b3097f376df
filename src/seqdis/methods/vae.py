"""VAE: one kind of code only, the floor that every table starts from."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqdis.coding import device_of
from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms, kl_standard
from seqdis.nn.codec import codec_of
from seqdis.nn.elements import Observation, observed_means
from seqdis.nn.heads import GaussianHead, start_certain
from seqdis.nn.likelihood import reconstruction_error
from seqdis.nn.network import Network, Progress
from seqdis.nn.recurrent import over_time, start_loud
from seqdis.sequences import Batch, DataSpec
from seqdis.training.settings import Training


@hyperparameters
class VAE(Disentangler):
    """Variational autoencoder of elements or of whole sequences; it does not disentangle.

    Two controls beside methods that do: in the plain form all codes are dynamic, in the sequence form
    all is static. Where an evaluation asks for both codes, the one there is stands for the other as well:

    ========== ======================================= ===========================================
    form       static code                             dynamic code
    ========== ======================================= ===========================================
    "plain"    mean of the dynamic ones                the code of each frame or window
    "sequence" the code of the sequence                that code again for each frame or window
    ========== ======================================= ===========================================

    A swap in the plain form shifts all codes so that their mean is the other's; in the sequence form
    observations follow from the static code alone, so that a swap gives the first sequence back, and
    keeping the dynamic code keeps nothing.

    Parameters
    ----------
    code_dim
        Size of the code, hence of both.
    form
        "plain": every frame or window by itself. "sequence": one code, by LSTMs over all of them.
    beta
        Weight of the KL term. 1 makes the loss the evidence bound, at which the codes of small data
        tend to say nothing at all.
    hidden_dim
        Sequence form: width of the LSTMs.
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
    ``-log p(x | z) + beta KL(q(z | x) || N(0, I))``, summed over elements. Published settings are those of
    the baseline beside GLR, which averages the likelihood over all values and the KL over windows and,
    oddly, over features: in sums, its ``beta`` of 1 is the number of steps in a window.

    Departures from that baseline: a missing value counts at the mean of those observed, not as zero;
    one Monte-Carlo draw per step, not 10 or 15; zeros, not noise, into the decoder's LSTM; log-variances
    for softplus scales; a smallest predicted scale; 50 and 200 epochs, not 51 and 201. Encoder and decoder are the
    house's, with its initial weights: dense layers before the LSTM, which reads steps that show nothing as zeros,
    where the baseline's LSTM (with sigmoid cells) comes first and passes over them.

    `encode(draw=...)` draws the two codes independently of one another.

    References
    ----------
    Kingma, Welling. Auto-Encoding Variational Bayes. ICLR 2014.
    Tonekaboni, Li, Arik, Goldenberg, Pfister. Decoupling Local and Global Representations of Time
    Series. AISTATS 2022 (the baseline for series).

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import VAE
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = VAE(code_dim=4, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 4))
    """

    name = "vae"
    papers = ("Kingma2014VAE",)

    code_dim: int = hyper(default=16, low=4, high=256, log=True, at_least=1)
    form: Literal["plain", "sequence"] = "plain"
    beta: float = hyper(default=0.2, low=0.01, high=1.0, log=True, at_least=0)
    hidden_dim: int = hyper(default=64, low=32, high=256, log=True, at_least=1)
    feature_dim: int = hyper(default=64, low=16, high=256, log=True, at_least=1)
    filters: int = hyper(default=32, low=16, high=64, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    scale_floor: float = hyper(default=0.05, at_least=0, at_most=0.4)
    training: Training = hyper(factory=Training)

    @property
    def static_dim(self) -> int:
        """Size of the static code: that of the only one."""
        return self.code_dim

    @property
    def dynamic_dim(self) -> int:
        """Size of a dynamic code: that of the only one."""
        return self.code_dim

    def build(self, spec: DataSpec) -> PlainNetwork | WholeNetwork:
        """The network for these data."""
        return PlainNetwork(self, spec) if self.form == "plain" else WholeNetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """ "reference": the baseline that was released beside GLR; see Notes."""
        return {"reference": PUBLISHED}


class PlainNetwork(Network):
    """Codes of elements that know nothing of each other."""

    def __init__(self, settings: VAE, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.settings = settings
        self.codec = codec_of(settings, spec, settings.code_dim)
        self.head = GaussianHead(settings.feature_dim, settings.code_dim)
        self.stride = self.codec.stride
        start_loud(self)
        start_certain(self)

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The evidence bound, summed over elements."""
        posterior = self.encode(batch)
        codes = posterior.sample(progress.generator)
        kl = (kl_standard(posterior.dynamic) * codes.valid()).sum(1)
        return _bound(self._observe(codes.dynamic, codes), batch, kl, self.settings.beta)

    def encode(self, batch: Batch) -> Posterior:
        """Posterior of every element, and of the mean over a sequence's real ones."""
        elements = self.codec.elements(batch)
        each: Gaussian = self.head(elements.values)
        assert each.logvar is not None
        share = Factors(each.mean[:, 0], each.mean, elements.lengths).valid().unsqueeze(-1).float()
        share = share / share.sum(1, keepdim=True)
        spread = (each.logvar.exp() * share.square()).sum(1)
        return Posterior(Gaussian((each.mean * share).sum(1), spread.log()), each, elements.lengths)

    def decode(self, factors: Factors) -> Tensor:
        """Elements of codes shifted so that their mean is the static code."""
        shift = factors.static - factors.dynamic_mean()
        observation = self._observe(factors.dynamic + shift.unsqueeze(1), factors)
        return observed_means(observation, factors, self.stride)

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """Independent codes from N(0, I), whose step means are zero, and their mean."""
        dynamic = _normal(self, (n, length, self.settings.code_dim), generator)
        return Factors(dynamic.mean(1), torch.zeros_like(dynamic) if mean else dynamic)

    def _observe(self, codes: Tensor, factors: Factors) -> Observation:
        return self.codec.observe(codes, None if factors.lengths is None else factors.valid())


class WholeNetwork(Network):
    """One code per sequence, read and unrolled by LSTMs over its elements."""

    def __init__(self, settings: VAE, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.settings = settings
        hidden = settings.hidden_dim
        self.codec = codec_of(settings, spec, hidden)
        self.reader = nn.LSTM(settings.feature_dim, hidden, batch_first=True, bidirectional=True)
        self.head = GaussianHead(2 * hidden, settings.code_dim)
        self.unroll = nn.LSTM(settings.code_dim, hidden, batch_first=True)
        self.stride = self.codec.stride
        start_loud(self)
        start_certain(self)

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The evidence bound of the sequence."""
        posterior = self.encode(batch)
        codes = posterior.sample(progress.generator)
        return _bound(self._observe(codes), batch, kl_standard(posterior.static), self.settings.beta)

    def encode(self, batch: Batch) -> Posterior:
        """Posterior of the sequence, once more for every element."""
        elements = self.codec.elements(batch)
        whole: Gaussian = self.head(over_time(self.reader, elements)[1])
        count = elements.values.shape[1]
        return Posterior(whole, whole.map(lambda code: _repeated(code, count)), elements.lengths)

    def decode(self, factors: Factors) -> Tensor:
        """Elements unrolled from the static code; of the dynamic ones only their number matters."""
        return observed_means(self._observe(factors), factors, self.stride)

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """One code from N(0, I) per sequence, once more for every element."""
        static = _normal(self, (n, self.settings.code_dim), generator)
        return Factors(static, _repeated(static, length))

    def _observe(self, codes: Factors) -> Observation:
        states, _ = self.unroll(_repeated(codes.static, codes.dynamic.shape[1]))
        return self.codec.observe(states, None if codes.lengths is None else codes.valid())


def _bound(observation: Observation, batch: Batch, kl: Tensor, beta: float) -> LossTerms:
    terms = LossTerms().add("reconstruction", reconstruction_error(observation, batch).mean())
    return terms.add("kl", kl.mean(), beta)


def _repeated(code: Tensor, count: int) -> Tensor:
    return code.unsqueeze(1).expand(-1, count, -1)


def _normal(network: nn.Module, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    return torch.randn(shape, generator=generator, device=device_of(network))


def _published(window: int, batch: int, epochs: int) -> dict[str, Any]:
    training = Training(lr=1e-3, batch_size=batch, max_epochs=epochs)
    return {"code_dim": 8, "beta": float(window), "window": window, "feature_dim": 32, "training": training}


PUBLISHED: dict[str, dict[str, Any]] = {
    "mortality": _published(window=4, batch=20, epochs=50),
    "icu-unit": _published(window=4, batch=20, epochs=50),
    "air-quality": _published(window=24, batch=10, epochs=200),
}
