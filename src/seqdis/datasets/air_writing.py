"""Air-writing of 6DMG: words (dynamic) that 18 people (static) wrote in the air with a pointer, as paths in a plane."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from seqdis.datasets._archives import read_members
from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._download import RemoteFile
from seqdis.datasets._splits import Index, group_parts
from seqdis.disk import unreadable
from seqdis.errors import DataError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.inputs import standardised
from seqdis.sequences import Array, DataSpec, FactorSpec, Sequences

FEATURES = ("x", "y", "vx", "vy")
WRITERS = 18
WORDS_EACH = 150  # of one writer: the hundred that all wrote, and fifty of their own
LETTERS = list(ascii_uppercase)
LETTER_COUNTS = ["2", "3", "4"]
_SHARES = {"train": 0.7, "valid": 0.1, "test": 0.2}
_COMMIT = "3205821b2181fd728a373b24f78b2d758b7616e1"
_FOLDER = "data_NP2DuvNV2D"
_INSIDE = f"data_htk/airwriting_spot/truth/{_FOLDER}"  # beside it lies train/ with files of the same names
_NAMES = r"([A-Z]\d)_([A-Z]{2,4})\.htk"
_HEADER = struct.Struct(">iihh")  # frames, period, bytes of a frame, kind
_HTK_USER = 9  # the kind of features that are no speech
_FILE = RemoteFile(
    name=f"6DMG-{_COMMIT}.zip",
    url=f"https://github.com/mingyu623/6DMG/archive/{_COMMIT}.zip",
    also=(
        ("airwriting_words.npz", "75b04e6175ea05550d67b9e9e954e3046bbf6a85b7babc3acae66d5f0ad95306"),
        (_FOLDER, None),
        (_INSIDE, None),
    ),
)
_ARRAYS = {  # kind of each, what that is, and the shape of an entry
    "frames": ("f", "floating-point numbers, (frames, 4)", (len(FEATURES),)),
    "offsets": ("i", "integers, (words + 1,)", ()),
    "writer": ("U", "text, (words,)", ()),
    "text": ("U", "text, (words,)", ()),
}
_DAMAGED = (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


class Recordings(NamedTuple):
    """All words as recorded; word ``i`` is ``frames[offsets[i] : offsets[i + 1]]``."""

    frames: npt.NDArray[np.float32]  # (frames, 4)
    offsets: Index  # (words + 1,)
    writer: npt.NDArray[np.str_]  # (words,)
    text: npt.NDArray[np.str_]  # (words,)


@hyperparameters
class AirWriting(SequenceDataset):
    """Words of two to four capital letters, written in the air in one stroke by 18 people.

    Parameters
    ----------
    words : "common" or "all"
        The 100 words that every writer wrote (1,800 sequences), or besides them 50 of each writer's own, which
        nobody else wrote (2,700 sequences). In the latter the word alone often tells the writer.
    test : "words", "writers" or "sequences"
        What is new in ``test`` and in ``valid``: words that nobody wrote in training, writers, or only recordings.
    every : int
        Frames that are averaged to one step; the last step of a word may have fewer. Of 90 to 772 frames, 8 make 12 to
        97 steps.
    split_seed : int
        Divides words, writers or recordings 70/10/20.
    root : str or None
        Folder that holds the publisher's archive, ``airwriting_words.npz``, the folder ``data_NP2DuvNV2D`` or a clone
        of the repository, or ``airwriting_6dmg/`` with one of them. The first found is read. None: ``SEQDIS_DATA``,
        else the user's cache folder.

    Raises
    ------
    DataError
        From `split`: the data are missing, damaged or altered.

    Notes
    -----
    A step is (x, y, vx, vy), without unit: the publisher centred the positions of each word and divided them by
    the spread of its y, and scaled velocities into -2..2. Place and size are thus gone; the shape of the
    letters and the pace tell the writer. Lengths differ: ``lengths`` counts the steps, zeros follow. The frame rate is
    not recorded. ``spec.center`` and ``spec.scale`` are mean and standard deviation of the training part.

    Sizes of train / valid / test: 1,260 / 180 / 360 for new words or recordings and 1,200 / 200 / 400 for new
    writers (12 / 2 / 4); with all words 1,890 / 270 / 540 and 1,800 / 300 / 600. Words that all wrote and
    words of one writer are divided each by themselves: the common words of a part are the same in both settings.

    Nothing says where a letter ends, so labels are of whole words: "writer", "last_letter", "first_letter",
    "letter_count" and "word". "last_letter" comes first of the dynamic ones, so protocols read it unless told
    otherwise: letters occur again in new words, and codes of unequal length are read by mean, spread and *last* step.
    Of the 100 words few end alike: by default 15 % of ``test`` end in a letter that no training word ends in, with all
    words none. Reading "word" needs common words that training knows: ``test="writers"`` or "sequences". With
    ``test="writers"`` no classifier knows the writers of ``test``: `SpeakerVerification` with ``speaker="writer"``
    compares pairs instead. ``groups`` are what is new: what another test part might give is asked by words or writers.

    Texts are those written; the source cut longer words to four letters. Stands in for `Letters`, whose images are not
    public: scores are not comparable.

    References
    ----------
    Chen, AlRegib, Juang. 6DMG: a new 6D motion gesture database. ACM MMSys, 2012.

    Examples
    --------
    >>> AirWriting(test="writers").every
    8
    """

    name: ClassVar[str] = "air-writing"
    folder_name: ClassVar[str] = "airwriting_6dmg"
    licence: ClassVar[str] = "BSD-2-Clause"
    source: ClassVar[str] = "https://github.com/mingyu623/6DMG"
    citation: ClassVar[str] = """@inproceedings{chen2012sixdmg,
  title     = {{6DMG}: A New {6D} Motion Gesture Database},
  author    = {Chen, Mingyu and AlRegib, Ghassan and Juang, Biing-Hwang},
  booktitle = {Proceedings of the ACM Multimedia Systems Conference (MMSys)},
  pages     = {83--88},
  year      = {2012}
}"""

    words: Literal["common", "all"] = "common"
    test: Literal["words", "writers", "sequences"] = "words"
    every: int = hyper(default=8, at_least=1, at_most=45)  # two steps at least of the shortest word
    split_seed: int = hyper(default=0, at_least=0)
    root: str | None = hyper(default=None, identity=False)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """The publisher's archive, or its words alone, packed or not."""
        return (_FILE,)

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        found = self._recordings()
        _, word, count = np.unique(found.text, return_inverse=True, return_counts=True)
        shared = count[word.reshape(-1)] == WRITERS
        kept = np.flatnonzero(shared) if self.words == "common" else np.arange(len(shared))
        x, lengths = averaged(found.frames, found.offsets, self.every)
        everything = self._sequences(x[kept], lengths[kept], found.writer[kept], found.text[kept])
        rows = self._divide(everything, shared[kept])
        spec = standardised(everything[rows["train"]])
        return {part: replace(everything[some], spec=spec, name=f"{self.name}/{part}") for part, some in rows.items()}

    def _sequences(self, x: Array, lengths: Array, writer: Array, text: Array) -> Sequences:
        codes: dict[str, tuple[list[str], Literal["static", "dynamic"], list[str]]] = {
            "writer": (sorted(set(writer.tolist())), "static", writer.tolist()),
            "last_letter": (LETTERS, "dynamic", [word[-1] for word in text]),
            "first_letter": (LETTERS, "dynamic", [word[0] for word in text]),
            "letter_count": (LETTER_COUNTS, "dynamic", [str(len(word)) for word in text]),
            "word": (sorted(set(text.tolist())), "dynamic", text.tolist()),
        }
        labels = {name: np.searchsorted(classes, values) for name, (classes, _, values) in codes.items()}
        factors = tuple(FactorSpec(name=k, kind=kind, classes=tuple(c)) for k, (c, kind, _) in codes.items())
        shape = x.shape[2:]
        spec = DataSpec(kind="series", shape=shape, length=x.shape[1], feature_names=FEATURES, factors=factors)
        ids = np.array([f"{who}/{what}" for who, what in zip(writer, text, strict=True)])
        groups = {"words": labels["word"], "writers": labels["writer"]}.get(self.test)
        return Sequences(x=x, spec=spec, lengths=lengths, labels=labels, ids=ids, groups=groups)

    def _divide(self, everything: Sequences, shared: npt.NDArray[np.bool_]) -> dict[str, Index]:
        """Ascending rows of each part; words that all wrote, and words of one writer, by themselves."""
        if self.test == "writers":
            return group_parts(everything.labels["writer"], _SHARES, self.split_seed, "writers")
        units = everything.labels["word"] if self.test == "words" else np.arange(len(everything))
        parts = {part: np.empty(0, dtype=np.int64) for part in _SHARES}
        for rows in (np.flatnonzero(shared), np.flatnonzero(~shared)):
            found = group_parts(units[rows], _SHARES, self.split_seed, self.test) if len(rows) else {}
            parts |= {part: np.append(parts[part], rows[some]) for part, some in found.items()}
        return {part: np.sort(rows) for part, rows in parts.items()}

    def _recordings(self) -> Recordings:
        source = self._found(_FILE, "about 25 MB")
        if source.suffix == ".npz":
            return _checked(_from_arrays(source), source)
        members = read_members(source, _NAMES) if source.is_dir() else _archived(source)
        return _checked(_from_members(members, source), source)


