from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import seqdis
from seqdis.disk import write_json
from seqdis.errors import RunFolderError, SeqdisError
from seqdis.estimator import Disentangler
from seqdis.methods import DBSE
from seqdis.training import Training
from seqdis.training.checkpoint import RunFolder
from tiny import Tiny

X = np.random.default_rng(0).normal(size=(6, 9, 3))


def method(**more) -> DBSE:
    training = Training(max_epochs=2, batch_size=4)
    return DBSE(**{"static_dim": 2, "dynamic_dim": 2, "feature_dim": 4, "hidden_dim": 4, "training": training} | more)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    method().fit(X, out=tmp_path / "run")
    return tmp_path / "run"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def edit(folder: Path, change: Callable[[dict], None]) -> None:
    stored = json.loads((folder / "run.json").read_text())
    change(stored)
    write_json(folder / "run.json", stored)


def test_a_finished_folder_holds_three_files_and_no_state(run: Path) -> None:
    assert list(content(run)) == ["log.jsonl", "run.json", "weights.safetensors"]
    stored = json.loads((run / "run.json").read_text())
    assert stored["method"] == "dbse"
    assert stored["settings"]["training"]["max_epochs"] == 2
    assert set(stored["versions"]) == {"seqdis", "torch", "numpy"}
    assert set(stored["identity"]) == {"method", "settings", "data", "seed"}
    assert [json.loads(line)["epoch"] for line in (run / "log.jsonl").read_text().splitlines()] == [1, 2]


def test_loading_gives_the_model_back(run: Path) -> None:
    loaded, fitted = seqdis.load(run), method().fit(X)
    assert loaded == fitted
    assert torch.equal(loaded.encode(X).static, fitted.encode(X).static)
    assert [record["train"] for record in loaded.history_] == [record["train"] for record in fitted.history_]
    assert loaded.score(X) == fitted.score(X)


def test_a_finished_run_is_reused_not_repeated(run: Path) -> None:
    before = content(run)
    steps: list[int] = []
    again = method().fit(X, out=run, watch=lambda done, *_: steps.append(done))
    assert steps == []
    assert content(run) == before
    assert torch.equal(again.encode(X).static, method().fit(X).encode(X).static)


def test_what_cannot_change_a_result_does_not_make_another_run(run: Path) -> None:
    before = content(run)
    method().replace(training__threads=1, training__save_seconds=3.0).fit(X, out=run)
    assert content(run) == before


@pytest.mark.parametrize(
    ("other", "data", "differs"),
    [
        (method(anchor_weight=0.5), X, "settings"),
        (method().replace(training__seed=3), X, "seed, settings"),
        (method(), X + 1, "data"),
        (method(), X[:5], "data"),
        (Tiny(), X, "method, settings"),
    ],
)
def test_another_run_is_refused_by_what_differs_and_nothing_is_overwritten(
    run: Path, other: Disentangler, data: np.ndarray, differs: str
) -> None:
    before = content(run)
    with pytest.raises(RunFolderError, match=rf"holds another run \(different: {differs}\). Give another"):
        other.fit(data, out=run)
    assert not hasattr(other, "network_")
    fitted = other.replace().fit(data)
    with pytest.raises(RunFolderError, match=rf"different: {differs}\)"):
        fitted.save(run)
    assert content(run) == before


def test_a_folder_that_holds_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.tex").write_text("years of work")
    model = method().fit(X)
    for call in (lambda: method().fit(X, out=foreign), lambda: model.save(foreign)):
        with pytest.raises(RunFolderError, match=r"thesis exists and holds no run\. Give another --out, or empty"):
            call()
    assert content(foreign) == {"chapter.tex": b"years of work"}
    with pytest.raises(RunFolderError, match=r"chapter.tex is a file, not a folder"):
        method().fit(X, out=foreign / "chapter.tex")
    with pytest.raises(RunFolderError, match=r"thesis is not a run folder: it has no run.json"):
        seqdis.load(foreign)


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    method().fit(X, out=tmp_path / "new")
    assert seqdis.load(tmp_path / "new") == method()


def test_saving_twice_is_harmless_and_a_copy_can_be_saved_elsewhere(run: Path, tmp_path: Path) -> None:
    before = content(run)
    loaded = seqdis.load(run)
    loaded.save(run)
    assert content(run) == before
    loaded.save(tmp_path / "copy")
    copy = content(tmp_path / "copy")
    assert copy["weights.safetensors"] == before["weights.safetensors"]
    assert copy["log.jsonl"] == before["log.jsonl"]
    assert seqdis.load(tmp_path / "copy").identity_ == loaded.identity_


def test_an_untrained_control_never_passes_for_the_fitted_run(run: Path, tmp_path: Path) -> None:
    control = seqdis.load(run).untrained()
    with pytest.raises(RunFolderError, match="different: untrained"):
        control.save(run)
    control.save(tmp_path / "control")
    with pytest.raises(RunFolderError, match="different: untrained"):
        method().fit(X, out=tmp_path / "control")


def truncate(name: str, keep: int) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:keep])


