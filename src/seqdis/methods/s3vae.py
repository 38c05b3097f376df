"""S3VAE: a sequence VAE that is supervised by what its input tells of itself."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import triplet_margin_loss

from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Factors, Gaussian, Posterior
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms, mutual_information
from seqdis.nn import augment
from seqdis.nn.elements import Features, require_two_elements
from seqdis.nn.motion_labels import label_shape, motion_labels, prediction_error
from seqdis.nn.network import Progress
from seqdis.nn.recurrent import over_time
from seqdis.nn.recurrent_vae import RecurrentVAE
from seqdis.sequences import Batch, DataSpec
from seqdis.training.settings import Training


@hyperparameters
class S3VAE(Disentangler):
    """Self-supervised sequential VAE: the order of elements must not matter to one code, and motion to the other.

    The evidence bound of DSVAE and three signals that cost nothing: the static code of a sequence is nearer to that of
    the same elements in another order than to that of another sequence; a dynamic code tells a cheap
    label of the motion at its element; and the two share little information. Not to be confused with C-DSVAE, which
    compares views of both codes and predicts nothing.

    Parameters
    ----------
    static_dim, dynamic_dim
        Sizes of the two codes.
    labels
        What dynamic codes are to tell. "auto": of images which cells of a 3 x 3 grid change most, of spectrograms
        whether a frame is loud, of series whether each feature falls, stays or rises; see Notes. "none": nothing.
    margin
        By how much another sequence's static code is to be farther away.
    distances
        Between static codes: of "samples", or of "means".
    moving_cells
        Images: how many of the nine cells count as those that change most.
    silent_share
        Spectrograms: share of a sequence's frames that counts as silent.
    reconstruction_weight, static_weight, dynamic_weight
        Weights of the parts of the bound: reconstruction, KL of the static and of the dynamic codes.
    consistency_weight, prediction_weight, mutual_weight
        Weights of static consistency, of the prediction of labels, and of ``I(s; d)``. At 0 a term is left out.
    hidden_dim
        Width of the recurrent heads and of the prior.
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
    Minimised: ``w R + KL(q(s | x) || N(0, I)) + KL(q(d | x) || p(d)) + a T + b P + c I(s; d)``, each averaged
    over sequences.

    ``T = max(|s - s+| - |s - s-| + margin, 0)``: ``s+`` is a sample of the static posterior of the same elements in
    another order, ``s-`` the sample of another sequence of the batch, any but its own with the same chance. Elements
    are encoded one by one, so those in another order need no second pass through the encoder, and the LSTM
    reads both in one call. A batch of one has no other sequence, hence a term of zero. Of series with a trend, windows
    in another order tell another story; ``consistency_weight=0`` then leaves the term out.

    ``P``: cross-entropy of labels (`seqdis.nn.motion_labels`) that a linear map tells from each sampled dynamic code,
    summed over elements; of series, over features too. **The labels are not the published ones**: differences of frames
    replace optical flow, on faces also the distances between landmarks, and both need no other network; the
    threshold of loudness is taken within each sequence. Of series nothing was published.
    ``I(s; d)``: `seqdis.losses.mutual_information`.

    There is no released code, and the paper's own settings are not known here. The presets called "paper" take the
    sizes of codes and the learning rate that benchmarks share. Margin (1), weights (1000, 100 and 1 beside a
    likelihood of unit variance, ``w`` = 0.5), batches of 16 and 100 epochs are those of a public re-implementation,
    which averages labels over steps: they are summed here, so their weight is divided by the number of steps. It
    averages the likelihood over steps as well, beside KL terms that it sums: here both are summed, as in the bound.

    Other departures from public re-implementations: elements in another order, not sequences; the sign of ``I(s; d)``
    makes it fall; gradients pass from the prior to the codes before and through all three codes of ``T``; the
    first step's prior is learned, not N(0, I); one linear map instead of three in a row, which tell no
    more; one bidirectional LSTM for both posteriors, and the house's encoder, decoder and initial weights, so that
    methods are compared at equal architecture.

    References
    ----------
    Zhu, Min, Kadav, Graf. S3VAE: Self-Supervised Sequential VAE for Representation Disentanglement and Data
    Generation. CVPR 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import S3VAE
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).normal(size=(16, 12, 3))
    >>> static, dynamic = S3VAE(static_dim=4, dynamic_dim=2, training=Training(max_epochs=1)).fit(x).encode(x)
    >>> tuple(static.shape), tuple(dynamic.shape)
    ((16, 4), (16, 3, 2))
    """

    name = "s3vae"
    papers = ("Zhu2020S3VAE",)

    static_dim: int = hyper(default=16, low=8, high=256, log=True, at_least=1)
    dynamic_dim: int = hyper(default=8, low=4, high=64, log=True, at_least=1)
    labels: Literal["auto", "none"] = "auto"
    margin: float = hyper(default=1.0, above=0)
    distances: Literal["samples", "means"] = "samples"
    moving_cells: int = hyper(default=3, at_least=1, at_most=9)
    silent_share: float = hyper(default=0.5, above=0, at_most=0.9)
    reconstruction_weight: float = hyper(default=1.0, low=0.5, high=10.0, log=True, at_least=0)
    static_weight: float = hyper(default=1.0, low=0.1, high=10.0, log=True, at_least=0)
    dynamic_weight: float = hyper(default=1.0, low=0.1, high=10.0, log=True, at_least=0)
    consistency_weight: float = hyper(default=10.0, low=1.0, high=1000.0, log=True, at_least=0)
    prediction_weight: float = hyper(default=10.0, low=1.0, high=100.0, log=True, at_least=0)
    mutual_weight: float = hyper(default=1.0, low=0.1, high=5.0, log=True, at_least=0)
    hidden_dim: int = hyper(default=64, low=32, high=256, log=True, at_least=1)
    feature_dim: int = hyper(default=64, low=16, high=256, log=True, at_least=1)
    filters: int = hyper(default=32, low=16, high=64, log=True, at_least=1)
    window: int = hyper(default=4, low=2, high=24, at_least=1)
    scale_floor: float = hyper(default=0.05, at_least=0, at_most=0.4)
    training: Training = hyper(factory=Training)

    def build(self, spec: DataSpec) -> S3VAENetwork:
        """The network for these data.

        Raises
        ------
        DataError
            Sequences of a single element.
        """
        require_two_elements(spec, self.window)
        return S3VAENetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """ "paper": what benchmarks share, and the weights of a public re-implementation; see Notes."""
        return {"paper": PAPER}


class S3VAENetwork(RecurrentVAE):
    """The sequence VAE with recurrent heads, and a map from dynamic codes to labels."""

    scale: Tensor

    def __init__(self, settings: S3VAE, spec: DataSpec) -> None:
        super().__init__(settings, spec)
        self.settings = settings
        questions, classes = label_shape(spec)
        predicts = settings.labels == "auto" and settings.prediction_weight > 0
        self.predictor = nn.Linear(settings.dynamic_dim, questions * classes) if predicts else None
        # On the device beforehand: labels wait for no copy.
        self.register_buffer("scale", torch.tensor(spec.scale), persistent=False)
        self.start()

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """The bound, and those of the three signals that have a weight."""
        settings, generator = self.settings, progress.generator
        posterior, again = self._posterior(self.body.elements(batch), generator)
        codes = posterior.sample(generator)
        weights = (settings.reconstruction_weight, settings.static_weight, settings.dynamic_weight)
        terms = self.bound(batch, posterior, codes, weights)
        if settings.consistency_weight:
            value = self._consistency(codes.static, posterior.static, again, generator)
            terms.add("static_consistency", value, settings.consistency_weight)
        if self.predictor is not None:
            terms.add("dynamic_prediction", self._prediction(self.predictor, codes, batch), settings.prediction_weight)
        if settings.mutual_weight:
            shared = mutual_information(
                *(codes.static, posterior.static, codes.dynamic, posterior.dynamic),
                None if codes.lengths is None else codes.valid(),
            )
            terms.add("mutual_information", shared, settings.mutual_weight)
        return terms

    def _posterior(self, elements: Features, generator: torch.Generator | None) -> tuple[Posterior, Gaussian | None]:
        """Both posteriors, and where it is compared with, the static one of the same elements in another order."""
        heads, rows = self.heads, len(elements.values)
        if not self.settings.consistency_weight or rows < 2:
            return heads(elements), None
        both = torch.cat([elements.values, augment.shuffled(elements, generator).values])
        lengths = None if elements.lengths is None else elements.lengths.repeat(2)
        states, ends = over_time(heads.both_ways, Features(both, None, lengths))
        static: Gaussian = heads.static(ends)
        # No dynamic code is asked for in the other order.
        dynamic = heads.dynamic(heads.forwards(states[:rows])[0])
        own, again = static.map(lambda moment: moment[:rows]), static.map(lambda moment: moment[rows:])
        return Posterior(own, dynamic, elements.lengths), again

    def _consistency(
        self, codes: Tensor, own: Gaussian, again: Gaussian | None, generator: torch.Generator | None
    ) -> Tensor:
        """The triplet loss of every sequence with itself in another order, and with another one."""
        if again is None:
            return codes.new_zeros(())
        if self.settings.distances == "means":
            anchor, positive = own.mean, again.mean
        else:
            anchor, positive = codes, again.sample(generator)
        rows = torch.arange(len(anchor), device=anchor.device)
        # One turn for all, by 1 to n - 1: no sequence is its own negative.
        turn = torch.randint(1, len(anchor), (1,), generator=generator, device=anchor.device)
        negative = anchor[(rows + turn) % len(anchor)]
        return triplet_margin_loss(anchor, positive, negative, margin=self.settings.margin)

    def _prediction(self, predictor: nn.Linear, codes: Factors, batch: Batch) -> Tensor:
        """Cross-entropy of the labels that the dynamic codes tell."""
        settings = self.settings
        labels = motion_labels(
            *(batch, self.spec.kind),
            window=self.stride,
            cells=settings.moving_cells,
            silent=settings.silent_share,
            scale=self.scale,
        )
        logits = predictor(codes.dynamic).unflatten(-1, label_shape(self.spec))
        return prediction_error(logits, labels).mean()


def _published(dims: tuple[int, int], steps: int) -> dict[str, Any]:
    """``steps`` of a sequence, over which the weight of the labels is divided."""
    weights = {"consistency_weight": 1000.0, "prediction_weight": 100.0 / steps, "mutual_weight": 1.0}
    row: dict[str, Any] = {"static_dim": dims[0], "dynamic_dim": dims[1], "reconstruction_weight": 0.5, **weights}
    training = Training(lr=1e-3, batch_size=16, max_epochs=100)
    return row | {"feature_dim": 128, "hidden_dim": 256, "filters": 64, "training": training}


PAPER: dict[str, dict[str, Any]] = {
    "sprites": _published((256, 32), steps=8),
    "mug": _published((256, 64), steps=15),
    "timit": _published((256, 64), steps=20),
}
