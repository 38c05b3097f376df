import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from seqdis.datasets import MovingFigures
from seqdis.evaluation import judge_cache
from seqdis.evaluation.judge import Judge
from seqdis.evaluation.judge_cache import cache_key, fitted_judge
from seqdis.sequences import DataSpec, FactorSpec, Sequences
from seqdis.training.engine import Store

TINY = Judge(epochs=1, batch_size=16, filters=2, feature_dim=4, hidden_dim=4)
TRAIN, VALID, TEST = MovingFigures(n_train=16, n_valid=8, n_test=4, size=16).split("train", "valid", "test")
# Of a small judge: class scores before training, mean loss of the epochs of a fixed one.
SCORES = [[0.238242, -0.147736, -0.153762], [0.239124, -0.136999, -0.147287], [0.239389, -0.137111, -0.147833]]
LOSSES = [1.115204, 1.052089, 0.989348]


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
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".safetensors", ".lock"}


def test_who_lacks_a_judge_that_another_trains_waits_for_it(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(judge, [tmp_path, tmp_path]))
    assert sorted(trained for _, trained in found) == [False, True]


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
    (path,) = tmp_path.glob("*.safetensors")
    whole, expected = path.read_bytes(), judge_cache._checksum(load_file(path))
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
    assert judge_cache._checksum(load_file(path)) == expected
    assert not judge(tmp_path)[1]


@pytest.mark.parametrize("about", ["null", "[]", "{}", '{"weights": 1, "history": null}', "no JSON", None])
def test_odd_words_in_the_file_are_damage(tmp_path, caplog, about):
    fitted, _ = judge(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    weights = fitted.network_.state_dict()
    if about is not None:
        about = about.replace('"weights": 1', f'"weights": "{judge_cache._checksum(weights)}"')
    save_file(weights, path, metadata=None if about is None else {"judge": about})
    with caplog.at_level(logging.WARNING):
        assert judge(tmp_path)[1]
    assert "training the judge anew" in caplog.text


def test_what_fails_before_the_file_is_read_is_no_damage(tmp_path, caplog, monkeypatch):
    judge(tmp_path)

    def full(*given):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Judge, "fresh_network", full)
    with caplog.at_level(logging.WARNING), pytest.raises(RuntimeError, match="out of memory"):
        judge(tmp_path)
    assert "damaged" not in caplog.text


def test_the_version_names_this_network_and_this_training():
    draw = np.random.default_rng(0)
    spec = DataSpec(
        kind="image",
        shape=(1, 16, 16),
        length=4,
        scale=(255.0,),
        factors=(FactorSpec(name="a", kind="static", classes=("x", "y", "z")),),
    )
    part = Sequences(
        x=draw.integers(256, size=(12, 4, 1, 16, 16), dtype=np.uint8),
        spec=spec,
        lengths=draw.integers(1, 5, size=12),
        labels={"a": np.arange(12) % 4 - 1},
    )
    small = Judge(epochs=3, batch_size=5, lr=1e-2, filters=4, feature_dim=8, hidden_dim=8, accelerator="cpu")
    with torch.no_grad():
        fresh = small.fresh_network(part).eval()(Store(part, spec).take(torch.tensor([0, 5, 9])))["a"]
    learned = [record["train"] for record in small.fit(part, part).history_]
    changed = "network or training of Judge changed: raise VERSION, then mend what is expected here"
    assert judge_cache.VERSION == 2, changed
    np.testing.assert_allclose(fresh, SCORES, atol=1e-5, err_msg=changed)
    np.testing.assert_allclose(learned, LOSSES, atol=1e-4, err_msg=changed)


def test_a_folder_that_cannot_be_written_costs_the_cache_only(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        fitted, trained = judge(tmp_path / "file")
    assert trained
    assert fitted.predict_proba(TEST)
    assert "not cached" in caplog.text


def test_nothing_is_left_of_a_write_that_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError("disk full")))
    judge(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}
