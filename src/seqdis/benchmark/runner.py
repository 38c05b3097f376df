"""Running a study: what is missing is fitted and evaluated, what is there is reused, what fails is named."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from seqdis import entries
from seqdis.benchmark.gathering import collect
from seqdis.benchmark.store import Run, design, plan
from seqdis.benchmark.study import STUDY_MODULE, Study
from seqdis.benchmark.summary import check_reference
from seqdis.disk import alone
from seqdis.errors import DataError, SeqdisError, SettingsError, unknown_name
from seqdis.evaluation.report import Report, provenance
from seqdis.hyperparameters import to_dict
from seqdis.protocols import Protocol

DIED = "its process ended without a word: killed, or out of memory. Use fewer jobs, or a smaller batch."


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one run ended.

    Parameters
    ----------
    run : Run
    seconds : float
        Wall time of this attempt, a resumed part of the fit not counted.
    error : str
        Why it failed; empty if it did not.
    """

    run: Run
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where a run is that has not ended.

    Parameters
    ----------
    run : Run
    what : str
        "fit", or the label of the protocol that begins.
    done, total : int
        Steps of the fit, those before a kill counted; or protocols before this one, and all.
    record : mapping or None
        Of the epoch that has just ended, as in ``model.history_``.
    """

    run: Run
    what: str
    done: int
    total: int
    record: Mapping[str, Any] | None = None


Watcher = Callable[[Outcome, int, int], None]
"""Called with (outcome, runs ended, runs in all) whenever a run ends."""
StageWatcher = Callable[[Stage], None]
"""Called after every step of a fit and before every protocol."""


def run_study(
    study: Study,
    *,
    store: str | Path = "runs/store",
    jobs: int = 1,
    only: Sequence[str] = (),
    watch: Watcher | None = None,
    watch_stages: StageWatcher | None = None,
    command: str = "",
) -> tuple[Report, tuple[Outcome, ...]]:
    """Fit and evaluate what the store does not hold yet.

    Parameters
    ----------
    study : Study
    store : path
        Folder of runs, shared by all studies. The same call after a kill goes on from there.
    jobs, only, watch, watch_stages
        See `run_missing`.
    command : str
        Kept with every run.

    Returns
    -------
    report : Report
        Rows of all that is in the store, see `seqdis.benchmark.gathering.collect`.
    failures : tuple of Outcome
        Runs that failed now. The others went on.

    Raises
    ------
    SettingsError, DataError
        The study cannot be run at all.
    """
    study.check()
    runs = plan(study, store, command)
    failures = run_missing(study, runs, jobs=jobs, only=only, watch=watch, watch_stages=watch_stages)
    return collect(study, runs), failures


def run_missing(
    study: Study,
    runs: Sequence[Run],
    *,
    jobs: int = 1,
    only: Sequence[str] = (),
    watch: Watcher | None = None,
    watch_stages: StageWatcher | None = None,
) -> tuple[Outcome, ...]:
    """Run what is to do of a plan; returns the failures.

    Parameters
    ----------
    study : Study
    runs : sequence of Run
        All of `seqdis.benchmark.store.plan`.
    jobs : int
        Processes, each with one thread; 1: this one. In a script, more than one needs the usual
        ``if __name__ == "__main__":``.
    only : sequence of str
        Labels of methods to run; none: all.
    watch : callable or None
    watch_stages : callable or None
        See `StageWatcher`; with one job only.

    Raises
    ------
    SettingsError
        Unknown label, or a reference that turns out to be no control.
    """
    if jobs < 1:
        raise SettingsError(f"jobs = {jobs}: expected at least 1.")
    for label in only:
        if label not in study.methods:
            raise SettingsError(f"only: {unknown_name('method of the study', label, study.methods)}")
    missing = [run for run in runs if not run.done() and (not only or run.label in only)]
    failures = []
    # What controls are called is known only when some were measured: better then than after all runs.
    check_reference(collect(study, runs), design(study, runs))
    for ended, outcome in enumerate(_outcomes(missing, jobs, watch_stages), start=1):
        if outcome.error:
            failures.append(outcome)
        if watch is not None:
            watch(outcome, ended, len(missing))
        if outcome.run.leads:
            check_reference(collect(study, runs), design(study, runs))
    return tuple(failures)


def execute(run: Run, watch: StageWatcher | None = None) -> None:
    """Fit and evaluate; each part that is in the store already is read instead."""

    def stage(what: str, done: int, total: int, record: Mapping[str, Any] | None = None) -> None:
        if watch is not None:
            watch(Stage(run=run, what=what, done=done, total=total, record=record))

    # Two studies that share a run would otherwise train it twice, into one folder.
    with alone(run.store / "locks" / run.folder.name):
        data = run.split.data.replace()
        if {name: part.fingerprint() for name, part in data.parts().items()} != run.split.fingerprints:
            raise DataError(f"{run.split.label}: the data have changed since the study began; start the command again.")
        about = {
            "data": {"entry": entries.name_of(type(data)), "settings": to_dict(data)},
            "command": run.command,
            "hardware": provenance({})["hardware"],
        }
        model = run.model.replace().fit(data, out=run.folder, about=about, watch=partial(stage, "fit"))
        for before, (label, protocol) in enumerate(run.protocols.items()):
            stage(label, before, len(run.protocols))
            _evaluate(run, model, data, protocol)


def _evaluate(run: Run, model: Any, data: Any, protocol: Protocol) -> None:
    own, shared = run.scores_path(protocol), run.controls_path(protocol)
    controls = run.leads and not shared.exists()
    if own.exists() and not controls:
        return
    protocol.prepare(data)
    started = time.perf_counter()
    report = protocol.run(model, data, controls=controls)
    seconds = {protocol.name: round(time.perf_counter() - started, 2)}
    models = tuple(score for score in report if score.role == "model")
    others = tuple(score for score in report if score.role != "model")
    # Measuring controls takes far longer than the model's own rows: a time of both says nothing of the method.
    about = {**report.provenance, "seconds": {} if controls else seconds}
    replace(report, scores=models, provenance=about).save(own)
    if controls:
        replace(report, scores=others, provenance={**report.provenance, "seconds with controls": seconds}).save(shared)


def _outcomes(runs: Sequence[Run], jobs: int, watch: StageWatcher | None) -> Iterator[Outcome]:
    return (_attempt(run, watch) for run in runs) if jobs == 1 else _in_workers(runs, jobs)


def _attempt(run: Run, watch: StageWatcher | None = None) -> Outcome:
    started, error = time.perf_counter(), ""
    try:
        execute(run, watch)
    except SeqdisError as refused:
        error = str(refused)
    except (Exception, SystemExit):  # a bug or a full disk must not take the other runs with it; its traceback is kept
        error = traceback.format_exc()
    return Outcome(run=run, seconds=time.perf_counter() - started, error=error)


def _in_workers(runs: Sequence[Run], jobs: int) -> Iterator[Outcome]:
    stuck = [run for run in runs if _of_study_file(run)]  # a worker would die of one, and the pool with it
    yield from (Outcome(run=run, error=_unsendable("the study file is no module")) for run in stuck)
    waiting = deque(run for run in runs if run not in stuck)
    while waiting:
        for lost in (yield from _one_pool(waiting, jobs)):
            # A pool that broke does not say at which run: alone, the guilty one breaks it again.
            if (yield from _one_pool(deque([lost]), 1)):
                yield Outcome(run=lost, error=DIED)


def _one_pool(waiting: deque[Run], jobs: int) -> Generator[Outcome, None, list[Run]]:
    """Outcomes of what was waiting; returns the runs that were under way when a worker died."""
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # forked processes may not use threads or devices of their parent
    flying: dict[Future[Outcome], Run] = {}
    lost: list[Run] = []
    with ProcessPoolExecutor(min(jobs, len(waiting)), mp_context=context, initializer=_begin_worker) as pool:
        try:
            while flying or (waiting and not lost):
                # No more than there are workers: what is under way is then known, should one of them die.
                while waiting and len(flying) < jobs and not lost:
                    run = waiting.popleft()
                    flying[_submit(pool, run)] = run
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    run, error = flying.pop(future), future.exception()
                    if isinstance(error, BrokenProcessPool):
                        lost.append(run)
                    else:
                        yield future.result() if error is None else Outcome(run=run, error=_unsendable(error))
        except BaseException:
            for worker in set(multiprocessing.active_children()) - before:
                worker.terminate()
            raise
    return lost


def _submit(pool: ProcessPoolExecutor, run: Run) -> Future[Outcome]:
    try:
        return pool.submit(_attempt, run)
    except BrokenProcessPool as error:  # a worker died while it had nothing to do
        failed: Future[Outcome] = Future()
        failed.set_exception(error)
        return failed


def _of_study_file(run: Run) -> bool:
    entries_used = (run.model, run.split.data, *run.protocols.values())
    return any(type(entry).__module__.startswith(STUDY_MODULE) for entry in entries_used)


def _unsendable(error: BaseException | str) -> str:
    return (
        f"it cannot be sent to a worker process ({error}). Classes of your own belong in a module beside the study "
        "file; or use one job."
    )


def _begin_worker() -> None:
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker that outlived its parent would train on, beside the same command given again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
