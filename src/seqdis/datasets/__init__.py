"""Data sets: one file is one entry, and its line here puts it on the shelf."""

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets.air_quality import BeijingAirQuality
from seqdis.datasets.air_writing import AirWriting
from seqdis.datasets.etth1 import ETTh1
from seqdis.datasets.faces import FaceSequences
from seqdis.datasets.files import UserFile
from seqdis.datasets.handwritten_words import HandwrittenWords
from seqdis.datasets.jester import Jester
from seqdis.datasets.letters import Letters
from seqdis.datasets.moving_figures import MovingFigures
from seqdis.datasets.mug import MUG
from seqdis.datasets.physionet import PhysioNet2012
from seqdis.datasets.recordings import AudioFolder
from seqdis.datasets.spoken_digits import SpokenDigits
from seqdis.datasets.spoken_words import SpokenWords
from seqdis.datasets.sprites import Sprites
from seqdis.datasets.timit import TIMIT
from seqdis.datasets.toy_melodies import ToyMelodies
from seqdis.datasets.toy_series import ToySeries
from seqdis.datasets.videos import VideoFolder

__all__ = [
    "MUG",
    "TIMIT",
    "AirWriting",
    "AudioFolder",
    "BeijingAirQuality",
    "ETTh1",
    "FaceSequences",
    "HandwrittenWords",
    "Jester",
    "Letters",
    "MovingFigures",
    "PhysioNet2012",
    "SequenceDataset",
    "SpokenDigits",
    "SpokenWords",
    "Sprites",
    "ToyMelodies",
    "ToySeries",
    "UserFile",
    "VideoFolder",
]