def averaged(frames: Array, offsets: Index, every: int) -> tuple[npt.NDArray[np.float32], Index]:
    """Means of every so many frames of each word, padded with zeros, (words, steps, 4), and the steps of each."""
    lengths = -(-np.diff(offsets) // every)
    valid = np.arange(lengths.max()) < lengths[:, None]
    starts = (offsets[:-1, None] + every * np.arange(lengths.max()))[valid]
    count = np.diff(starts, append=len(frames))  # the last step of a word ends where the next word starts
    x = np.zeros((*valid.shape, frames.shape[1]), dtype=np.float32)
    x[valid] = np.add.reduceat(frames.astype(np.float64), starts) / count[:, None]
    return x, lengths


def _from_arrays(path: Path) -> Recordings:
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = list(stored.files)
            arrays: dict[str, npt.NDArray[Any]] = {name: stored[name] for name in _ARRAYS if name in names}
    except _DAMAGED as error:
        # NumPy's own words advise to load it as code; ours do not repeat them.
        cause = error if isinstance(error, OSError) else DataError(type(error).__name__)
        why = ". It is cut short or damaged, or holds Python objects, which are never loaded; get it again."
        raise DataError(unreadable(path, cause, why)) from error
    if len(arrays) < len(_ARRAYS):
        raise DataError(f"{path}: expected arrays {', '.join(_ARRAYS)}; found {', '.join(names)}. Get it again.")
    for name, (kind, words, shape) in _ARRAYS.items():
        given = arrays[name]
        if given.dtype.kind != kind or not given.shape or given.shape[1:] != shape:
            raise DataError(f"{path}: '{name}' is {given.dtype} {given.shape}; expected {words}. Get it again.")
    frames, offsets = arrays["frames"].astype(np.float32), arrays["offsets"].astype(np.int64)
    return Recordings(frames, offsets, arrays["writer"], arrays["text"])


def _archived(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the words in the publisher's archive; of its folders only the one with whole words."""
    try:
        with zipfile.ZipFile(source) as archive:
            for info in archive.infolist():
                above, _, name = info.filename.rpartition("/")
                if above.partition("/")[2] == _INSIDE and re.fullmatch(_NAMES, name):
                    yield name, archive.read(info)
    except _DAMAGED as error:
        raise DataError(unreadable(source, error, ". It is cut short or damaged; get it again.")) from error


def _from_members(members: Iterable[tuple[str, bytes]], source: Path) -> Recordings:
    contents = dict(members)
    if not contents:
        raise DataError(f"{source} holds no words such as C1_ACCO.htk. Get the published files.")
    names = sorted(contents)
    frames = [_frames(name, contents[name], source) for name in names]
    offsets = np.cumsum([0, *map(len, frames)])
    writer, text = zip(*(name.removesuffix(".htk").split("_") for name in names), strict=True)
    return Recordings(np.concatenate(frames), offsets, np.array(writer), np.array(text))


def _frames(name: str, content: bytes, source: Path) -> npt.NDArray[np.float32]:
    """(frames, 4) of one HTK file: a header, then big-endian numbers."""
    width = 4 * len(FEATURES)
    count, _, given, kind = _HEADER.unpack(content[: _HEADER.size].ljust(_HEADER.size, b"\0"))
    if (given, kind, len(content)) != (width, _HTK_USER, _HEADER.size + width * count):
        raise DataError(
            f"{source}: {name} has {len(content)} bytes and states {count} frames of {given}, kind {kind}; expected "
            f"{_HEADER.size} bytes and {width} a frame, kind {_HTK_USER}. It is cut short or altered; get it again."
        )
    return np.frombuffer(content, ">f4", offset=_HEADER.size).reshape(count, len(FEATURES)).astype(np.float32)


def _checked(found: Recordings, source: Path) -> Recordings:
    """The recordings, if they are all there and make sense."""
    frames, offsets, writer, text = found
    n = WRITERS * WORDS_EACH
    if not len(writer) == len(text) == len(offsets) - 1 == n:
        raise DataError(
            f"{source}: found {len(offsets) - 1} words, {len(writer)} writers and {len(text)} texts of them; expected "
            f"{n} of each. It is cut short or another release; get it again."
        )
    if offsets[0] != 0 or offsets[-1] != len(frames) or (np.diff(offsets) < 1).any():
        raise DataError(
            f"{source}: offsets run from {offsets[0]} to {offsets[-1]}; expected them to ascend from 0 to the "
            f"{len(frames)} frames, with a frame of every word. Get it again."
        )
    bad = np.flatnonzero(~np.isfinite(frames).all(axis=1))
    if len(bad):
        raise DataError(f"{source}: {len(bad)} frames hold NaN or infinite values, first frame {bad[0]}. Get it again.")
    strange = [word for word in text if not re.fullmatch("[A-Z]{2,4}", word)]
    if strange:
        raise DataError(f"{source}: {strange[0]} is no word of two to four capital letters. Get it again.")
    names, count = np.unique(writer, return_counts=True)
    pairs = len(set(zip(writer.tolist(), text.tolist(), strict=True)))
    if len(names) != WRITERS or (count != WORDS_EACH).any() or pairs != n:
        raise DataError(
            f"{source}: found {len(names)} writers with {count.min()} to {count.max()} words, {pairs} of {n} of them "
            f"different; expected {WRITERS} with {WORDS_EACH} different words each. Get it again."
        )
    return found
