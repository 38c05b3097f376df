"""A study that is killed without warning, and the same command again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from toy_study import FULL, toy_study

from seqdis.benchmark import collect, plan, run_study

CODE = """
import sys
sys.path[:0] = [{tests!r}]
import torch
torch.set_num_threads(1)
from test_study_kill import killed_study
from seqdis.benchmark import run_study
if __name__ == "__main__":
    run_study(killed_study(), store={store!r}, jobs={jobs})
"""


def killed_study():
    """Two quick runs, then two that take longer and write their state all the time."""
    slow = FULL.replace(training__max_epochs=100, training__save_seconds=0.0)
    return toy_study(methods={"quick": FULL, "slow": slow}, seeds=(0, 1), reference="quick")


def stamps(store: Path) -> dict[str, int]:
    """Finished runs, and when their weights were written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in store.glob("*/weights.safetensors")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The scores of a study that nobody stopped."""
    return run_study(killed_study(), store=tmp_path_factory.mktemp("whole"))[0].scores


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_same_study_goes_on_without_repeating_what_is_finished(tmp_path: Path, whole, jobs: int) -> None:
    code = CODE.format(tests=str(Path(__file__).parent), store=str(tmp_path), jobs=jobs)
    file = tmp_path / "script.py"
    file.write_text(code)
    process = subprocess.Popen([sys.executable, str(file)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    runs = plan(killed_study(), tmp_path)
    while not (runs[0].done() and (runs[1].folder / "resume.pt").exists()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert psutil.wait_procs(children, timeout=20)[1] == [], "workers outlived their parent"
    before = stamps(tmp_path)
    assert before
    assert not runs[1].done()

    ended: list[str] = []
    report, failures = run_study(
        killed_study(), store=tmp_path, watch=lambda outcome, *_: ended.append(outcome.run.name)
    )
    assert failures == ()
    assert len(ended) < len(runs)
    assert {name: stamps(tmp_path)[name] for name in before} == before
    assert report.scores == whole
    assert collect(killed_study(), runs).provenance["missing"] == []
