"""seqdis: one static code per sequence, one dynamic code per step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Batch", "DataSpec", "FactorSpec", "Factors", "Sequences", "load"]

if TYPE_CHECKING:
    from seqdis.estimator import load
    from seqdis.factors import Factors
    from seqdis.sequences import Batch, DataSpec, FactorSpec, Sequences

_WHERE = {
    "Batch": "seqdis.sequences",
    "DataSpec": "seqdis.sequences",
    "FactorSpec": "seqdis.sequences",
    "Sequences": "seqdis.sequences",
    "Factors": "seqdis.factors",
    "load": "seqdis.estimator",
}


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that ``import seqdis`` and ``seqdis --help`` stay instant."""
    if name not in _WHERE:
        raise AttributeError(f"module 'seqdis' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)
