"""Run folders: what is written, when, and how a killed run goes on.

``run.json`` (what the run is), ``weights.safetensors`` (the fitted network), ``resume.pt``
(training state, read with ``weights_only``), ``log.jsonl`` (one line per epoch). Every file is
written beside its place and moved there, so a kill leaves the old one or the new one.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from safetensors.torch import save as dump_weights

from seqdis.disk import alone, check_writable, obstacle, unreadable, write_bytes, write_json
from seqdis.errors import RunFolderError
from seqdis.nn.network import Network
from seqdis.training.settings import Training

FORMAT = 1
_LOCK = "fit.lock"
_UNREADABLE = (OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError, pickle.UnpicklingError)


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    path : folder, made when something is written
    identity : mapping
        What makes this run itself (method, settings signature, data fingerprint, seed). A folder
        that holds another identity is refused, never overwritten.
    """

    def __init__(self, path: str | Path, identity: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.identity = dict(identity or {})
        self._saved_at = time.monotonic()

    def claim(self, description: Mapping[str, Any]) -> bool:
        """Start or find the run; true if it is already finished.

        Of a run that was described before only where its data lie is written anew: they may have moved since. A
        fit that ended before its first epoch did, refused or diverged, keeps no place.

        Raises
        ------
        RunFolderError
            The folder holds another run, or something that is not a run.
        SeqdisError
            It cannot be written.
        """
        if (self.path / "run.json").exists():
            found = self.read()
            theirs = found["identity"] if isinstance(found.get("identity"), dict) else {}
            if theirs != self.identity and self._holds_nothing(found):
                write_json(self.path / "run.json", {"format": FORMAT, "identity": self.identity, **description})
                return False
            if theirs != self.identity:
                differs = [key for key in {**theirs, **self.identity} if theirs.get(key) != self.identity.get(key)]
                raise RunFolderError(
                    f"{self.path} holds another run (different: {', '.join(sorted(differs))}). "
                    "Give another --out, or delete the folder."
                )
            finished = "weights_sha256" in found
            place = description.get("about", {}).get("data")
            moved = place and isinstance(found.get("about"), dict) and found["about"].get("data") != place
            if moved and not (finished and obstacle(self.path)):  # a finished run may be another's, to be read only
                write_json(self.path / "run.json", found | {"about": found["about"] | {"data": place}})
            return finished
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path} is a file, not a folder. Give another --out.")
        if self.path.is_dir() and any(_is_foreign(each) for each in self.path.iterdir()):
            raise RunFolderError(f"{self.path} exists and holds no run. Give another --out, or empty the folder.")
        check_writable(self.path)
        write_json(self.path / "run.json", {"format": FORMAT, "identity": self.identity, **description})
        return False

    def finished(self) -> bool:
        """Whether the folder holds weights that nothing will be added to; whose, `claim` tells."""
        return (self.path / "run.json").exists() and "weights_sha256" in self.read()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from training into this folder.

        Raises
        ------
        RunFolderError
            Another process is at it.
        """
        lock = self.path / _LOCK
        if obstacle(lock):  # `claim` says so
            yield
            return
        with ExitStack() as held:
            try:
                held.enter_context(alone(lock, wait=False))
            except BlockingIOError:
                raise RunFolderError(
                    f"{self.path}: another process is fitting this run. Wait for it, or give another --out."
                ) from None
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)

    def _holds_nothing(self, content: Mapping[str, Any]) -> bool:
        begun = (self.path / "resume.pt").exists() or bool(self.history())
        return not begun and "weights_sha256" not in content

    def read(self) -> dict[str, Any]:
        """``run.json``, checked for being one.

        Raises
        ------
        RunFolderError
            Missing, truncated, or of an unknown format.
        """
        path = self.path / "run.json"
        try:
            content = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise RunFolderError(f"{self.path} is not a run folder: it has no run.json.") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise RunFolderError(unreadable(path, error, ": truncated or altered.")) from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise RunFolderError(f"{path}: expected format {FORMAT}; this is not a run.json that seqdis wrote.")
        return content

    def finish(self, network: Network, description: Mapping[str, Any]) -> None:
        """Write the weights, then their checksum into ``run.json``; the training state goes."""
        weights = dump_weights(
            {name: value.detach().contiguous().cpu() for name, value in network.state_dict().items()}
        )
        write_bytes(self.path / "weights.safetensors", weights)
        checksum = hashlib.sha256(weights).hexdigest()
        content = {"format": FORMAT, "identity": self.identity, **description, "weights_sha256": checksum}
        write_json(self.path / "run.json", content | {"description_sha256": _description_checksum(content)})
        (self.path / "resume.pt").unlink(missing_ok=True)
        for left in self.path.glob("*.partial"):  # of processes that were killed while they wrote
            left.unlink(missing_ok=True)

    def check_finished(self, content: Mapping[str, Any]) -> None:
        """Refuse a ``run.json`` of an unfinished run, or one that was altered.

        Raises
        ------
        RunFolderError
        """
        if "weights_sha256" not in content:
            raise RunFolderError(f"{self.path}: this run is not finished. Run the same `seqdis fit` again to go on.")
        if content.get("description_sha256") != _description_checksum(content):
            raise RunFolderError(f"{self.path}/run.json does not match its own checksum: its settings were altered.")

    def load_weights(self, network: Network) -> None:
        """Fill a network with the saved weights.

        Raises
        ------
        RunFolderError
            Unfinished run; weights missing, truncated, altered, or of another network.
        """
        content, path = self.read(), self.path / "weights.safetensors"
        self.check_finished(content)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise RunFolderError(unreadable(path, error, ".")) from error
        if hashlib.sha256(raw).hexdigest() != content["weights_sha256"]:
            raise RunFolderError(f"{path} does not match the checksum in run.json: truncated or altered.")
        try:
            network.load_state_dict(load_weights(raw))
        except (SafetensorError, RuntimeError) as error:
            raise RunFolderError(f"{path} does not fit the network that run.json describes: {error}") from error

    def save_state(
        self, network: Network, optimisers: list[Any], history: list[dict[str, Any]], settings: Training
    ) -> None:
        """Log the epoch; every ``save_seconds`` also write the state to resume from."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "log.jsonl").open("a") as log:
            log.write(json.dumps(history[-1]) + "\n")
        if time.monotonic() - self._saved_at < settings.save_seconds and len(history) < settings.max_epochs:
            return
        state = {
            "network": network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
            "history": history,
        }
        packed = io.BytesIO()  # torch's own writing hides that a disk is full
        torch.save(state, packed)
        write_bytes(self.path / "resume.pt", packed.getbuffer())
        self._saved_at = time.monotonic()

    def resume(self, network: Network, optimisers: list[Any], device: torch.device) -> list[dict[str, Any]]:
        """Load the last state written, if any; returns the history up to there.

        Raises
        ------
        RunFolderError
            The state cannot be read: delete ``resume.pt`` to start this run again.
        """
        path, history = self.path / "resume.pt", []
        if path.exists():
            try:
                state = torch.load(path, map_location=device, weights_only=True)
                network.load_state_dict(state["network"])
                for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
                    optimiser.load_state_dict(saved)
                history = list(state["history"])
                if [record["epoch"] for record in history] != list(range(1, len(history) + 1)):
                    raise ValueError("epochs are not in order")
            except _UNREADABLE as error:
                # PyTorch's own words advise to load it as code; ours do not repeat them.
                raise RunFolderError(
                    f"{path} cannot be resumed from: truncated, altered or another network's. Delete it to start again."
                ) from error
        # Epochs after the last state will be done again: their lines go.
        self.write_history(history)
        return history

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Write ``log.jsonl`` anew."""
        lines = "".join(json.dumps(record) + "\n" for record in history)
        write_bytes(self.path / "log.jsonl", lines.encode())

    def history(self) -> list[dict[str, Any]]:
        """The records of ``log.jsonl``."""
        path = self.path / "log.jsonl"
        try:
            records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        except ValueError as error:
            raise RunFolderError(f"{path} cannot be read: {error}.") from error
        for number, record in enumerate(records, 1):
            if not (isinstance(record, dict) and {"epoch", "train"} <= record.keys()):
                raise RunFolderError(f"{path}, line {number}: expected the record of an epoch; truncated or altered.")
        return records


def _is_foreign(path: Path) -> bool:
    """Not one of the files that a fit leaves before it has written anything of worth."""
    return path.name != _LOCK and path.suffix != ".partial"


def _description_checksum(content: Mapping[str, Any]) -> str:
    """Hash of what decides the codes beside the weights: method, settings and data description."""
    text = json.dumps([content.get(key) for key in ("method", "settings", "spec")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
