"""A fit that is killed without warning, and the same command again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

WORDS = "fit dbse a.npy --training.max-epochs 80 --training.save-seconds 0.1"
CODE = "import sys, torch; torch.set_num_threads(1); from seqdis.cli import main; sys.exit(main())"


def test_a_killed_fit_goes_on_and_ends_with_the_same_weights(seqdis, data: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *WORDS.split(), "--out", "killed"], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (data / "killed/resume.pt").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert "weights.safetensors" not in os.listdir(data / "killed")
    again = seqdis(f"{WORDS} --out killed")
    assert again.status == 0
    assert "resumed after epoch " in again.err
    whole = seqdis(f"{WORDS} --out whole")
    assert whole.out.replace("whole", "killed") == again.out
    killed, kept = ((data / name / "weights.safetensors").read_bytes() for name in ("killed", "whole"))
    assert killed == kept
