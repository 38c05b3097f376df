import logging
from dataclasses import replace

import numpy as np
import pytest

from seqdis.datasets import MovingFigures
from seqdis.evaluation import judge_cache
from seqdis.evaluation.judge import Judge
from seqdis.evaluation.judge_cache import cache_key, fitted_judge

TINY = Judge(epochs=1, batch_size=16, filters=2, feature_dim=4, hidden_dim=4)
TRAIN, VALID, TEST = MovingFigures(n_train=16, n_valid=8, n_test=4, size=16).split("train", "valid", "test")


def judge(folder, settings=TINY):
    """The judge, and whether it was trained for it."""
    trained = []
    fitted = fitted_judge(settings, TRAIN, VALID, folder, watch=lambda *done: trained.append(done))
    return fitted, bool(trained)


def test_a_judge_is_trained_once(tmp_path):
    first, trained = judge(tmp_path / "new")
    again, repeated = judge(tmp_path / "new")
    assert (trained, repeated) == (True, False)
    assert again.history_ == first.history_
    assert again.classes_ == first.classes_
    for name, p in first.predict_proba(TEST).items():
        np.testing.assert_array_equal(again.predict_proba(TEST)[name], p)
    assert not hasattr(TINY, "network_")
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".safetensors"]


def test_only_what_decides_the_weights_is_in_the_key(monkeypatch):
    key = cache_key(TINY, TRAIN, VALID)
    same = TINY.replace(floor=0.5, on_weak="warn", accelerator="cpu")
    assert cache_key(same, TRAIN, VALID) == key
    others = [TINY.replace(seed=1), TINY.replace(epochs=2), TINY.replace(factors=("shape",))]
    keys = {cache_key(other, TRAIN, VALID) for other in others}
    keys |= {cache_key(TINY, TRAIN[:8], VALID), cache_key(TINY, TRAIN, VALID[:4])}
    relabelled = replace(TRAIN, labels={**TRAIN.labels, "shape": TRAIN.labels["shape"][::-1].copy()})
    keys.add(cache_key(TINY, relabelled, VALID))
    monkeypatch.setattr(judge_cache, "VERSION", 99)
    keys.add(cache_key(TINY, TRAIN, VALID))
    assert len(keys | {key}) == 8


@pytest.mark.parametrize("damage", ["truncated", "empty", "words", "one byte", "other network"])
def test_a_damaged_file_is_trained_anew(tmp_path, caplog, damage):
    judge(tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    if damage == "other network":
        other, _ = judge(tmp_path / "other", TINY.replace(filters=3))
        judge_cache._store(other, path)
    else:
        flipped = whole[:-1] + bytes([whole[-1] ^ 1])
        path.write_bytes({"truncated": whole[:99], "empty": b"", "words": b"no judge", "one byte": flipped}[damage])
    with caplog.at_level(logging.WARNING):
        _, trained = judge(tmp_path)
    assert trained
    assert "training the judge anew" in caplog.text
    assert path.read_bytes() == whole
    assert not judge(tmp_path)[1]


def test_a_folder_that_cannot_be_written_costs_the_cache_only(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        fitted, trained = judge(tmp_path / "file")
    assert trained
    assert fitted.predict_proba(TEST)
    assert "not cached" in caplog.text


def test_nothing_is_left_of_a_write_that_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(judge_cache.os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("disk full")))
    judge(tmp_path)
    assert list(tmp_path.iterdir()) == []
