"""Jester hand gestures: a person before a webcam makes a gesture (dynamic). The user supplies the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._cache import file_stamps
from seqdis.datasets._images import decoded, resized
from seqdis.datasets._jester_lists import GESTURES, Clip, Listed, find_clips, read_lists
from seqdis.datasets._mapped import mapped
from seqdis.datasets._splits import random_parts, shares_of
from seqdis.errors import DataError, SettingsError, unknown_name
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.sequences import DataSpec, FactorSpec, Sequences

_PREPARATION = 2  # raise when the code below changes what comes out of it


@hyperparameters
class Jester(SequenceDataset):
    """Hand gestures of the 20BN-Jester data set, version 1, from a copy of your own.

    Parameters
    ----------
    size : int
        Height and width of a frame in pixels.
    length : int
        Frames of a sequence: every so many of a clip, from its first one on, as its frames divided by `length`,
        rounded down.
    gestures : tuple of str
        Which of the 27; those of the papers by default. Empty: all. Their order does not matter.
    fit : "crop" or "stretch"
        Take the middle square of each frame, or the whole frame with its sides scaled to `size` each.
    valid : float
        Share of the official training list in the part "valid", of each gesture alike; 0 leaves it out.
    split_seed : int
        Chooses these clips.
    complete : bool
        Refuse a copy in which clips that are listed have no folder, or fewer frames than `length`. Else these are
        left out, with a warning.
    root : str or None
        Folder that holds lists and clips, in ``jester/`` or directly. None: ``jester/`` in ``SEQDIS_DATA``, else in
        the user's cache folder.

    Raises
    ------
    SettingsError
        From `split`: gestures that do not exist, or are named twice.
    DataError
        From `split`: no lists, or wrong ones; clips that are missing or too short; a gesture without clips in some
        part; a frame that cannot be read; OpenCV is not installed.

    Notes
    -----
    Frames are uint8 of shape (n, length, 3, size, size), red, green, blue. "gesture" is the only factor, one label for
    the sequence, by the alphabet. Who is in a clip is not published: there is no static factor, and people of
    "valid" may be in training too.

    Lists: ``jester-v1-train.csv`` and ``jester-v1-validation.csv`` as first published, ``train.csv`` and
    ``validation.csv`` of the later package of labels (all with lines ``34870;Drumming Fingers``), or ``Train.csv`` and
    ``Validation.csv`` with a header that names the columns ``video_id`` (or ``id``) and ``label``. They are sought in
    the folder, its ``annotations/``, ``labels/`` and ``20bn-jester-download-package-labels/labels/``.

    Clips: folders named by their number, in ``20bn-jester-v1/``, ``Train/`` and ``Validation/``, ``rawframes/``, or
    beside the lists. Their frames are images whose whole name is a number (``00001.jpg``), in that order; numbers may
    have gaps. Other files are passed over, the list of test clips too, which has no labels.

    Papers state the five gestures, ten frames and the step between them. A clip of 37 frames thus gives those at 0, 3,
    ..., 27, and its end is not seen. They state neither size nor split: here "test" is the official validation list,
    and frames, which are 100 pixels high and mostly wider, are 64 x 64 by default. Which clips are in "valid" does not
    depend on the other gestures, nor on which clips a copy holds.

    Five gestures are some 25,000 sequences. Prepared frames, about 3 GB, are kept in the cache folder; they are made
    again when names, sizes or dates of the chosen images change.

    References
    ----------
    Materzynska et al., The Jester Dataset, ICCV Workshops 2019. Naiman et al. (SPYL), ICML 2023, appendix.

    Examples
    --------
    >>> Jester(gestures=("Thumb Up", "Thumb Down")).length
    10
    """

    name: ClassVar[str] = "jester"
    licence: ClassVar[str] = "Qualcomm's data license agreement, for research; not to be passed on"
    source: ClassVar[str] = "https://www.qualcomm.com/developer/software/jester-dataset"
    citation: ClassVar[str] = """@inproceedings{materzynska2019jester,
  title     = {The {J}ester Dataset: A Large-Scale Video Dataset of Human Gestures},
  author    = {Materzynska, Joanna and Berger, Guillaume and Bax, Ingo and Memisevic, Roland},
  booktitle = {IEEE/CVF International Conference on Computer Vision Workshops (ICCVW)},
  pages     = {2874--2882},
  year      = {2019}
}"""
    modality: ClassVar[str] = "video"

    size: int = hyper(default=64, at_least=8, at_most=512)
    length: int = hyper(default=10, at_least=1)
    gestures: tuple[str, ...] = (
        "Pushing Hand Away",
        "Rolling Hand Forward",
        "Shaking Hand",
        "Sliding Two Fingers Left",
        "Sliding Two Fingers Right",
    )
    fit: Literal["crop", "stretch"] = "crop"
    valid: float = hyper(default=0.1, at_least=0, at_most=0.9)
    split_seed: int = hyper(default=0, at_least=0)
    complete: bool = True
    root: str | None = hyper(default=None, identity=False)

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        gestures, folder = self._gestures(), self.location()
        parts = self._divide(gestures, *read_lists(folder))
        clips = find_clips(folder, parts, self.length, complete=self.complete)
        for part, some in clips.items():
            _require(gestures, part, [clip.gesture for clip in some], "of which all frames are there")
        chosen = [clip for some in clips.values() for clip in some]
        shape = (len(chosen), self.length, 3, self.size, self.size)
        frames = (frame for clip in chosen for frame in clip.frames)
        key = file_stamps(frames, f"{_PREPARATION} {self.size} {self.fit}")[:32]
        x = mapped(self.name, key, shape, lambda: self._frames(chosen))
        everything = _sequences(x, chosen, gestures)
        ends = np.cumsum([len(some) for some in clips.values()])
        return {  # slices, not rows: parts stay views of the file
            part: replace(everything[end - len(some) : end], name=f"{self.name}/{part}")
            for (part, some), end in zip(clips.items(), ends, strict=True)
        }

    def _gestures(self) -> tuple[str, ...]:
        """Those of the settings, by the alphabet."""
        for name in self.gestures:
            if name not in GESTURES:
                raise SettingsError(f"Jester.gestures: {unknown_name('gesture', name, GESTURES)} Empty: all.")
            if self.gestures.count(name) > 1:
                raise SettingsError(
                    f"Jester.gestures: '{name}' is named {self.gestures.count(name)} times; name it once."
                )
        return tuple(name for name in GESTURES if not self.gestures or name in self.gestures)

    def _divide(self, gestures: Sequence[str], train: Listed, test: Listed) -> dict[str, Listed]:
        """Listed clips of every part. Drawn for each gesture alone, and before a look at which clips are there."""
        for part, listed in (("train", train), ("test", test)):
            _require(gestures, part, list(listed.values()), "in its list")
        shares = shares_of("Jester", self.valid, 0)
        parts: dict[str, Listed] = {part: {} for part in shares}
        for gesture in gestures:
            numbers = [number for number, made in train.items() if made == gesture]
            seed = [self.split_seed, GESTURES.index(gesture)]
            for part, rows in random_parts(len(numbers), shares, seed, f"clips of '{gesture}'").items():
                parts[part] |= {numbers[row]: gesture for row in rows.tolist()}
        parts["test"] = {number: gesture for number, gesture in test.items() if gesture in gestures}
        return {part: dict(sorted(listed.items())) for part, listed in parts.items()}

    def _frames(self, clips: Sequence[Clip]) -> Iterator[npt.NDArray[np.uint8]]:
        for clip in clips:
            yield np.stack([resized(decoded(Path(frame)), self.size, self.fit) for frame in clip.frames])[None]


def _require(gestures: Sequence[str], part: str, there: Sequence[str], where: str) -> None:
    """Refuse a part without clips of one of the gestures: no score on it would mean what it says."""
    absent = sorted(set(gestures) - set(there))
    if absent:
        raise DataError(
            f"Jester: the part {part} has no clip of {', '.join(map(repr, absent))} {where}. Complete the copy, or "
            "name other gestures."
        )


def _sequences(x: npt.NDArray[np.uint8], clips: Sequence[Clip], gestures: tuple[str, ...]) -> Sequences:
    factors = (FactorSpec(name="gesture", kind="dynamic", classes=gestures),)
    return Sequences(
        x=x,
        spec=DataSpec(kind="image", shape=x.shape[2:], length=x.shape[1], scale=(255.0,), factors=factors),
        labels={"gesture": np.array([gestures.index(clip.gesture) for clip in clips])},
        ids=np.array([str(clip.number) for clip in clips]),
    )
