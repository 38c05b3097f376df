"""MUG facial expressions: a subject (static) shows one of six expressions (dynamic). The user supplies the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._cache import file_stamps
from seqdis.datasets._mapped import mapped
from seqdis.datasets._mug_clips import EXPRESSIONS, Clip, find_clips, read_window, window_starts
from seqdis.errors import SettingsError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.sequences import DataSpec, FactorSpec, Sequences

_PREPARATION = 1  # raise when the code below changes what comes out of it


class _Window(NamedTuple):
    clip: Clip
    start: int
    step: int

    def files(self, length: int) -> tuple[Path, ...]:
        return self.clip.frames[self.start :: self.step][:length]


@hyperparameters
class MUG(SequenceDataset):
    """Facial expressions of the MUG database, from a copy of your own.

    Parameters
    ----------
    size : int
        Height and width of a frame in pixels.
    length, stride : int
        Frames of a sequence, and the step between them in the clip. A clip too short for that step gives
        consecutive frames.
    windows_per_clip : int
        Training sequences of each clip, at different random starts; fewer where the clip has no more.
    crop : "haar" or "none"
        Cut every frame to the largest face that OpenCV's Haar cascade finds, or take its middle square.
    test : float
        Share of the clips in the test part, stratified by subject and expression.
    valid : float
        Share of the other clips in the validation part, stratified alike; 0 leaves it out.
    split_seed : int
        Chooses clips for the parts, and starts of training sequences.
    root : str or None
        Folder that holds the images, in ``mug/`` or directly. None: ``mug/`` in ``SEQDIS_DATA``, else in
        the user's cache folder.

    Raises
    ------
    SettingsError
        From `split`: nothing would be left for training.
    DataError
        From `split`: no images, a clip shorter than `length`, a clip without a face, OpenCV is not installed.

    Notes
    -----
    Images are sought in folders ``subject/expression/take``, at any depth, such as
    ``subjects3/001/anger/take000/img_0000.jpg``, and taken in the order of the number that ends their names. A folder
    ``session0`` or the like, which subjects who came twice have around their expressions, is no subject. Other
    expressions than the six (neutral, mixed) are passed over. Nothing else is removed.

    Published code draws 15 frames anew at every access, in training and test. Here sequences are
    fixed: random starts in training, the middle of the clip in the other parts, so that scores can be
    repeated. Papers do not state the split; released indices fit 75/25. Subjects occur in both
    parts, clips in one.

    A frame in which no face is found is cut like the last one before it with a face, and frames
    before the first face like that one; a clip without any is an error that names it.

    Prepared frames are kept in the cache folder; they are made again when names, sizes or dates of the images change.

    References
    ----------
    Aifanti et al., The MUG Facial Expression Database, WIAMIS 2010. Berman et al. (DBSE), ICML 2024.

    Examples
    --------
    >>> MUG(windows_per_clip=3).length
    15
    """

    name: ClassVar[str] = "mug"
    licence: ClassVar[str] = "by agreement with the MUG group; not to be passed on"
    source: ClassVar[str] = "https://mug.ee.auth.gr/fed/"
    citation: ClassVar[str] = """@inproceedings{aifanti2010mug,
  title     = {The {MUG} Facial Expression Database},
  author    = {Aifanti, Niki and Papachristou, Christos and Delopoulos, Anastasios},
  booktitle = {11th International Workshop on Image Analysis for Multimedia Interactive Services (WIAMIS)},
  pages     = {1--4},
  year      = {2010}
}"""
    modality: ClassVar[str] = "video"

    size: int = hyper(default=64, at_least=8, at_most=512)
    length: int = hyper(default=15, at_least=1)
    stride: int = hyper(default=2, at_least=1)
    windows_per_clip: int = hyper(default=1, at_least=1)
    crop: Literal["haar", "none"] = "haar"
    test: float = hyper(default=0.25, above=0, at_most=0.9)
    valid: float = hyper(default=0.1, at_least=0, at_most=0.9)
    split_seed: int = hyper(default=0, at_least=0)
    root: str | None = hyper(default=None, identity=False)

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        folder = self.location()
        clips = find_clips(folder)
        windows = {part: list(self._windows(part, some)) for part, some in self._divide(clips).items()}
        chosen = [window for some in windows.values() for window in some]
        shape = (len(chosen), self.length, 3, self.size, self.size)
        files = (path for each in chosen for path in each.files(self.length))
        key = file_stamps(files, f"{_PREPARATION} {self.size} {self.crop}")[:32]
        x = mapped(self.name, key, shape, lambda: self._frames(chosen))
        everything = _sequences(x, chosen, tuple(sorted({clip.subject for clip in clips})))
        ends = np.cumsum([len(some) for some in windows.values()])
        return {
            part: replace(everything[end - len(some) : end], name=f"{self.name}/{part}")
            for (part, some), end in zip(windows.items(), ends, strict=True)
        }

    def _divide(self, clips: Sequence[Clip]) -> dict[str, list[Clip]]:
        draw = np.random.default_rng(self.split_seed)
        test = _share(clips, self.test, draw)
        valid = np.zeros(len(clips), dtype=bool)
        valid[~test] = _share([clip for clip, held in zip(clips, test, strict=True) if not held], self.valid, draw)
        of = {"train": ~test & ~valid, "valid": valid, "test": test}
        parts = {part: [clips[row] for row in np.flatnonzero(rows).tolist()] for part, rows in of.items()}
        if not self.valid:
            del parts["valid"]
        empty = [part for part, some in parts.items() if not some]
        if empty:
            raise SettingsError(
                f"MUG.test = {self.test} and valid = {self.valid}: {len(clips)} clips leave none for {empty[0]}. "
                "Change the shares, or set valid to 0."
            )
        return parts

    def _windows(self, part: str, clips: Sequence[Clip]) -> Iterator[_Window]:
        # A stream of its own: other shares or seeds of parts leave the order of these draws alone.
        draw = np.random.default_rng([self.split_seed, 1]) if part == "train" else None
        for clip in clips:
            starts, step = window_starts(clip, self.length, self.stride, draw, self.windows_per_clip)
            yield from (_Window(clip, start, step) for start in starts)

    def _frames(self, windows: Sequence[_Window]) -> Iterator[npt.NDArray[np.uint8]]:
        for window in windows:
            yield read_window(window.clip, window.files(self.length), self.size, self.crop)[None]


def _share(clips: Sequence[Clip], share: float, draw: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Systematic sampling through subjects, their expressions, and clips, all in random order.

    Every subject, and every expression of a subject, gives its share rounded down or up, and all together give
    theirs rounded; an expression with a single clip is no special case.
    """
    subjects = np.unique([clip.subject for clip in clips], return_inverse=True)[1]
    expressions = np.array([clip.expression for clip in clips], dtype=np.int64)
    keys = (draw.permutation(len(EXPRESSIONS))[expressions], draw.permutation(len(clips))[subjects])
    order = np.lexsort((draw.random(len(clips)), *keys))
    # A clock that advances by the share: a clip is taken where it passes a whole number.
    clock = np.floor(np.arange(len(clips) + 1) * share + 0.5 + 1e-9)
    taken = np.zeros(len(clips), dtype=bool)
    taken[order] = np.diff(clock) > 0
    return taken


def _sequences(x: npt.NDArray[np.uint8], windows: Sequence[_Window], subjects: tuple[str, ...]) -> Sequences:
    labels: dict[str, npt.NDArray[Any]] = {
        "subject": np.array([subjects.index(window.clip.subject) for window in windows]),
        "expression": np.array([window.clip.expression for window in windows]),
    }
    factors = (
        FactorSpec(name="subject", kind="static", classes=subjects),
        FactorSpec(name="expression", kind="dynamic", classes=EXPRESSIONS),
    )
    spec = DataSpec(kind="image", shape=x.shape[2:], length=x.shape[1], scale=(255.0,), factors=factors)
    ids = np.array([f"{window.clip.name}@{window.start}" for window in windows])
    return Sequences(x=x, spec=spec, labels=labels, ids=ids)
