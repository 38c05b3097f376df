"""Methods of other people: in the current folder by dotted path, installed by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import ONE_EPOCH, Refused, refused

TINY = Path(__file__).resolve().parents[1] / "tiny.py"


@pytest.fixture
def mine(data: Path) -> Iterator[Path]:
    """The current folder, with a module ``mine`` in it."""
    shutil.copy(TINY, data / "mine.py")
    yield data
    sys.modules.pop("mine", None)


def test_a_method_in_the_current_folder(seqdis, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = seqdis("fit", "mine:Tiny", "a.npy", *ONE_EPOCH, "--static-dim", "3")
    assert (done.status, done.err) == (0, "Tiny on file: 9 sequences, 8 steps of (3,)\n")
    assert done.out.endswith("run folder: runs/Tiny-a.npy\n")
    assert seqdis("encode runs/Tiny-a.npy a.npy").out == "codes.npz: static (12, 3), dynamic (12, 8, 1)\n"
    assert seqdis("show mine:Tiny").out.startswith("Tiny: Static code: a linear map of the mean step.")
    assert "Perhaps you meant: --static-dim" in " ".join(seqdis("fit mine:Tiny a.npy --static-dims 3").err.split())
    refused(seqdis, mine, Refused("fit mine:Tiy a.npy", 2, "module 'mine' has no class 'Tiy'"))
    sys.modules.pop("mine")
    (mine / "mine.py").unlink()
    shutil.rmtree(mine / "__pycache__", ignore_errors=True)
    refused(seqdis, mine, Refused("encode runs/Tiny-a.npy a.npy --out x.npz", 1, "there is no module 'mine' to import"))


def test_an_installed_method_by_its_name(mine: Path) -> None:
    site = mine / "site"
    info = site / "theirs-1.0.dist-info"
    info.mkdir(parents=True)
    shutil.move(mine / "mine.py", site / "theirs.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seqdis.methods]\ntiny = theirs:Tiny\n")
    code = "import sys; from seqdis.cli import main; sys.exit(max(main(words.split()) for words in sys.argv[1:]))"
    words = ["list methods", "fit tiny a.npy --training.max-epochs 1 --out run", "encode run a.npy"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=mine, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "Tiny on file: 9 sequences, 8 steps of (3,)\n")
    assert re.search(r"^  tiny +Static code: a linear map of the mean step\.", done.stdout, re.MULTILINE)
    with np.load(mine / "codes.npz") as codes:
        assert codes["static"].shape == (12, 2)
