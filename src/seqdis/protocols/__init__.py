"""SHELF: published evaluations. One file is one entry; add its import line here."""

from seqdis.protocols._base import LabelProtocol, Protocol
from seqdis.protocols.icu_unit import ICUUnit
from seqdis.protocols.latent_leakage import LatentLeakage
from seqdis.protocols.mortality import Mortality
from seqdis.protocols.swap_fidelity import SwapFidelity

__all__ = ["ICUUnit", "LabelProtocol", "LatentLeakage", "Mortality", "Protocol", "SwapFidelity"]
