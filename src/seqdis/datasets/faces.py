"""Face sequences composed of the CMU face stills: who (static) turns and changes expression how (dynamic)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._download import RemoteFile
from seqdis.datasets._face_stills import (
    COURSES,
    EXPRESSIONS,
    EYES,
    POSES,
    WHITE,
    Stills,
    course_steps,
    read_stills,
    stacked,
)
from seqdis.datasets._hybrids import hybrid_labels
from seqdis.datasets._splits import unseen_combinations
from seqdis.errors import DataError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.sequences import DataSpec, FactorSpec, Sequences

Index = npt.NDArray[np.int64]

_FILE = RemoteFile(
    name="cmu+face+images.zip",
    url="https://archive.ics.uci.edu/static/public/124/cmu+face+images.zip",
    also=(
        ("faces_128x120.zip", "2664ff1ce71cc570f08a850376cfcab8be0d3a10f823f9f38f44b30bc2275e7a"),
        ("faces.tar.gz", None),
        ("faces", None),
    ),
)


@hyperparameters
class FaceSequences(SequenceDataset):
    """Short grey videos composed of photographs of twenty people, with known factors and true hybrids.

    Parameters
    ----------
    variants : int
        Sequences of each person, with and without sunglasses, and course: different timings of the same
        course, or as many as there are.
    complete : bool
        Only people (with or without sunglasses) of whom all 16 stills exist, so that every hybrid does.
    size : int
        Height and width of a frame in pixels.
    length : int
        Frames of a sequence.
    test : float
        Share of the combinations of person and course that only ``test`` contains; it contains no others.
    valid : float
        Likewise for ``valid``, of the combinations that are not for testing; 0 leaves the part out.
    seed : int
        Draws timings and parts.
    root : str or None
        Folder that holds the stills (an archive, or the folder ``faces`` unpacked), or ``cmu_faces/`` with
        them. None: ``SEQDIS_DATA``, else the user's cache folder.

    Raises
    ------
    DataError
        From `split`: no stills, damaged ones, OpenCV is not installed.

    Notes
    -----
    **Composed, not filmed**: stills are shown for some steps each, one after the other. 20 people x 4 poses x 4
    expressions x with or without sunglasses make 640 stills, of which 16 were never usable. A course is a way to
    turn (still, left-right, right-left, nod) with a change from neutral to one expression or none, 15 in all; each
    begins straight and neutral, so that the first frame tells nothing about it. The timing is drawn.
    "pose" and "expression" are labels of every step, "course" of the sequence.

    With ``complete`` 29 of the 40 pairs of person and sunglasses are left (19 people; one has gaps in both).
    Without it, all are used; sequences that need a missing still are left out, and `hybrid`
    refuses pairs whose hybrid needs one.

    No sequence is in two parts, as person and course differ; single stills are: nearly every still of
    the test part stands somewhere in training. Background and clothing tell the person too.

    Values are those of the files, 0 to 159; networks see value / 160. The middle 120 x 120 pixels are
    averaged over areas. Scores are not comparable with those on MUG.

    References
    ----------
    Mitchell, Machine Learning, McGraw Hill 1997, chapter 4. UCI Machine Learning Repository, CMU Face Images, 1999.

    Examples
    --------
    >>> FaceSequences(variants=2).length
    8
    """

    name: ClassVar[str] = "face-sequences"
    folder_name: ClassVar[str] = "cmu_faces"
    licence: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[str] = "https://archive.ics.uci.edu/dataset/124/cmu+face+images"
    citation: ClassVar[str] = """@misc{mitchell1999faces,
  title     = {{CMU} Face Images},
  author    = {Mitchell, Tom},
  publisher = {UCI Machine Learning Repository},
  year      = {1999}
}"""
    modality: ClassVar[str] = "video"

    variants: int = hyper(default=4, at_least=1)
    complete: bool = True
    size: int = hyper(default=64, at_least=8, at_most=120)
    length: int = hyper(default=8, at_least=4, at_most=16)
    test: float = hyper(default=0.2, above=0, at_most=0.8)
    valid: float = hyper(default=0.1, at_least=0, at_most=0.8)
    seed: int = hyper(default=0, at_least=0)
    root: str | None = hyper(default=None, identity=False)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """The publisher's archive, or the stills unpacked or packed otherwise."""
        return (_FILE,)

    def hybrid(self, static_of: Sequences, dynamic_of: Sequences) -> npt.NDArray[Any]:
        """Compose the true hybrids: person and sunglasses of one set, every step's pose and expression of the other.

        Parameters
        ----------
        static_of, dynamic_of : Sequences of this data set, paired row by row

        Returns
        -------
        array of uint8, (n, time of ``dynamic_of``, 1, size, size)

        Raises
        ------
        DataError
            Different numbers of sequences, sequences without these labels or of another shape, or a hybrid
            that needs a still that does not exist.
        """
        stills = self._stills()
        people, looks = self._looks(stills)
        factors = [factor for factor in _factors(people) if factor.name != "course"]
        labels = hybrid_labels(self.name, factors, (1, self.size, self.size), static_of, dynamic_of)
        row_of = {(people.index(person), EYES.index(eyes)): row for row, (person, eyes) in enumerate(looks)}
        look = np.array([row_of[pair] for pair in zip(labels["person"], labels["glasses"], strict=True)])
        frames, there = stacked(stills, looks)
        at = (look[:, None], labels["pose"], labels["expression"])
        missing = np.argwhere(~there[at])
        if len(missing):
            row, step = missing[0]
            pose, expression = POSES[at[1][row, step]], EXPRESSIONS[at[2][row, step]]
            raise DataError(
                f"{self.name}: hybrid {row} needs the still {'_'.join([looks[look[row]][0], pose, expression])}_"
                f"{looks[look[row]][1]}, which does not exist. Use complete=True, or leave such pairs out."
            )
        return frames[at]

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        stills = self._stills()
        people, looks = self._looks(stills)
        frames, there = stacked(stills, looks)
        look, course, steps = self._performances(there)
        person = np.array([people.index(name) for name, _ in looks])[look]
        glasses = np.array([EYES.index(eyes) for _, eyes in looks])[look]
        labels = {
            "person": person,
            "glasses": glasses,
            "course": course,
            "pose": steps[:, 0],
            "expression": steps[:, 1],
        }
        shape = (1, self.size, self.size)
        spec = DataSpec(kind="image", shape=shape, length=self.length, scale=(float(WHITE),), factors=_factors(people))
        make = partial(self._part, frames, look, labels, spec)
        return {part: make(part, rows) for part, rows in self._divide(person, course).items()}

    def _part(
        self,
        frames: npt.NDArray[np.uint8],
        look: Index,
        labels: Mapping[str, Index],
        spec: DataSpec,
        part: str,
        rows: Index,
    ) -> Sequences:
        return Sequences(
            x=frames[look[rows, None], labels["pose"][rows], labels["expression"][rows]],
            spec=spec,
            labels={name: values[rows] for name, values in labels.items()},
            ids=rows,
            name=f"{self.name}/{part}",
        )

    def _performances(self, there: npt.NDArray[np.bool_]) -> tuple[Index, Index, Index]:
        """Look, course, and pose and expression of every step, of all sequences for which the stills are there."""
        draw = np.random.default_rng([self.seed, 0])
        ways = [course_steps(course, self.length) for course in range(len(COURSES))]
        found = []
        for look, exists in enumerate(there):
            for course, steps in enumerate(ways):
                # Drawn before looking at what is missing, which so changes no other sequence.
                chosen = steps[draw.permutation(len(steps))[: self.variants]]
                kept = chosen[exists[chosen[:, 0], chosen[:, 1]].all(axis=1)]
                found += [(look, course, way) for way in kept]
        if not found:
            raise DataError(f"{self.name}: no course of {self.length} steps has all its stills. Get the set again.")
        looks, courses, performances = zip(*found, strict=True)
        return np.array(looks), np.array(courses), np.array(performances)

    def _divide(self, person: Index, course: Index) -> dict[str, Index]:
        rest, test = unseen_combinations(person, course, self.test, self.seed)
        if not self.valid:
            return {"train": rest, "test": test}
        train, valid = unseen_combinations(person[rest], course[rest], self.valid, self.seed + 1)
        return {"train": rest[train], "valid": rest[valid], "test": test}

    def _looks(self, stills: Stills) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
        """People, and pairs of person and eyes, that are used."""
        pairs = sorted({(person, eyes) for person, _, _, eyes in stills})
        there = stacked(stills, pairs)[1]
        looks = [pair for pair, exists in zip(pairs, there, strict=True) if exists.all() or not self.complete]
        people = tuple(sorted({person for person, _ in looks}))
        if len(people) < 2:
            raise DataError(
                f"{self.name}: all {len(POSES) * len(EXPRESSIONS)} stills of {len(people)} people are there; expected "
                "those of two or more. Get the published files, or use complete=False."
            )
        return people, looks

    def _stills(self) -> Stills:
        folder = self.location()
        sources = [folder / name for name in (_FILE.name, *(name for name, _ in _FILE.also))]
        stills = next(filter(None, (read_stills(path, self.size) for path in sources if path.exists())), None)
        if stills is None:
            raise DataError(
                f"CMU faces: found no stills such as an2i_left_angry_open.pgm in any of "
                f"{', '.join(path.name for path in sources)} in {folder}. Run `seqdis data fetch {self.name}` "
                "(and unpack archives inside the archive), or set SEQDIS_DATA (or root=) to the folder that contains "
                f"{self.folder_name}/."
            )
        return stills


def _factors(people: tuple[str, ...]) -> tuple[FactorSpec, ...]:
    courses = tuple(f"{pose}, {expression}" for pose, expression in COURSES)
    return (
        FactorSpec(name="person", kind="static", classes=people),
        FactorSpec(name="glasses", kind="static", classes=("without", "sunglasses")),
        FactorSpec(name="course", kind="dynamic", classes=courses),
        FactorSpec(name="pose", kind="dynamic", classes=POSES),
        FactorSpec(name="expression", kind="dynamic", classes=EXPRESSIONS),
    )
