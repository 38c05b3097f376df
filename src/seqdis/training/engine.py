"""The only file that knows devices, precision and the distributed engine (Lightning Fabric)."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from seqdis.errors import DataError, SettingsError
from seqdis.nn.network import Network
from seqdis.sequences import Array, Batch, DataSpec, Sequences
from seqdis.training.settings import Training

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4


class Engine:
    """One device with its precision: sets up modules, runs backward passes, holds data.

    Fabric takes a second or two to import, hence the import on first use.
    """

    def __init__(self, settings: Training, spec: DataSpec | None = None) -> None:
        from lightning_fabric import Fabric

        precision = _precision(settings, spec)
        try:
            self.fabric: Fabric = Fabric(accelerator=settings.accelerator, devices=1, precision=precision)
        except RuntimeError as error:
            raise SettingsError(f"Training.accelerator = {settings.accelerator!r}: {error}") from error
        self.device: torch.device = self.fabric.device

    def setup(self, network: Network, settings: Training) -> list[Any]:
        """Move the network to the device; one optimiser per objective."""
        self.fabric.setup_module(network)
        fused = self.device.type in ("cpu", "cuda")
        optimisers = [
            torch.optim.Adam(network.parameters_of(name), settings.lr, network.betas, fused=fused)
            for name in network.objectives
        ]
        return [self.fabric.setup_optimizers(optimiser) for optimiser in optimisers]

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision's context; batches go in unchanged (Fabric's own wrapper copies dataclasses)."""
        return self.fabric.autocast()

    def backward(self, loss: Tensor, parameters: list[Tensor] | None = None, *, keep: bool = False) -> None:
        """Gradients of the loss, scaled as the precision asks; ``keep`` the graph for another loss.

        With ``parameters``, in these only.
        """
        self.fabric.backward(loss, inputs=parameters, retain_graph=keep)

    def clip(self, parameters: list[Tensor], norm: float) -> None:
        """Scale the gradient of these parameters down to a norm."""
        torch.nn.utils.clip_grad_norm_(parameters, norm)

    def generator(self, seed: int) -> torch.Generator:
        """A source of random numbers on the device."""
        return torch.Generator(self.device).manual_seed(seed)


@contextmanager
def cpu_threads(settings: Training, spec: DataSpec) -> Iterator[None]:
    """Run with the threads that suit the data, for video with memory kept too; give both back after."""
    before = torch.get_num_threads()
    wanted = settings.threads or (1 if spec.kind == "series" else before)
    torch.set_num_threads(wanted)
    try:
        with kept_memory() if spec.kind == "image" else nullcontext():
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory in the process for the next step, where the C library is glibc.

    It would go back to the system, block by block above 32 MiB, and come again as pages that have
    to be cleared: for maps of that size this costs more time than what is computed on them.
    """
    try:
        library = ctypes.CDLL(None)
        mallopt, trim = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):
        yield
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        # Where glibc's own adaptation ends once large blocks have been freed: 32 MiB, and twice that.
        mallopt(M_MMAP_MAX, 65536)
        mallopt(M_MMAP_THRESHOLD, 2**25)
        mallopt(M_TRIM_THRESHOLD, 2**26)
        trim(0)


def coding_device(accelerator: str) -> torch.device:
    """Where a trained network computes codes: a GPU of CUDA where ``accelerator`` may pick one and there is one.

    Models that were fitted on a GPU are loaded elsewhere, too. Metal lacks the double precision that some methods use.
    """
    gpu = accelerator in ("auto", "cuda") and torch.cuda.is_available()
    return torch.device("cuda", 0) if gpu else torch.device("cpu")


def has_bfloat16(accelerator: str) -> bool:
    """Whether the processor, or the GPU that ``accelerator`` picks, computes with bfloat16 in hardware."""
    if coding_device(accelerator).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older releases of torch do not say
    return accelerator != "mps" and bool(known.get("avx512_bf16") or known.get("amx_bf16"))


class Store:
    """Sequences on a device, ready to be cut into batches.

    Video stays in the stored type (bytes) and is brought to [0, 1] batch by batch; series are
    normalised and cleared of what was not observed once, here. Lengths stay known to the host, so
    that a batch is cropped to its longest sequence without asking the device: nothing beyond that
    is computed on, in training or encoding.
    """

    def __init__(self, sequences: Sequences, spec: DataSpec, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.image = spec.kind == "image"
        self.lengths = sequences.lengths
        reached = sequences.x.shape[1] if self.lengths is None else int(self.lengths.max())
        partial = sequences.mask is not None or sequences.lengths is not None
        mask = sequences.observed()[:, :reached] if partial else None
        x = sequences.x[:, :reached]
        if not self.image:
            x = x - _every_step(spec.center, x)
            x /= _every_step(spec.scale, x)
            if mask is not None:
                # Not by multiplying: what is marked as missing may be NaN.
                np.copyto(x, 0.0, where=~(mask if spec.kind == "series" else mask[..., None]))
            if not np.isfinite(x).all():
                raise DataError(f"{sequences.name}: values are too far from those that the model was fitted on.")
        # Images are brought to [0, 1] by how they are stored, whatever the model was fitted on.
        self.scale = float(sequences.spec.scale[0])
        self.x = self._keep(x.astype(np.float32, copy=False) if not self.image else x)
        self.mask = None if mask is None else self._keep(mask)
        self.times = None if sequences.times is None else self._keep(sequences.times)

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Tensor) -> Batch:
        """The batch of these rows (int64, on the host)."""
        time = self.x.shape[1]
        lengths: Tensor | None = None
        if self.lengths is not None:
            counts = self.lengths[rows.numpy()]
            time = int(counts.max())
            lengths = torch.from_numpy(counts.astype(np.int64)).to(self.device, non_blocking=True)
        x = self._cut(self.x, rows, time)
        mask = None if self.mask is None else self._cut(self.mask, rows, time)
        if self.image:
            x = x.float() / self.scale
            if mask is not None:
                x = torch.where(mask[:, :, None, None, None], x, 0.0)
        times = None if self.times is None else self._cut(self.times, rows, time)
        return Batch(x=x, mask=mask, lengths=lengths, times=times, index=rows.to(self.device, non_blocking=True))

    def _keep(self, values: Array) -> Tensor:
        with warnings.catch_warnings():
            # Arrays may be read-only (memory maps, broadcast masks): nothing writes to what is kept.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensor = torch.from_numpy(np.ascontiguousarray(values))
        return tensor.to(self.device) if tensor.nbytes < _room(self.device) else tensor

    def _cut(self, values: Tensor, rows: Tensor, time: int) -> Tensor:
        picked = values[:, :time].index_select(0, rows.to(values.device))
        return picked.to(self.device, non_blocking=True)


def _precision(settings: Training, spec: DataSpec | None) -> Literal["32-true", "bf16-mixed"]:
    if settings.precision != "auto":
        return settings.precision
    video = spec is not None and spec.kind == "image"
    return "bf16-mixed" if video and has_bfloat16(settings.accelerator) else "32-true"


def _every_step(values: tuple[float, ...], x: Array) -> Array:
    """One float32 per step and feature: NumPy adds few long rows much faster than many short ones."""
    return np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype=np.float32), x.shape[1:]))


def _room(device: torch.device) -> float:
    """Bytes of one array that may live on the device: half of what is free on a GPU, all on a CPU."""
    if device.type != "cuda":
        return float("inf")
    return torch.cuda.mem_get_info(device)[0] / 2
