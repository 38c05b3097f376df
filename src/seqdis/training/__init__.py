"""The training loop."""

from seqdis.training.settings import Training

__all__ = ["Training"]