def flip(run: Path) -> None:
    raw = bytearray((run / "weights.safetensors").read_bytes())
    raw[-1] ^= 1
    (run / "weights.safetensors").write_bytes(bytes(raw))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda run: [path.unlink() for path in run.iterdir()], "is not a run folder: it has no run.json"),
    "run.json truncated": (truncate("run.json", 40), "run.json cannot be read .*: truncated or altered"),
    "run.json empty": (truncate("run.json", 0), "run.json cannot be read"),
    "run.json is no text": (lambda run: (run / "run.json").write_bytes(b"\xff\xfe\x00"), "run.json cannot be read"),
    "run.json is a list": (lambda run: (run / "run.json").write_text("[1]"), "not a run.json that seqdis wrote"),
    "another format": (lambda run: edit(run, lambda c: c.update(format=99)), "expected format 1"),
    "method unknown": (lambda run: edit(run, lambda c: c.update(method="dbze")), "unknown method 'dbze'. Did you mean"),
    "method not a method": (
        lambda run: edit(run, lambda c: c.update(method="seqdis.training:Training")), "which is not a method"
    ),
    "setting unknown": (lambda run: edit(run, lambda c: c["settings"].update(sise=1)), "unknown setting 'sise'"),
    "setting of another type": (
        lambda run: edit(run, lambda c: c["settings"].update(static_dim="two")), "static_dim = 'two': expected int"
    ),
    "setting changed": (lambda run: edit(run, lambda c: c["settings"].update(anchor="last")), "settings were altered"),
    "no spec": (lambda run: edit(run, lambda c: c.pop("spec")), "altered or comes from another version: 'spec'"),
    "no identity": (lambda run: edit(run, lambda c: c.pop("identity")), "altered or comes from another version"),
    "unfinished": (lambda run: edit(run, lambda c: c.pop("weights_sha256")), "not finished. Run the same `seqdis fit`"),
    "weights missing": (lambda run: (run / "weights.safetensors").unlink(), "weights.safetensors cannot be read"),
    "weights truncated": (truncate("weights.safetensors", 100), "does not match the checksum .*truncated or altered"),
    "weights empty": (truncate("weights.safetensors", 0), "does not match the checksum"),
    "weights changed by a bit": (flip, "does not match the checksum"),
    "log of something else": (
        lambda run: (run / "log.jsonl").write_text("{}\n"), "log.jsonl, line 1: expected the record of an epoch"
    ),
    "settings that no network can be built of": (
        lambda run: edit(run, lambda c: c["spec"].update(shape=[0])), "settings were altered"
    ),
    "log broken": (lambda run: (run / "log.jsonl").write_text('{"epoch": 1}\n{"epo'), "log.jsonl cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_clear_error(run: Path, damage: str) -> None:
    harm, words = DAMAGE[damage]
    harm(run)
    with pytest.raises(RunFolderError, match=words) as caught:
        seqdis.load(run)
    assert str(run) in str(caught.value)
    assert isinstance(caught.value, SeqdisError)


def test_a_folder_that_was_never_there(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="nowhere is not a run folder"):
        seqdis.load(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_files_are_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path / "run", {"a": 1})
    folder.claim({})
    before = (tmp_path / "run" / "run.json").read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_json(tmp_path / "run" / "run.json", {"half": "written"})
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_two_processes_do_not_fit_one_run(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    folder = tmp_path / "run"
    with (
        RunFolder(folder).alone(),  # locks of one process are told apart by their open files, as those of two are
        pytest.raises(RunFolderError, match=r"another process is fitting this run\. Wait for it, or give another"),
        RunFolder(folder).alone(),
    ):
        pass
    with RunFolder(folder).alone():
        assert [path.name for path in folder.iterdir()] == ["fit.lock"]
    assert not any(folder.iterdir())


def test_a_finished_run_that_is_only_to_be_read_is_reused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run / "run.json").read_bytes()
    folder = RunFolder(run, seqdis.load(run).identity_)
    monkeypatch.setattr("os.access", lambda *_: False)
    assert folder.claim({"about": {"data": {"settings": {"path": "moved"}}}})
    assert (run / "run.json").read_bytes() == before


def test_a_place_that_cannot_be_written_is_refused_before_the_fit(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SeqdisError, match="is a file, not a folder"):
        RunFolder(tmp_path / "file" / "run", {"a": 1}).claim({})


def test_a_fit_that_ended_before_its_first_epoch_keeps_no_place(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", {"settings": "refused"}).claim({})
    (tmp_path / "run" / "fit.lock").touch()
    assert not RunFolder(tmp_path / "run", {"settings": "mended"}).claim({})
    assert RunFolder(tmp_path / "run").read()["identity"] == {"settings": "mended"}
    (tmp_path / "run" / "log.jsonl").write_text('{"epoch": 1, "train": {}}\n')
    with pytest.raises(RunFolderError, match="holds another run"):
        RunFolder(tmp_path / "run", {"settings": "third"}).claim({})


def test_what_a_kill_left_half_written_blocks_no_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json.0123abcd.partial").write_text("{")
    method().fit(X, out=tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.partial"))


def test_a_finished_run_is_loaded_without_its_lock(run: Path) -> None:
    before = content(run)
    with RunFolder(run).alone():  # as if another process loaded it, too
        method().fit(X, out=run)
    assert content(run) == before


def test_a_run_that_was_finished_while_its_lock_was_waited_for_is_not_repeated(run: Path, monkeypatch) -> None:
    monkeypatch.setattr("seqdis.training.checkpoint.RunFolder.finished", lambda self: False)  # when it was asked
    monkeypatch.setattr("seqdis.estimator.train", None)  # would fail if it were called
    method().fit(X, out=run)
