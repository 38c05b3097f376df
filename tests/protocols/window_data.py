"""Series with a number per step that stands in one feature only, for tests of window regressions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fakes import PlantedModel
from seqdis.sequences import DataSpec, Sequences

LEVEL, COURSE, NOISE = range(3)
MODEL = PlantedModel(
    static=slice(0, 1), dynamic=slice(1, 2), stride=4, spec_=DataSpec(kind="series", shape=(3,), length=24)
)


@dataclass
class WindowData:
    """Features: a level per sequence, a course that changes with every step, noise. The label is one of them."""

    label: str
    source: int = COURSE
    sizes: tuple[int, int, int] = (60, 20, 40)
    time: int = 24
    slope: float = 3.0
    offset: float = 20.0
    name: str = "planted"

    def parts(self) -> dict[str, Sequences]:
        return {part: self._part(part, self.sizes[k], k) for k, part in enumerate(("train", "valid", "test"))}

    def _part(self, part: str, n: int, k: int) -> Sequences:
        draw = np.random.default_rng([7, k])
        x = draw.standard_normal((n, self.time, 3)).astype(np.float32)
        x[..., LEVEL] = x[:, :1, LEVEL]
        values = draw.standard_normal(x.shape[:2]) if self.source == NOISE else x[..., self.source]
        return Sequences(
            x=x,
            spec=DataSpec(kind="series", shape=(3,), length=self.time),
            labels={self.label: self.offset + self.slope * values.astype(np.float64)},
            name=f"{self.name}/{part}",
        )


def with_labels(parts: dict[str, Sequences], label: str, change) -> dict[str, Sequences]:
    """Labels changed by ``change(part name, labels)``."""
    return {
        name: replace(part, labels={label: change(name, part.labels[label].copy())}) for name, part in parts.items()
    }
