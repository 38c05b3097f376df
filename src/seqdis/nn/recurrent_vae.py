"""What DSVAE, S3VAE, C-DSVAE and SPYL share beside their bound: a codec, recurrent heads, and how both start."""

from __future__ import annotations

from typing import Protocol

from seqdis.factors import Posterior
from seqdis.nn.codec import Codec, CodecSettings, codec_of
from seqdis.nn.heads import initialise_like_dcgan, start_certain
from seqdis.nn.recurrent import RecurrentHeads, start_loud
from seqdis.nn.sequence_vae import SequenceVAE
from seqdis.sequences import Batch, DataSpec


class RecurrentSettings(CodecSettings, Protocol):
    """What such a method must say of itself."""

    static_dim: int
    dynamic_dim: int
    hidden_dim: int


class RecurrentVAE(SequenceVAE[Codec]):
    """A sequence VAE whose posteriors read all elements of a sequence by `RecurrentHeads`."""

    def __init__(self, settings: RecurrentSettings, spec: DataSpec) -> None:
        static, dynamic, hidden = settings.static_dim, settings.dynamic_dim, settings.hidden_dim
        super().__init__(spec, codec_of(settings, spec, static + dynamic), static, dynamic, hidden)
        self.heads = RecurrentHeads(settings.feature_dim, hidden, static, dynamic)

    def start(self, released: bool = False) -> None:
        """Initial weights: loud LSTMs and small posterior variances, or those of released code for video."""
        if released:
            initialise_like_dcgan(self)
        else:
            start_loud(self)
            start_certain(self.heads)

    def encode(self, batch: Batch) -> Posterior:
        """Posteriors of both codes."""
        posterior: Posterior = self.heads(self.body.elements(batch))
        return posterior
