"""Studies: methods x data x seeds, run once, kept in a store, summarised with what the numbers can bear."""

from seqdis.benchmark.gathering import collect
from seqdis.benchmark.runner import Outcome, Stage, run_missing, run_study
from seqdis.benchmark.store import design, plan
from seqdis.benchmark.study import Study, load_study
from seqdis.benchmark.summary import summarise

__all__ = [
    "Outcome",
    "Stage",
    "Study",
    "collect",
    "design",
    "load_study",
    "plan",
    "run_missing",
    "run_study",
    "summarise",
]
