"""From a fitted model to evidence: scores, probes, controls and the printed numbers."""

from seqdis.evaluation.published import published
from seqdis.evaluation.report import Report, Score, merge

__all__ = ["Report", "Score", "merge", "published"]
