"""Judges on disk: trained once per settings and data, then loaded."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqdis.disk import alone, obstacle, replacing
from seqdis.evaluation.judge import Judge, Watcher
from seqdis.evaluation.judge_network import JudgeNetwork
from seqdis.hyperparameters import signature
from seqdis.sequences import Sequences

VERSION = 2
"""Raised when network or training of `Judge` change: judges of before are then trained anew."""

_log = logging.getLogger(__name__)


def fitted_judge(
    judge: Judge, train: Sequences, valid: Sequences, folder: Path, *, watch: Watcher | None = None
) -> Judge:
    """A fitted copy of a judge, from the folder if it was trained before.

    Parameters
    ----------
    judge : Judge
        Its settings; left unfitted.
    train, valid : Sequences
    folder : Path
        Where trained judges are kept, as weights without code.
    watch : callable, optional
        See `seqdis.evaluation.judge.Watcher`; not called where nothing is trained.

    Notes
    -----
    A file appears whole or not at all and holds a checksum of its weights; a damaged one is trained
    anew. Of several processes that lack the same judge one trains it, and the others wait. If the folder cannot be
    written the judge is still returned and a warning is logged.
    """
    path = folder / f"judge-{cache_key(judge, train, valid)}.safetensors"
    with nullcontext() if obstacle(path) else alone(path.with_suffix(".lock")):
        kept = _kept(judge, train, path)
        if kept is not None:
            return kept
        fitted: Judge = judge.replace().fit(train, valid, watch=watch)
        try:
            _store(fitted, path)
        except OSError as error:
            _log.warning("the judge is not cached: cannot write %s (%s)", path, error)
        return fitted


def cache_key(judge: Judge, train: Sequences, valid: Sequences) -> str:
    """Hash of all that decides the weights: settings, both parts, version. What happens below a floor does not."""
    settings = signature(judge.replace(floor=Judge.floor, on_weak=Judge.on_weak))
    text = json.dumps([VERSION, settings, train.fingerprint(), valid.fingerprint()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _kept(judge: Judge, train: Sequences, path: Path) -> Judge | None:
    """The judge of this file; None where there is none that can be used."""
    if not path.exists():
        return None
    stored: Judge = judge.replace()
    network = stored.fresh_network(train)  # what goes wrong here is no fault of the file
    try:
        stored.history_ = _load(network, path)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        _log.warning("training the judge anew: the cache file %s is damaged (%s)", path, error)
        return None
    stored.network_ = network.eval()
    return stored


def _load(network: JudgeNetwork, path: Path) -> list[dict[str, Any]]:
    """Fill a network with stored weights; the history of their training."""
    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {})["judge"])
    weights = load_file(path)
    if about["weights"] != _checksum(weights):
        raise ValueError("the weights do not match their checksum")
    network.load_state_dict(weights)
    return [dict(record) for record in about["history"]]


def _store(judge: Judge, path: Path) -> None:
    weights = {name: value.detach().cpu().contiguous() for name, value in judge.network_.state_dict().items()}
    about = {"history": judge.history_, "weights": _checksum(weights)}
    with replacing(path) as partial:
        save_file(weights, partial, metadata={"judge": json.dumps(about)})


def _checksum(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].numpy().tobytes())
    return digest.hexdigest()
