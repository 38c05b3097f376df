"""GLR: window codes that follow Gaussian processes, and a static code read from a random stretch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from seqdis.errors import SettingsError
from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms, gaussian_nll, kl_standard
from seqdis.nn.elements import Features, Observation, fold_windows, join, observed_means, require_two_elements
from seqdis.nn.gaussian_process import BandedGaussian, GaussianProcessPrior, Kernel
from seqdis.nn.network import Network, Progress
from seqdis.nn.series import WindowDecoder, informative_steps, through
from seqdis.sequences import Batch, DataSpec
from seqdis.training.settings import Training


@hyperparameters
class GLR(Disentangler):
    """Decoupled local and global representations of time series.

    The static code is the mean of a Gaussian of unit variance, read from a random stretch of the
    sequence. The dynamic code has one vector per window; its dimensions are Gaussian processes over the
    windows, of different kernels and length scales. A counterfactual term takes static information
    out of the dynamic code: what is decoded with another static code must be coded as that one.

    Parameters
    ----------
    static_dim, dynamic_dim, window
        Sizes of the two codes, and steps per dynamic code.
    stretch
        Training: share of the time axis (padding included) that the static code is read from, at a start
        drawn for every sequence; a shorter one is read whole. Encoding reads all of every sequence.
    kernels, kernel_scales, length_scale, cauchy_variance, period
        Prior of the dynamic code: kernels, number of length scales of each (halved from one to the next)
        and the largest, in windows; variance of the Cauchy kernel; windows per cycle of the periodic one.
        Fewer dimensions than scales get the longest ones.
    static_weight, dynamic_weight, counterfactual_weight
        Weights against the likelihood (paper: beta, beta, lambda), reduced as in Notes.
    log_ratio_limit
        Where the exponent of the counterfactual term is cut off.
    static_layers, dynamic_layers, decoder_layers
        Widths of the encoders and the decoder: of an LSTM, then of Linear-ReLU layers.
    copies
        Monte-Carlo draws of both codes per sequence in the loss. The encoders run once for all, but for the static one
        in the counterfactual term.
    scale_floor
        Smallest predicted scale, in standard deviations of the feature; 0 as published.
    training
        The optimiser's settings.

    Notes
    -----
    Paper section 3, with ``n`` windows and ``T`` steps (padding included) of ``F`` features in training:
    ``q(s | x) = N(mu(stretch), I)``; ``q(d_j | x) = N(m_j, (B_j B_j')^-1)``, ``B_j`` upper bidiagonal;
    ``p(d_j) = N(0, K_j)``; and the loss, in the authors' reductions, so that a setting suits all lengths::

        nll / (T F) + static_weight * KL(s) + dynamic_weight * share * KL(d) / (n dynamic_dim)
            + counterfactual_weight * mean over dimensions of q(s | x') / q(s' | x')

    ``nll`` sums over observed values, a ``share`` of all; ``s'`` is drawn from the prior and ``x'`` from
    ``p(x | s', d)``; its static code is read from another stretch. Encoders pass over steps at which
    most values are missing. The ratio has no finite mean while the encoder ignores ``s'``, and its rare large values
    upset Adam; hence `log_ratio_limit`. The authors set none; published settings have 20, against overflow.

    Departures from the released code: tanh in the LSTM of the dynamic encoder, not sigmoids; a start of the
    stretch for every sequence, not one for the batch; windows of padding take no part in the KL, and the share
    is one of real values (the authors count padding in: on PhysioNet, where 48 of 80 rows are real, theirs is
    0.6 of ours); a last window that is not full is kept; encoding reads whole sequences and returns means,
    where the authors read 0.3 and draw samples; no batch normalisation before the decoder, which there only
    ever runs with its initial statistics and does nothing that the next layer cannot; PyTorch's initial
    weights. Published values of `stretch` are those of the script that trains: on PhysioNet its 48 rows cover
    every stay.

    References
    ----------
    Tonekaboni, Li, Arik, Goldenberg, Pfister. Decoupling Local and Global Representations of Time
    Series. AISTATS 2022, PMLR 151:8700-8714.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import GLR
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = GLR(static_dim=4, dynamic_dim=4, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 4))
    """

    name = "glr"
    papers = ("Tonekaboni2022GLR",)
    kinds = ("series",)

    static_dim: int = hyper(default=8, low=2, high=64, log=True, at_least=1)
    dynamic_dim: int = hyper(default=8, low=2, high=64, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    stretch: float = hyper(default=0.4, low=0.2, high=1.0, above=0, at_most=1)
    kernels: tuple[Kernel, ...] = ("cauchy", "rbf")
    kernel_scales: int = hyper(default=4, low=1, high=4, at_least=1)
    length_scale: float = hyper(default=2.0, low=0.5, high=8.0, log=True, above=0)
    cauchy_variance: float = hyper(default=0.5, above=0)
    period: float = hyper(default=15.0, above=0)
    static_weight: float = hyper(default=0.1, low=1e-3, high=1.0, log=True, at_least=0)
    dynamic_weight: float = hyper(default=0.1, low=1e-3, high=1.0, log=True, at_least=0)
    counterfactual_weight: float = hyper(default=1.0, low=0.1, high=2.0, at_least=0)
    log_ratio_limit: float = hyper(default=3.0, low=1.0, high=20.0, log=True, above=0, at_most=80)
    static_layers: tuple[int, ...] = (32, 64, 32)
    dynamic_layers: tuple[int, ...] = (32, 64, 32)
    decoder_layers: tuple[int, ...] = (32, 64, 32)
    copies: int = hyper(default=1, at_least=1)
    scale_floor: float = hyper(default=0.05, at_least=0, at_most=0.4)
    training: Training = hyper(factory=Training)

    def build(self, spec: DataSpec) -> GLRNetwork:
        """The network for these data.

        Raises
        ------
        SettingsError
            No kernel, or a network without layers.
        DataError
            Sequences of a single window.
        """
        if not self.kernels:
            raise SettingsError("GLR.kernels = (): expected one or more kernels.")
        for name in ("static_layers", "dynamic_layers", "decoder_layers"):
            if min(getattr(self, name), default=0) < 1:
                raise SettingsError(f"GLR.{name} = {getattr(self, name)}: expected one or more widths of at least 1.")
        require_two_elements(spec, self.window)
        return GLRNetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """The authors' released settings."""
        return {"reference": PUBLISHED}


class GLRNetwork(Network):
    """Two skipping encoders, a window decoder and a Gaussian-process prior."""

    def __init__(self, settings: GLR, spec: DataSpec) -> None:
        super().__init__()
        self.settings, self.spec, self.stride = settings, spec, settings.window
        features, codes = spec.shape[0], settings.static_dim + settings.dynamic_dim
        self.windows = math.ceil(spec.length / self.stride)
        self.stretch = max(1, int(settings.stretch * spec.length))
        self.static_encoder = SkippingEncoder(features, settings.static_layers, settings.static_dim)
        self.dynamic_encoder = SkippingEncoder(features, settings.dynamic_layers, 3 * settings.dynamic_dim)
        self.decoder = LayeredDecoder(codes, features, self.stride, settings.decoder_layers, settings.scale_floor)
        self.dynamic_prior = GaussianProcessPrior(
            settings.dynamic_dim,
            self.windows,
            settings.kernels,
            length_scale=settings.length_scale,
            scales=settings.kernel_scales,
            sigma=settings.cauchy_variance,
            period=settings.period,
        )

    def encode(self, batch: Batch) -> Posterior:
        """Posterior of both codes, from whole sequences; of the dynamic one, every window by itself."""
        windows = fold_windows(batch, self.stride)
        return Posterior(self._static(batch.x, _readable(batch)), self._dynamic(windows).marginals(), windows.lengths)

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Factors:
        """One sample of both codes; that of the dynamic one is a path, its windows are not independent."""
        windows = fold_windows(batch, self.stride)
        static = self._static(batch.x, _readable(batch)).sample(generator)
        return Factors(static, self._dynamic(windows).sample(generator), windows.lengths)

    def decode(self, factors: Factors) -> Tensor:
        """(batch, windows * window, features): the mean observation, zero on padding."""
        observation = Observation(*self.decoder(join(factors.static, factors.dynamic)))
        return observed_means(observation, factors, self.stride)

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """Static codes from N(0, I), dynamic ones from the Gaussian processes."""
        dynamic = self.dynamic_prior.sample(n, length, generator, mean=mean)
        static = torch.randn(n, self.settings.static_dim, generator=generator, device=dynamic.device)
        return Factors(static, dynamic)

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The loss of the class's Notes."""
        settings, generator, copies = self.settings, progress.generator, self.settings.copies
        valid = batch.valid_steps()
        static = self._static(batch.x, _readable(batch) & self._stretch(valid, generator), self.stretch)
        dynamic = self._dynamic(fold_windows(batch, self.stride))
        code = static.map(lambda values: values.repeat(copies, 1)).sample(generator)
        path = dynamic.sample(generator, copies)

        observed = valid.unsqueeze(-1).expand_as(batch.x)
        if batch.mask is not None:
            observed = observed & batch.mask
        mean, scale = (values[:, : valid.shape[1]] for values in self.decoder(join(code, path)))
        nll = gaussian_nll(batch.x.repeat(copies, 1, 1), mean, scale)
        spent = torch.where(observed.repeat(copies, 1, 1), nll, 0.0).sum((1, 2))
        share = observed.sum((1, 2)) / (valid.sum(1) * batch.x.shape[2])
        kl_dynamic = (self.dynamic_prior.kl(dynamic) * valid[:, :: self.stride]).sum(1) * share

        values = self.spec.length * self.spec.shape[0]
        terms = LossTerms().add("reconstruction", spent.mean(), 1.0 / values)
        terms.add("kl_static", kl_standard(static).mean(), settings.static_weight)
        dynamic_weight = settings.dynamic_weight / (self.windows * settings.dynamic_dim)
        terms.add("kl_dynamic", kl_dynamic.mean(), dynamic_weight)
        if settings.counterfactual_weight > 0:
            ratio = self._counterfactual(code, path, valid.repeat(copies, 1), generator)
            terms.add("counterfactual", ratio, settings.counterfactual_weight)
        return terms

    def _counterfactual(self, code: Tensor, path: Tensor, valid: Tensor, generator: torch.Generator | None) -> Tensor:
        """How much likelier the old static code is than the planted one, after decoding and coding again."""
        planted = Gaussian(torch.zeros_like(code), torch.zeros_like(code)).sample(generator)
        mean, scale = (values[:, : valid.shape[1]] for values in self.decoder(join(planted, path)))
        drawn = Gaussian(mean, 2.0 * scale.log()).sample(generator)
        again = self.static_encoder(drawn, self._stretch(valid, generator), self.stretch)
        log_ratio = 0.5 * ((planted - again).square() - (code - again).square())
        return log_ratio.clamp(max=self.settings.log_ratio_limit).exp().mean()

    def _static(self, x: Tensor, readable: Tensor, longest: int | None = None) -> Gaussian:
        mean = self.static_encoder(x, readable, longest)
        return Gaussian(mean, torch.zeros_like(mean))

    def _dynamic(self, windows: Features) -> BandedGaussian:
        x, shown = windows.values, windows.readable
        if shown is None:
            shown = torch.ones(x.shape[:3], dtype=torch.bool, device=x.device)
        coded = self.dynamic_encoder(x.flatten(0, 1), shown.flatten(0, 1)).unflatten(0, x.shape[:2])
        mean, diagonal, coupling = coded.chunk(3, dim=-1)
        return BandedGaussian(mean, 1.0 + softplus(diagonal), softplus(coupling[:, :-1]))

    def _stretch(self, valid: Tensor, generator: torch.Generator | None) -> Tensor:
        """(batch, time) bool: a stretch with a random start in every sequence, or all of a shorter one."""
        starts = (valid.sum(1) - self.stretch).clamp(min=0) + 1
        share = torch.rand(len(valid), generator=generator, device=valid.device)
        past = torch.arange(valid.shape[1], device=valid.device) - (share * starts).long()[:, None]
        return valid & (past >= 0) & (past < self.stretch)


class SkippingEncoder(nn.Module):
    """An LSTM that passes over steps it cannot read (with none left, its state is zero), then linear layers."""

    def __init__(self, features: int, widths: Sequence[int], out: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(features, widths[0], batch_first=True)
        self.layers = nn.Sequential(*_linear_relu(widths), nn.Linear(widths[-1], out))

    def forward(self, x: Tensor, readable: Tensor, longest: int | None = None) -> Tensor:
        """(batch, out) of (batch, time, features); at most ``longest`` steps of each are readable."""
        # Readable steps move to the front, in order: one fused call then skips all others.
        order = (~readable).byte().argsort(dim=1, stable=True)[:, :longest]
        states, _ = self.rnn(x.gather(1, order.unsqueeze(-1).expand(-1, -1, x.shape[2])))
        count = readable.sum(1)
        last = states[torch.arange(len(x), device=x.device), (count - 1).clamp(min=0)]
        return through(self.layers, last * (count > 0).unsqueeze(-1)).float()


class LayeredDecoder(WindowDecoder):
    """A window decoder whose widths are all given."""

    def __init__(self, width: int, features: int, steps: int, widths: Sequence[int], scale_floor: float) -> None:
        super().__init__(width, features, steps, widths[0], scale_floor)
        self.layers = nn.Sequential(*_linear_relu(widths))
        self.mean, self.scale = nn.Linear(widths[-1], features), nn.Linear(widths[-1], features)


def _linear_relu(widths: Sequence[int]) -> list[nn.Module]:
    return [layer for sizes in pairwise(widths) for layer in (nn.Linear(*sizes), nn.ReLU(inplace=True))]


def _readable(batch: Batch) -> Tensor:
    """(batch, time) bool: real steps with enough observed values."""
    valid = batch.valid_steps()
    return valid if batch.mask is None else valid & informative_steps(batch.mask)


def _published(epochs: int, batch: int, **values: Any) -> dict[str, Any]:
    training = Training(max_epochs=epochs, batch_size=batch)
    return {"training": training, "scale_floor": 0.0, "log_ratio_limit": 20.0, **values}


# As released; one epoch more than named there, where they are counted from 0.
_ICU = _published(201, 20, window=4, stretch=0.6, copies=10)
_WIDE = {"static_layers": (32, 64, 64), "dynamic_layers": (32, 64, 64), "decoder_layers": (64, 32)}
_AIR = _published(251, 10, window=24, stretch=0.3, copies=15, **_WIDE)
PUBLISHED: dict[str, dict[str, Any]] = {"mortality": _ICU, "icu-unit": _ICU, "air-quality": _AIR}
