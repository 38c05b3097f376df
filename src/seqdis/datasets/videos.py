"""Videos of the user: a folder of video files, or of folders of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._splits import random_parts, shares_of
from seqdis.datasets._video_files import VIDEOS, read_labels, read_video, videos_in
from seqdis.errors import DataError, SettingsError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.labels import codes, factor_of
from seqdis.sequences import DataSpec, Sequences


@hyperparameters
class VideoFolder(SequenceDataset):
    """Videos from one folder, divided at random into train, valid and test.

    Parameters
    ----------
    path : str
        Folder that holds video files (.mp4, .avi, .mov, .mkv, .m4v, .webm, .gif), or folders of images, one for each
        video, whose names end in the number of the frame.
    labels : str
        Table (``.csv``) of known factors, or empty: a column ``file`` with the name of each video, and
        one column for each factor, numbers or words. Looked for in `path` first.
    dynamic : tuple of str
        Label columns about what changes in a video (an action); all others are about what stays.
    size : int
        Height and width of the frames in pixels. Videos may be of different sizes.
    fit : "crop" or "stretch"
        Take the middle square of each frame, or the whole frame with its sides scaled to `size` each.
    length : int
        Frames of a sequence. A video gives as many whole sequences as fit, one after the other; a
        shorter one is padded. 0: each video is one sequence, all padded to the longest.
    stride : int
        Take every so many frames.
    valid, test : float
        Share of the videos in those parts; 0 leaves a part out.
    split_seed : int

    Raises
    ------
    SettingsError
        From `split`: columns named in `dynamic` that are not there; parts that leave nothing for train.
    DataError
        From `split`: no folder, no videos, videos or labels that cannot be read, OpenCV is not installed.

    Notes
    -----
    Frames are uint8 of shape (n, length, 3, size, size), red, green, blue. Sequences of one video are never in
    two parts. Everything is decoded at every start and held in memory: 12 kB a frame at size 64.

    Examples
    --------
    >>> VideoFolder(path="myvideos", labels="labels.csv", length=8, stride=2).size
    64
    """

    name: ClassVar[str] = "videos"
    licence: ClassVar[str] = "as stated by the owner of the videos"
    source: ClassVar[str] = "a folder of the user"
    citation: ClassVar[str] = ""
    modality: ClassVar[str] = "video"

    path: str = hyper(default="", identity=False)  # the fingerprint of the content identifies a run
    labels: str = hyper(default="", identity=False)
    dynamic: tuple[str, ...] = ()
    size: int = hyper(default=64, at_least=8, at_most=512)
    fit: Literal["crop", "stretch"] = "crop"
    length: int = hyper(default=16, at_least=0)
    stride: int = hyper(default=1, at_least=1)
    valid: float = hyper(default=0.1, at_least=0, at_most=0.9)
    test: float = hyper(default=0.1, at_least=0, at_most=0.9)
    split_seed: int = hyper(default=0, at_least=0)

    @staticmethod
    def readable(folder: Path) -> bool:
        """Whether a folder holds videos or folders of images."""
        return bool(videos_in(folder))

    def whole(self) -> Sequences:
        """All sequences of the folder, undivided."""
        return self._read()

    def _splits(self) -> Mapping[str, Sequences]:
        shares = shares_of("VideoFolder", self.valid, self.test)
        sequences = self._read()
        video = np.asarray(sequences.groups)
        parts = random_parts(int(video[-1]) + 1, shares, self.split_seed, "videos")
        return {
            part: replace(sequences[np.isin(video, videos)], name=f"{sequences.name}/{part}")
            for part, videos in parts.items()
        }

    def _read(self) -> Sequences:
        """All sequences; their groups are the numbers of the videos that they are from, ascending."""
        validate(self)
        folder = Path(self.path).expanduser()
        if not self.path or not folder.is_dir():
            raise DataError(f"VideoFolder.path = '{self.path}': there is no such folder.")
        files = videos_in(folder)
        if not files:
            raise DataError(
                f"{folder.absolute()} holds no videos: expected files ending in {', '.join(VIDEOS)}, or folders "
                "of images."
            )
        labels = self._labels(folder, files)
        pieces, video, ids = [], [], []
        for number, file in enumerate(files):
            for start, piece in self._cut(read_video(file, self.size, self.stride, self.fit)):
                pieces.append(piece)
                video.append(number)
                ids.append(file.name if self.length == 0 else f"{file.name}@{start * self.stride}")
        rows = np.array(video)
        per_row = {name: values[rows] for name, values in labels.items()}
        return replace(self._sequences(pieces, per_row, np.array(ids), folder.absolute().name), groups=rows)

    def _cut(self, frames: npt.NDArray[np.uint8]) -> list[tuple[int, npt.NDArray[np.uint8]]]:
        """Pieces and their first frames: as many whole ones as fit, one at least."""
        if self.length == 0 or len(frames) <= self.length:
            return [(0, frames)]
        starts = range(0, len(frames) - self.length + 1, self.length)
        return [(start, frames[start : start + self.length]) for start in starts]

    def _labels(self, folder: Path, files: list[Path]) -> dict[str, npt.NDArray[Any]]:
        if not self.labels:
            known: dict[str, npt.NDArray[Any]] = {}
        else:
            table = Path(self.labels).expanduser()
            names = [file.name for file in files]
            known = read_labels(folder / table if (folder / table).is_file() else table, names)
        unknown = [column for column in self.dynamic if column not in known]
        if unknown:
            raise SettingsError(
                f"VideoFolder.dynamic: no label column {', '.join(unknown)}; there are: {', '.join(known) or 'none'}."
            )
        return known

    def _sequences(
        self, pieces: list[npt.NDArray[np.uint8]], labels: dict[str, npt.NDArray[Any]], ids: npt.NDArray[Any], name: str
    ) -> Sequences:
        lengths = np.array([len(piece) for piece in pieces])
        longest = self.length or int(lengths.max())
        x = np.zeros((len(pieces), longest, 3, self.size, self.size), dtype=np.uint8)
        for row, piece in zip(x, pieces, strict=True):
            row[: len(piece)] = piece
        factors = [factor_of(factor, values) for factor, values in labels.items()]
        factors = [replace(factor, kind="dynamic") if factor.name in self.dynamic else factor for factor in factors]
        return Sequences(
            x=x,
            spec=DataSpec(kind="image", shape=x.shape[2:], length=longest, scale=(255.0,), factors=tuple(factors)),
            lengths=lengths if (lengths < longest).any() else None,
            labels={factor: codes(values) for factor, values in labels.items()},
            ids=ids,
            name=name,
        )
