"""SHELF: published evaluations. One file is one entry; add its import line here."""

from seqdis.protocols._base import Protocol
from seqdis.protocols._label import LabelProtocol
from seqdis.protocols._regression import WindowRegression
from seqdis.protocols.calendar_month import CalendarMonth
from seqdis.protocols.conditional_generation import ConditionalGeneration
from seqdis.protocols.daily_rain import DailyRain
from seqdis.protocols.generation_leakage import GenerationLeakage
from seqdis.protocols.icu_unit import ICUUnit
from seqdis.protocols.imputation import Imputation
from seqdis.protocols.latent_leakage import LatentLeakage
from seqdis.protocols.mortality import Mortality
from seqdis.protocols.oil_temperature import OilTemperature
from seqdis.protocols.reconstruction import Reconstruction
from seqdis.protocols.reencode_swap import ReencodeSwap
from seqdis.protocols.series_leakage import SeriesLeakage
from seqdis.protocols.speaker_verification import SpeakerVerification
from seqdis.protocols.swap_fidelity import SwapFidelity

__all__ = [
    "CalendarMonth",
    "ConditionalGeneration",
    "DailyRain",
    "GenerationLeakage",
    "ICUUnit",
    "Imputation",
    "LabelProtocol",
    "LatentLeakage",
    "Mortality",
    "OilTemperature",
    "Protocol",
    "Reconstruction",
    "ReencodeSwap",
    "SeriesLeakage",
    "SpeakerVerification",
    "SwapFidelity",
    "WindowRegression",
]
