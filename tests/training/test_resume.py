"""A run that was stopped and called again ends where one that was not stopped ends, bit by bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_run
from toy_run import SERIES, method

import seqdis
from seqdis.errors import RunFolderError
from seqdis.estimator import Disentangler
from seqdis.methods import DBSE

VIDEO = np.random.default_rng(0).integers(0, 256, size=(6, 4, 1, 8, 8), dtype=np.uint8)
DATA = {"series": SERIES, "video": VIDEO}


def weights(model: Disentangler) -> dict[str, torch.Tensor]:
    return model.network_.state_dict()


def same(one: Disentangler, other: Disentangler) -> bool:
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def epochs(folder: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (folder / "log.jsonl").read_text().splitlines()]


def stopped_after(model: Disentangler, data: np.ndarray, folder: Path, epoch: int) -> None:
    """Fit until the first step after an epoch, as Ctrl-C would."""

    def stop(done: int, of: int, record: object) -> None:
        if done * model.training.max_epochs > epoch * of:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(data, out=folder, watch=stop)


def test_a_killed_process_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, toy_run.__file__, folder], env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while not (folder / "log.jsonl").exists() or len((folder / "log.jsonl").read_text().splitlines()) < 2:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not start within a minute"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert "weights_sha256" not in json.loads((folder / "run.json").read_text())
    done = len(epochs(folder))
    assert 2 <= done < 12
    with pytest.raises(RunFolderError, match="not finished"):
        seqdis.load(folder)

    steps: list[int] = []
    resumed = method().fit(SERIES, out=folder, watch=lambda step, *_: steps.append(step))
    assert steps[0] > 3 * (done - 1)  # three steps an epoch; what was saved is not done again
    assert epochs(folder) == list(range(1, 13))
    assert [record["epoch"] for record in resumed.history_] == list(range(1, 13))
    whole = method().fit(SERIES)
    assert same(resumed, whole)
    assert [r["train"] for r in resumed.history_] == [r["train"] for r in whole.history_]
    assert same(seqdis.load(folder), whole)
    assert not (folder / "resume.pt").exists()


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize(
    "changes", [{}, {"training__schedule": "cosine", "training__gradient_clip": 1.0, "kl_cycle": 4}]
)
def test_an_interrupted_fit_goes_on_where_it_was(tmp_path: Path, kind: str, changes: dict) -> None:
    model = method().replace(**changes)
    stopped_after(model, DATA[kind], tmp_path / "run", 5)
    stopped_after(model, DATA[kind], tmp_path / "run", 8)
    resumed = model.fit(DATA[kind], out=tmp_path / "run")
    assert epochs(tmp_path / "run") == list(range(1, 13))
    assert same(resumed, model.replace().fit(DATA[kind]))


def test_epochs_after_the_last_saved_state_are_done_again_and_logged_once(tmp_path: Path) -> None:
    model = method().replace(training__save_seconds=1e9)
    stopped_after(model, SERIES, tmp_path / "run", 4)
    assert epochs(tmp_path / "run") == [1, 2, 3, 4]
    assert not (tmp_path / "run" / "resume.pt").exists()
    resumed = model.fit(SERIES, out=tmp_path / "run")
    assert epochs(tmp_path / "run") == list(range(1, 13))
    assert same(resumed, method().fit(SERIES))


def test_other_settings_are_refused_in_an_unfinished_folder(tmp_path: Path) -> None:
    stopped_after(method(), SERIES, tmp_path / "run", 2)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(RunFolderError, match=r"holds another run \(different: settings\)"):
        method().replace(training__max_epochs=13).fit(SERIES, out=tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def another_state(path: Path) -> None:
    torch.save({"network": {}, "optimisers": [], "history": []}, path)


def epochs_twice(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    torch.save(state | {"history": state["history"] * 2}, path)


def no_records(path: Path) -> None:
    torch.save(torch.load(path, weights_only=True) | {"history": [1, 2]}, path)


DAMAGE = {
    "epochs twice": epochs_twice,
    "numbers in place of records": no_records,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:500]),
    "its list of contents cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "garbage": lambda path: path.write_bytes(b"not a state"),
    "another network": another_state,
    "a list": lambda path: torch.save([1, 2], path),
    "a number": lambda path: torch.save(3, path),
    "code": lambda path: torch.save({"network": DBSE()}, path),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_state_that_cannot_be_read_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    model, folder = method().replace(training__max_epochs=3), tmp_path / "run"
    stopped_after(model, SERIES, folder, 2)
    DAMAGE[damage](folder / "resume.pt")
    with pytest.raises(RunFolderError, match=r"resume.pt cannot be resumed from: .* Delete it to start again"):
        model.fit(SERIES, out=folder)
    (folder / "resume.pt").unlink()
    assert len(model.fit(SERIES, out=folder).history_) == 3


def test_settings_of_a_grid_search_are_resumed_too(tmp_path: Path) -> None:
    grid = method().replace(training__lr=np.float64(0.01), training__max_epochs=np.int64(4))
    stopped_after(grid, SERIES, tmp_path / "run", 2)
    assert same(grid.fit(SERIES, out=tmp_path / "run"), grid.replace().fit(SERIES))
