"""What all tests share: one thread, checked shapes, a cache folder of their own, and the place of real data."""

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # must be set before torch starts its threads

import pytest
import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)

# Before the first import of these modules: shapes in their annotations are checked in all tests.
install_import_hook(["seqdis.factors", "seqdis.losses", "seqdis.nn", "seqdis.methods"], "shapes.checked")


@pytest.fixture(autouse=True)
def same_draws():
    """Tests that draw weights or data without a generator get the same ones in any order."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep prepared data out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQDIS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def data_root():
    """Folder of real data, SEQDIS_DATA; skips without it."""
    given = os.environ.get("SEQDIS_DATA")
    if not given or not Path(given).is_dir():
        pytest.skip("no real data: set SEQDIS_DATA to a folder that holds them")
    return Path(given)
