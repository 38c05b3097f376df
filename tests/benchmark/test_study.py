"""`Study` and the files that build one: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_study import FULL, draw, toy_study

from seqdis.benchmark import Study, load_study
from seqdis.datasets import UserFile
from seqdis.errors import SettingsError
from seqdis.protocols import SwapFidelity

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("table*.py"))
GOOD = "from toy_study import toy_study\nstudy = toy_study()\n"

REFUSED = [
    ({"methods": {}}, r"Study.methods = \{\}: expected one or more, as \{'label': Disentangler\(...\)\}"),
    ({"data": {}}, "Study.data = "),
    ({"protocols": ()}, r"Study.protocols = \(\): expected a tuple of one or more"),
    ({"seeds": ()}, r"Study.seeds = \(\)"),
    ({"methods": [FULL]}, "expected one or more, as"),
    ({"methods": {"DBSE": "dbse"}}, "Study.methods holds 'dbse': expected Disentangler"),
    ({"data": {"toy": FULL}}, "expected SequenceDataset"),
    ({"protocols": SwapFidelity()}, "expected a tuple"),
    ({"protocols": (SwapFidelity,)}, "expected Protocol"),
    ({"seeds": (0, "1")}, "Study.seeds holds '1': expected int"),
    ({"seeds": (True,)}, "Study.seeds holds True"),
    ({"seeds": (0, 1, 0)}, "Study.seeds has 0 more than once"),
    ({"seeds": (-1,)}, "seed = -1: expected a value at least 0"),
    (
        {"protocols": (SwapFidelity(seed=0), SwapFidelity(seed=1))},
        "Study.protocols has swap-fidelity more than once: give each once, or label them in a mapping",
    ),
    ({"protocols": {"a": SwapFidelity(), "b": SwapFidelity()}}, "'a' and 'b' have the same settings"),
    ({"protocols": {"a": FULL}}, "Study.protocols holds DBSE.*expected Protocol"),
    ({"protocols": {}}, "Study.protocols = {}: expected"),
    ({"methods": {"DBSE": FULL, "same": FULL.replace(training__seed=4)}}, "'DBSE' and 'same' have the same settings"),
    ({"methods": {"DBSE": FULL.replace(static_dim=0)}}, "DBSE.static_dim = 0: expected a value at least 1"),
    ({"reference": "DBES"}, "Study.reference: unknown method 'DBES'. Did you mean 'DBSE'"),
    ({"reference": ""}, "Study.reference: unknown method ''"),
    ({"name": "a/b"}, "Study.name = 'a/b': it names files"),
    ({"summary": "swap*"}, r"Study.summary = 'swap\*': expected a tuple of patterns"),
    ({"summary": (1,)}, "Study.summary holds 1: expected str"),
    ({"splits": "resampled"}, "expected 'random' or 'independent'"),
    (
        {"data": {"gait": UserFile(path="a.npy"), "power": UserFile(path="b.npy")}},
        "'gait' is .*a.npy, 'power' is .*b.npy: splits of one data set are averaged, different data are not",
    ),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_study_that_cannot_be_run_is_refused(changes, words):
    with pytest.raises(SettingsError, match=words):
        toy_study(**changes).check()


def test_a_good_study_is_not_and_a_control_may_be_its_reference():
    toy_study().check()
    toy_study(reference="PCA code", data={"a": draw(0), "b": draw(1)}).check()


def test_a_file_is_run_like_a_script_and_may_import_what_lies_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", ["/nowhere", *__import__("sys").path])
    (tmp_path / "beside_it.py").write_text("SEEDS = (3, 4)\n")
    (tmp_path / "my-study.py").write_text(
        "from __future__ import annotations\nfrom beside_it import SEEDS\nfrom toy_study import toy_study\n"
        "study = toy_study(seeds=SEEDS)\n"
    )
    assert load_study(tmp_path / "my-study.py").seeds == (3, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no such file"),
        ("x = 1\n", "has no `study`; a study file ends in"),
        ("study = 3\n", "has a `study` that is a int"),
        (GOOD.replace("()", "(seeds=())"), "Study.seeds"),
        ("x = 1\nstudy = Study(\n", r"own_study\.py, line 2 is no Python: '\(' was never closed"),
        ("x = 1\ny = x.gone\n", r"own_study\.py, line 2: AttributeError: 'int' object has no attribute 'gone'"),
        ("import sys\nsys.exit('no data')\n", r"own_study\.py, line 2: SystemExit: no data"),
        ("labels = {'a': 1,\n 'a': 2}\n" + GOOD, "line 1: the label 'a' is given twice"),
    ],
)
def test_files_without_a_good_study(tmp_path, text, words):
    file = tmp_path / "own_study.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        load_study(file)


def test_other_files_are_not_run(tmp_path):
    (tmp_path / "study.txt").write_text(GOOD)
    for name, words in (("study.txt", "this is no .py file"), (".", "there is no such file")):
        with pytest.raises(SettingsError, match=words):
            load_study(tmp_path / name)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_studies_of_the_examples_can_be_loaded(file):
    study = load_study(file)
    assert isinstance(study, Study)
    assert study.name == file.stem.replace("_", "-")
    assert (study.seeds, study.reference) == ((0, 1, 2, 3, 4), next(iter(study.methods)))
    assert len(study.methods) >= 4
