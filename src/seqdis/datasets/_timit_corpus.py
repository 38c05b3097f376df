"""The TIMIT corpus as it lies in a copy: utterances, speakers of each part, and phones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqdis.errors import DataError

# testset.doc of the corpus: two men and a woman of each dialect region.
_CORE_TEST = (
    "mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 "
    "mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0"
)
# The customary 50 speakers of the complete test set for development (Halberstadt, PhD thesis, MIT 1998).
_DEVELOPMENT = (
    "faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0 mglb0 "
    "mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0 mrcs0 mrjm4 "
    "fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1"
)
CORE_TEST, DEVELOPMENT = frozenset(_CORE_TEST.split()), frozenset(_DEVELOPMENT.split())
SPEAKERS = {"train": 462, "development": len(DEVELOPMENT), "test": len(CORE_TEST)}
SENTENCES = 8  # of each speaker: five SX and three SI

# Phones that are one class in the customary 39 (Lee and Hon, IEEE TASSP 1989); "q" belongs to none.
_FOLDED = {
    "aa": "ao", "ah": "ax ax-h", "er": "axr", "hh": "hv", "ih": "ix", "l": "el", "m": "em", "n": "en nx", "ng": "eng",
    "sh": "zh", "sil": "bcl dcl gcl pcl tcl kcl pau epi h#", "uw": "ux",
}  # fmt: skip
_ALONE = "ae aw ay b ch d dh dx eh ey f g iy jh k ow oy p r s t th uh v w y z"
PHONES = tuple(sorted([*_FOLDED, *_ALONE.split()]))
_PHONE_OF = {phone: code for code, phone in enumerate(PHONES)} | {
    other: PHONES.index(phone) for phone, others in _FOLDED.items() for other in others.split()
}
_FILE = re.compile(r"(s[xi]\d+)\.(?:wav|sph|flac)(?:\.wav)?", re.IGNORECASE)


class Utterance(NamedTuple):
    """One sentence of one speaker. ``part`` is "train", "development" or "test"; names are in lower case."""

    part: str
    dialect: int
    speaker: str
    sentence: str
    path: Path

    @property
    def name(self) -> str:
        """Like ``dr1/fcjf0/sx127``."""
        return f"dr{self.dialect}/{self.speaker}/{self.sentence}"


def find_utterances(folder: Path) -> list[Utterance]:
    """SX and SI sentences of the three parts, one part after the other; other test speakers are left out.

    Raises
    ------
    DataError
        No such folder, or no utterance of one of the parts in it.
    """
    found: dict[str, Utterance] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        name = _FILE.fullmatch(path.name)
        parts = [part.lower() for part in path.relative_to(folder).parts]
        if name and len(parts) >= 4 and parts[-4] in ("train", "test") and re.fullmatch(r"dr[1-8]", parts[-3]):
            part = _part(parts[-4], parts[-2])
            utterance = Utterance(part, int(parts[-3][2]), parts[-2], name[1].lower(), path)
            found.setdefault(utterance.name, utterance)  # some copies hold each file in two formats
    chosen = [utterance for part in SPEAKERS for utterance in found.values() if utterance.part == part]
    missing = set(SPEAKERS) - {utterance.part for utterance in chosen}
    if missing:
        raise DataError(
            f"TIMIT: {folder} holds no utterances of {', '.join(sorted(missing))} speakers in folders such as "
            "TRAIN/DR1/FCJF0/SX127.WAV (upper or lower case). The corpus is sold by the Linguistic Data Consortium "
            "(LDC93S1); set SEQDIS_DATA (or root=) to the folder that contains timit/."
        )
    return chosen


def require_complete(utterances: Sequence[Utterance]) -> None:
    """Refuse a copy in which speakers or sentences are missing.

    Raises
    ------
    DataError
        With what was found of which part.
    """
    for part, speakers in SPEAKERS.items():
        some = [utterance for utterance in utterances if utterance.part == part]
        found = len({utterance.speaker for utterance in some})
        if (found, len(some)) != (speakers, speakers * SENTENCES):
            raise DataError(
                f"TIMIT: this copy has {len(some)} SX and SI sentences of {found} {part} speakers; expected "
                f"{speakers * SENTENCES} of {speakers}. Complete it, or use complete=False: scores are then not "
                "comparable with published ones."
            )


def phones_at(utterance: Utterance, samples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """Class in `PHONES` of what is said at these samples, -1 where that is none; None without a ``.PHN`` file.

    Raises
    ------
    DataError
        A file of phones that cannot be read, or an unknown phone.
    """
    stem = utterance.path.name.partition(".")[0]
    files = [path for path in map(utterance.path.with_name, (f"{stem}.PHN", f"{stem}.phn")) if path.is_file()]
    if not files:
        return None
    try:
        lines = [line.split() for line in files[0].read_text().splitlines() if line.strip()]
        starts, ends = (np.array([int(line[column]) for line in lines]) for column in (0, 1))
        codes = np.array([-1 if line[2].lower() == "q" else _PHONE_OF[line[2].lower()] for line in lines])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DataError(
            f"{files[0]}: no table of phones that can be read ({error!r}); expected lines like '0 2260 h#'."
        ) from error
    row = (np.searchsorted(starts, samples, side="right") - 1).clip(0)
    return np.where((samples >= starts[row]) & (samples < ends[row]), codes[row], -1)


def _part(folder: str, speaker: str) -> str:
    if folder == "train":
        return "train"
    return "test" if speaker in CORE_TEST else "development" if speaker in DEVELOPMENT else "unused"
