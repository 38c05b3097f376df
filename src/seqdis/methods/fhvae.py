"""FHVAE: two codes per segment, one of them tied to a vector of its whole sequence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from seqdis.coding import device_of
from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms, kl_gaussian, kl_standard
from seqdis.nn.elements import Features, Observation, observed_means, require_two_elements
from seqdis.nn.heads import start_certain
from seqdis.nn.levels import VARIANCE, RowTable, confusion, joined, most_likely
from seqdis.nn.likelihood import reconstruction_error
from seqdis.nn.network import Network, Progress
from seqdis.nn.recurrent import start_loud
from seqdis.nn.segments import SegmentDecoder, SegmentFront, SegmentReader, by_value, readable_segments, shifted
from seqdis.sequences import Batch, DataSpec, Sequences
from seqdis.training.settings import Training


@hyperparameters
class FHVAE(Disentangler):
    """Factorized hierarchical variational autoencoder: speaker and channel apart from what is said.

    A sequence (an utterance) is cut into segments of ``window`` steps. Each has two codes: z1 with the same
    prior for all, and z2 with a prior around one vector per sequence, mu2, the "s-vector". What hardly
    changes between segments is cheaper to tell by mu2. The static code is mu2, the dynamic code of a segment
    its z1. Not to be confused with the released code of 2017, which calls the sequence's latent the first, nor
    with DSVAE, whose static code is read from all steps at once and whose dynamics have a learned prior.

    Parameters
    ----------
    static_dim, dynamic_dim
        Sizes of mu2 (and of z2) and of z1.
    window
        Steps per segment, for every kind of data: 20 frames, 200 ms, of speech.
    contrast_weight
        Weight of the discriminative term, the paper's alpha; 0: none. Published: 10, beside 4,000 values per segment.
    centers
        Where the mu2 of training sequences come from. "batch": the best one for the segments in the batch, in closed
        form. "table": one trained row per training sequence, as in 2017; rows learn slowly. See Notes.
    deviations
        Dynamic codes also hold, behind z1, how z2 of the segment departs from mu2 (``static_dim`` numbers more). A
        swap is then the paper's conversion, which shifts z2 instead of replacing it.
    offsets
        Segments of training sequences begin at a random step.
    whole_utterances
        Spectrograms: training sequences that are segments of one utterance, as their ids tell, are joined first.
    beta
        Weight of all divergences from priors; 1: the evidence bound.
    hidden_dim, layers
        Width and number of layers of the LSTMs: both encoders and the decoder.
    feature_dim, filters
        Images: width of a frame's features, channels of the first convolution.
    image_scale
        Images: standard deviation of a value in [0, 1], which the likelihood takes as given.
    scale_floor
        Series and spectrograms: smallest predicted scale, in normalised units. Published: none.
    training
        The optimiser's settings. A batch counts sequences, not segments.

    Notes
    -----
    With ``N`` segments in a sequence ``i``, and all sums over its segments, steps and values, minimised is::

        - sum_n log p(x_n | z1_n, z2_n)                    z2_n ~ q(z2 | x_n), z1_n ~ q(z1 | x_n, z2_n)
        + beta (sum_n KL(q(z1 | x_n, z2_n) || N(0, I)) + sum_n KL(q(z2 | x_n) || N(mu2_i, 0.25 I)) - log N(mu2_i; 0, I))
        - contrast_weight sum_n log softmax_j(-|m_n - mu2_j|^2 / 0.5)_i             m_n the mean of q(z2 | x_n)

    averaged over sequences: the paper's bound per segment, times ``N``. ``q(z2 | x)`` is an LSTM over the segment,
    ``q(z1 | x, z2)`` a second one over steps beside the drawn z2; both heads read the last states of all layers.
    The decoder is an LSTM fed with both codes at every step; mean and log-variance of every value are linear in it.

    mu2 of a sequence is the most likely one, ``sum_n m_n / (N + 0.25)`` (of unit prior variance). This is how
    any sequence is encoded, and scored. In training "batch" takes it too: it is where the two terms with mu2 in the
    bound are least, so their gradient is that of an mu2 held fixed, and nothing is stored per sequence. This is
    hierarchical sampling (2018) with the batch as its K sequences. "table" trains rows from N(0, 1); `prepare`, to
    which all data come as one batch, tells how many, `Batch.index` whose is whose, and `conclude` clears them, as no
    code is read from them. On toys 40 passes left rows behind, 200 did not. The softmax compares with all rows of
    the table, or with the sequences of the batch.

    A sequence is what shares one mu2. Where a set holds segments that were cut before, such as TIMIT's of 200 ms,
    those of one utterance are joined for training only: by ``Sequences.ids`` (`seqdis.spectrogram.utterances`), not by
    ``groups``, which there are speakers, and the method uses no label. Encoding such a segment alone gives mu2
    from it: ``m / 1.25``. Averages over an utterance, as verification takes, then point the way of the mu2 of all.
    Joined utterances are padded to the longest one and lie in memory beside the segments.

    Departures: decoding puts z2 at mu2, and samples have no spread of z2, unless there are ``deviations``. A last
    segment cut short counts as a whole one, its missing steps as zeros; one in which nothing can be read counts for
    z1 only. ``N`` is the true number, after ``offsets`` too. Of images the likelihood is the squared error over
    ``2 image_scale^2``, and convolutions stand before the LSTMs. Initial weights are the house's. No weight decay
    (2017: 1e-4), no early stopping, no MLP variant.

    References
    ----------
    Hsu, Zhang, Glass. Unsupervised Learning of Disentangled and Interpretable Representations from Sequential
    Data. NeurIPS 2017. Hsu, Glass. Scalable Factorized Hierarchical Variational Autoencoder Training. Interspeech 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import FHVAE
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = FHVAE(static_dim=4, dynamic_dim=2, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 2))
    """

    name = "fhvae"
    papers = ("Hsu2017FHVAE", "Hsu2018ScalableFHVAE")

    static_dim: int = hyper(default=16, low=4, high=64, log=True, at_least=1)
    dynamic_dim: int = hyper(default=16, low=4, high=64, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    contrast_weight: float = hyper(default=1.0, low=0.1, high=10.0, log=True, at_least=0)
    centers: Literal["batch", "table"] = "batch"
    deviations: bool = False
    offsets: bool = False
    whole_utterances: bool = True
    beta: float = hyper(default=1.0, low=0.1, high=1.0, log=True, at_least=0)
    hidden_dim: int = hyper(default=64, low=32, high=256, log=True, at_least=1)
    layers: int = hyper(default=1, low=1, high=2, at_least=1)
    feature_dim: int = hyper(default=64, low=16, high=256, log=True, at_least=1)
    filters: int = hyper(default=32, low=16, high=64, log=True, at_least=1)
    image_scale: float = hyper(default=0.3, low=0.1, high=1.0, log=True, above=0)
    scale_floor: float = hyper(default=0.05, at_least=0)
    training: Training = hyper(factory=Training)

    def build(self, spec: DataSpec) -> FHVAENetwork:
        """The network for these data.

        Raises
        ------
        DataError
            Sequences of a single segment.
        """
        require_two_elements(replace(spec, kind="series"), self.window)  # segments are windows of frames, too
        return FHVAENetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """ "paper": 2017. "compared": smaller and without alpha, the row of later tables. "reference": 2018. "ours"."""
        return {"paper": PAPER, "compared": COMPARED, "reference": REFERENCE, "ours": OURS}

    def _parts(self, X: Any, valid: Any, mask: Any, lengths: Any) -> tuple[Sequences, Sequences | None]:
        train, watched = super()._parts(X, valid, mask, lengths)
        if self.whole_utterances and train.spec.kind == "spectrogram":
            train, watched = joined(train), None if watched is None else joined(watched)
        return train, watched

    @property
    def code_dims(self) -> tuple[int, int]:
        """Sizes of the static and of a dynamic code."""
        return self.static_dim, self.dynamic_dim + (self.static_dim if self.deviations else 0)


class FHVAENetwork(Network):
    """Two readers of segments, a decoder, and the vectors of training sequences."""

    betas = (0.95, 0.999)

    def __init__(self, settings: FHVAE, spec: DataSpec) -> None:
        super().__init__()
        self.settings, self.spec, self.stride = settings, spec, settings.window
        static, dynamic, hidden = settings.static_dim, settings.dynamic_dim, settings.hidden_dim
        layers, filters, floor = settings.layers, settings.filters, settings.scale_floor
        self.front = SegmentFront(spec, self.stride, settings.feature_dim, filters)
        self.static = SegmentReader(self.front.width, hidden, layers, static)
        self.dynamic = SegmentReader(self.front.width + static, hidden, layers, dynamic)
        self.decoder = SegmentDecoder(spec, self.stride, dynamic + static, hidden, layers, filters, floor)
        start_loud(self)
        start_certain(self)
        self.table = RowTable(static)
        self.closed_form = settings.centers == "table"

    def prepare(self, everything: Batch, generator: torch.Generator) -> None:
        """Give each training sequence its row of the table."""
        self.table.allot(len(everything), generator)

    def conclude(self, batches: Iterable[Batch]) -> None:
        """Clear the table: codes of known and of new sequences are found in the same way."""
        self.table.allot(0)

    def encode(self, batch: Batch) -> Posterior:
        """mu2, a point, and the posterior of z1 for the mean z2."""
        segments, q2, mu2 = self._read(batch)
        z2 = self._filled(q2.mean, mu2, segments)
        dynamic = self.dynamic(segments, z2)
        if self.settings.deviations:
            around = Gaussian(z2 - mu2.unsqueeze(1), q2.logvar)
            dynamic = dynamic.map(lambda *both: torch.cat(both, dim=-1), around)
        return Posterior(Gaussian(mu2), dynamic, segments.lengths)

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> Factors:
        """mu2, and a sample of z1 given a sample of z2."""
        segments, q2, mu2 = self._read(batch)
        z2 = self._filled(q2.sample(generator), mu2, segments)
        z1 = self.dynamic(segments, z2).sample(generator)
        dynamic = torch.cat([z1, z2 - mu2.unsqueeze(1)], dim=-1) if self.settings.deviations else z1
        return Factors(mu2, dynamic, segments.lengths)

    def decode(self, factors: Factors) -> Tensor:
        """(batch, segments * window, *features): the mean observation, zero on padding."""
        z1, around = factors.dynamic.tensor_split([self.settings.dynamic_dim], dim=-1)
        z2 = factors.static.unsqueeze(1).expand(-1, z1.shape[1], -1)
        z2 = z2 + around if self.settings.deviations else z2
        return observed_means(self._observe(z1, z2, factors.lengths), factors, self.stride)

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """mu2 and z1 from N(0, I), deviations from N(0, 0.25 I); segments know nothing of each other."""
        (static_dim, dynamic_dim), device = self.settings.code_dims, device_of(self)
        static = torch.randn(n, static_dim, generator=generator, device=device)
        dynamic = torch.randn(n, length, dynamic_dim, generator=generator, device=device)
        dynamic[..., self.settings.dynamic_dim :] *= math.sqrt(VARIANCE)
        return Factors(static, torch.zeros_like(dynamic) if mean else dynamic)

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The loss of the class's Notes."""
        settings, generator = self.settings, progress.generator
        if self.training and settings.offsets:
            batch = shifted(batch, self.stride, generator)
        segments, q2, best = self._read(batch)
        centers, own = self._centers(best, batch)
        mu2, readable = centers[own], readable_segments(segments)
        z2 = self._filled(q2.sample(generator), mu2, segments)
        q1 = self.dynamic(segments, z2)
        codes = Factors(mu2, q1.sample(generator), segments.lengths)

        observation = self._observe(codes.dynamic, z2, codes.lengths)
        if image := observation.scale is None:
            observation = Observation(observation.mean[:, : batch.x.shape[1]])
        error = reconstruction_error(observation, batch if image else by_value(batch))
        p2 = Gaussian(mu2.unsqueeze(1).expand_as(z2), torch.full_like(z2, math.log(VARIANCE)))
        log_mu2 = -0.5 * (mu2.square() + math.log(2 * math.pi)).sum(-1)
        terms = LossTerms().add("reconstruction", error.mean(), 0.5 / settings.image_scale**2 if image else 1.0)
        terms.add("kl_static", (kl_gaussian(q2, p2) * readable).sum(1).mean(), settings.beta)
        terms.add("prior_static", -log_mu2.mean(), settings.beta)
        terms.add("kl_dynamic", (kl_standard(q1) * codes.valid()).sum(1).mean(), settings.beta)
        if settings.contrast_weight > 0:
            surprise = confusion(q2.mean, centers, own)
            terms.add("contrast_static", (surprise * readable).sum(1).mean(), settings.contrast_weight)
        return terms

    def _read(self, batch: Batch) -> tuple[Features, Gaussian, Tensor]:
        """Segments, the posterior of their z2, and the most likely mu2."""
        segments = self.front(batch)
        q2 = self.static(segments)
        return segments, q2, most_likely(q2.mean, readable_segments(segments))

    def _filled(self, z2: Tensor, mu2: Tensor, segments: Features) -> Tensor:
        """z2 of all segments; mu2 where nothing can be read."""
        return torch.where(readable_segments(segments).unsqueeze(-1), z2, mu2.unsqueeze(1))

    def _centers(self, best: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """All mu2 to compare with, and which of them belongs to each sequence."""
        if self.training and len(self.table) and batch.index is not None:
            return self.table.rows, batch.index
        return best, torch.arange(len(batch), device=best.device)

    def _observe(self, z1: Tensor, z2: Tensor, lengths: Tensor | None) -> Observation:
        valid = None if lengths is None else Factors(z2[:, 0], z1, lengths).valid()
        observation: Observation = self.decoder(torch.cat([z1, z2], dim=-1), valid)
        return observation


def _timit(batch: int = 16, **values: Any) -> dict[str, Any]:
    values |= {"hidden_dim": 256, "training": Training(max_epochs=200, batch_size=batch)}
    return {"static_dim": 32, "dynamic_dim": 32, "window": 20, "contrast_weight": 10.0, **values}


# The papers count steps (2,000 or 5,000 of 256 segments an epoch) and stop early; the number of passes is ours.
PAPER: dict[str, dict[str, Any]] = {"timit": _timit(centers="table", offsets=True)}
COMPARED = {"timit": PAPER["timit"] | {"static_dim": 16, "dynamic_dim": 16, "contrast_weight": 0.0}}
# K = 2,000 utterances in the paper, of which parts make a batch; here they are one batch.
REFERENCE = {"timit": _timit(batch=64, layers=2, offsets=True)}


def _ours(window: int, batch: int, epochs: int, **values: Any) -> dict[str, Any]:
    sizes = {"static_dim": 8, "dynamic_dim": 8, "hidden_dim": 32}
    return {**sizes, "window": window, "training": Training(max_epochs=epochs, batch_size=batch), **values}


_VIDEO = {"static_dim": 64, "dynamic_dim": 32, "hidden_dim": 256, "feature_dim": 128, "filters": 64}
# Not published, and not tuned.
OURS: dict[str, dict[str, Any]] = {
    "sprites": _ours(window=4, batch=64, epochs=300, **_VIDEO),
    "mug": _ours(window=5, batch=16, epochs=300, **_VIDEO),
    "mortality": _ours(window=4, batch=20, epochs=50),
    "icu-unit": _ours(window=4, batch=20, epochs=50),
    "air-quality": _ours(window=24, batch=10, epochs=200),
}
