"""What every entry of the data shelf promises; entries that need a download are checked up to their data."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from sklearn.base import clone

import seqdis.datasets
from seqdis.datasets import (
    MUG,
    TIMIT,
    AudioFolder,
    Jester,
    Letters,
    MovingFigures,
    SequenceDataset,
    ToyMelodies,
    ToySeries,
    UserFile,
    VideoFolder,
)
from seqdis.errors import DataError
from seqdis.hyperparameters import from_dict, to_dict
from seqdis.sequences import FactorSpec, Sequences
from sounds import timit_copy, tone

ENTRIES = [
    entry for entry in map(seqdis.datasets.__dict__.get, seqdis.datasets.__all__) if entry is not SequenceDataset
]
SIZES = {"n_train": 24, "n_valid": 6, "n_test": 8}


def user_file(folder: Path) -> UserFile:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(20, 7, 3))
    x[2, 3:] = np.nan
    np.savez(folder / "mine.npz", x=x, person=np.arange(20) % 4)
    return UserFile(path=str(folder / "mine.npz"), valid=0.2, test=0.2)


def clip(folder: Path, frames: int, shade: int) -> None:
    folder.mkdir(parents=True)
    for number in range(frames):
        image = np.full((9, 12, 3), shade + 10 * number, dtype=np.uint8)
        image[4, 6] = 250  # ink, of letters
        cv2.imwrite(str(folder / f"{number}.png"), image)


def jester_copy(folder: Path) -> Jester:
    rows = [(number, ("Thumb Up", "Shaking Hand")[number % 2]) for number in range(1, 41)]
    for number, _ in rows:
        clip(folder / "20bn-jester-v1" / str(number), 4 + number % 3, number)
    for part, some in (("train", rows[:30]), ("validation", rows[30:])):
        text = "".join(f"{number};{gesture}\n" for number, gesture in some)
        (folder / f"jester-v1-{part}.csv").write_text(text)
    return Jester(root=str(folder), gestures=("Shaking Hand", "Thumb Up"), size=8, length=3)


def mug_copy(folder: Path) -> MUG:
    for take in range(24):
        clip(folder / f"{take % 3:03d}" / ("anger" if take % 2 else "fear") / f"take{take:03d}", 8, take)
    return MUG(root=str(folder), crop="none", size=8, length=3)


def letters_copy(folder: Path) -> Letters:
    for number, writer in enumerate(("ann", "bob")):
        for letter in "abcdefghijklmnopqrstuvwxyz":
            clip(folder / writer / letter, 2, 40 * number + ord(letter) - 97)
    return Letters(root=str(folder), size=8, words=10)


def video_folder(folder: Path) -> VideoFolder:
    for video in range(20):
        clip(folder / f"v{video}", 3 + video % 4, video)
    rows = "".join(f"v{video},{'ann' if video % 3 else 'bob'},{video % 2}\n" for video in range(20))
    (folder / "labels.csv").write_text("file,who,move\n" + rows)
    return VideoFolder(path=str(folder), labels="labels.csv", dynamic=("move",), size=8, length=5, valid=0.2, test=0.2)


def audio_folder(folder: Path) -> AudioFolder:
    for number in range(20):
        soundfile.write(folder / f"r{number}.wav", tone(200 + 50 * number, 0.1 + 0.01 * number), 16_000)
    rows = "".join(f"r{number}.wav,{'ann' if number % 3 else 'bob'},{number % 2}\n" for number in range(20))
    (folder / "labels.csv").write_text("file,who,word\n" + rows)
    return AudioFolder(path=str(folder), labels="labels.csv", dynamic=("word",), length=12, valid=0.2, test=0.2)


# Settings that bring out every kind of array; one line for each entry whose data need no download.
LOCAL: dict[str, Callable[[Path], SequenceDataset]] = {
    "moving-figures": lambda _: MovingFigures(**SIZES, size=16),
    "moving-figures with gaps": lambda _: MovingFigures(**SIZES, size=16, missing_rate=0.3, noise=0.1, unseen=0.3),
    "toy-series": lambda _: ToySeries(**SIZES),
    "toy-series with gaps": lambda _: ToySeries(**SIZES, missing_rate=0.3, ragged=True, unseen=0.3),
    "file": user_file,
    "jester": jester_copy,
    "letters": letters_copy,
    "mug": mug_copy,
    "recordings": audio_folder,
    "timit": lambda folder: TIMIT(root=str(timit_copy(folder / "timit").parent), complete=False),
    "toy-melodies": lambda _: ToyMelodies(**SIZES, length=12),
    "toy-melodies with unseen": lambda _: ToyMelodies(**SIZES, length=12, features="magnitude", unseen=0.3),
    "videos": video_folder,
}


@pytest.fixture(params=LOCAL)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> SequenceDataset:
    return LOCAL[request.param](tmp_path)


def test_every_entry_is_examined() -> None:
    assert {entry.name for entry in ENTRIES if not entry.files()} == {name.split(" with")[0] for name in LOCAL}


def test_names_are_unique() -> None:
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("entry", ENTRIES)
def test_entry_states_what_it_is(entry: type[SequenceDataset]) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.name)
    assert entry.licence
    assert entry.source
    assert entry.modality in ("video", "audio", "series")
    if entry.files():  # somebody published it
        assert re.search(r"\b(19|20)\d\d\b", entry.citation)
        assert entry.source.startswith("https://")


@pytest.mark.parametrize("entry", ENTRIES)
def test_docstring_names_every_setting(entry: type[SequenceDataset]) -> None:
    text = inspect.getdoc(entry) or ""
    parameters = text.partition("Parameters\n----------\n")[2]
    assert [field.name for field in dataclasses.fields(entry) if not re.search(rf"\b{field.name}\b", parameters)] == []


@pytest.mark.parametrize("entry", ENTRIES)
def test_settings_survive_copies_and_json(entry: type[SequenceDataset]) -> None:
    default = entry()
    assert clone(default) == default
    assert from_dict(entry, json.loads(json.dumps(to_dict(default)))) == default


def test_parts_agree_with_their_spec(data: SequenceDataset) -> None:
    parts = data.parts()
    assert {"train", "valid", "test"} <= set(parts)
    spec = data.spec
    assert spec.length == parts["train"].x.shape[1]
    assert all(len(values) in (1, spec.shape[0]) for values in (spec.center, spec.scale))
    assert min(spec.scale) > 0
    assert len(spec.feature_names) in (0, spec.shape[0])
    for name, part in parts.items():
        assert part.spec == spec
        assert part.name.endswith(f"/{name}")
        assert part.x.dtype in (np.uint8, np.float32)
        assert part.x.shape[2:] == spec.shape
        assert len(np.unique(part.ids)) == len(part)
        assert spec.missing or part.mask is None


def test_what_is_not_observed_is_zero_and_the_rest_finite(data: SequenceDataset) -> None:
    for part in data.parts().values():
        observed = part.observed()
        assert not part.x[~observed].any()
        assert np.isfinite(part.x).all()
        assert observed.reshape(len(part), -1).any(axis=1).all()
        if not part.spec.missing and part.lengths is None:
            assert observed.all()


def test_labels_agree_with_their_factors(data: SequenceDataset) -> None:
    factors = data.spec.factors
    assert len({factor.name for factor in factors}) == len(factors) > 0
    assert not {factor.name for factor in factors} & {"x", "mask", "lengths", "times", "ids"}  # names of other arrays
    for part in data.parts().values():
        assert set(part.labels) == {factor.name for factor in factors}
        for factor in factors:
            check_label(part, factor)


def check_label(part: Sequences, factor: FactorSpec) -> None:
    values = part.labels[factor.name]
    per_sequence, per_step = (len(part),), part.x.shape[:2]
    assert values.shape == per_sequence or (factor.kind == "dynamic" and values.shape == per_step)
    if factor.classes:
        assert values.dtype.kind == "i"
        assert ((values >= -1) & (values < len(factor.classes))).all()
        assert (values >= 0).any()
        assert factor.unit == ""
    else:
        assert values.dtype.kind == "f"
        assert np.isfinite(values).any()


def test_equal_settings_give_equal_data(data: SequenceDataset) -> None:
    again = clone(data)
    assert again.fingerprint() == data.fingerprint()
    for name, part in data.parts().items():
        assert again.parts()[name].fingerprint() == part.fingerprint()
    assert data.replace(**another(data)).fingerprint() != data.fingerprint()


def another(data: SequenceDataset) -> dict[str, Any]:
    """A setting that changes the training part: a seed, or, where nothing is drawn, another part."""
    seeds = [seed for seed in ("split_seed", "seed") if hasattr(data, seed)]
    return {seeds[0]: 3} if seeds else {"form": "published"}


def test_parts_have_their_own_fingerprints(data: SequenceDataset) -> None:
    assert len({part.fingerprint() for part in data.parts().values()}) == len(data.parts())


def test_unknown_part_is_refused_with_a_suggestion(data: SequenceDataset) -> None:
    with pytest.raises(DataError, match=rf"{data.name}: unknown part 'trian'. Did you mean 'train'\?"):
        data.split("train", "trian")


def test_splitting_changes_nothing(data: SequenceDataset) -> None:
    before = to_dict(data)
    first = data.split("train", "test")
    prints = [part.fingerprint() for part in first]
    second = data.split("test", "train", "train")
    assert [part.fingerprint() for part in first] == prints
    assert [part.fingerprint() for part in second] == [prints[1], prints[0], prints[0]]
    assert to_dict(data) == before
    assert data == clone(data)


def test_changed_settings_are_not_answered_with_old_data(data: SequenceDataset) -> None:
    old = data.fingerprint()
    data.set_params(**another(data))
    assert data.fingerprint() != old


def test_sizes_are_as_asked() -> None:
    for make in (MovingFigures, ToySeries):
        sizes = {name: len(part) for name, part in make(**SIZES, length=3).parts().items()}
        assert sizes == {"train": 24, "valid": 6, "test": 8}


def test_another_process_gives_the_same_fingerprint() -> None:
    generated = [MovingFigures(**SIZES, size=16, noise=0.1, missing_rate=0.2), ToySeries(**SIZES, ragged=True)]
    code = (
        "import json, sys\n"
        "from seqdis import datasets\n"
        "from seqdis.hyperparameters import from_dict\n"
        "for name, settings in json.loads(sys.argv[1]):\n"
        "    print(from_dict(getattr(datasets, name), settings).fingerprint())\n"
    )
    settings = json.dumps([(type(data).__name__, to_dict(data)) for data in generated])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code, settings], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == [data.fingerprint() for data in generated]
