import doctest
import importlib
import pkgutil

import pytest

import seqdis

MODULES = [module.name for module in pkgutil.walk_packages(seqdis.__path__, "seqdis.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
