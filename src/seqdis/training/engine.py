"""The only file that knows devices, precision and the distributed engine (Lightning Fabric)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from seqdis.nn.network import Network
from seqdis.sequences import Array, Batch, DataSpec, Sequences
from seqdis.training.settings import Training

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Engine:
    """One device with its precision: sets up modules, runs backward passes, holds data.

    Fabric takes a second or two to import, hence the import on first use.
    """

    def __init__(self, settings: Training) -> None:
        from lightning_fabric import Fabric

        self.fabric: Fabric = Fabric(accelerator=settings.accelerator, devices=1, precision=settings.precision)
        self.device: torch.device = self.fabric.device

    def setup(self, network: Network, settings: Training) -> tuple[Any, list[Any]]:
        """The wrapped network and one optimiser per objective."""
        if self.device.type == "cuda":
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimisers = [
            torch.optim.Adam(network.parameters_of(name), lr=settings.lr, fused=self.device.type in ("cpu", "cuda"))
            for name in network.objectives
        ]
        wrapped, *rest = self.fabric.setup(network, *optimisers)
        return wrapped, rest

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss, scaled as the precision asks."""
        self.fabric.backward(loss)

    def clip(self, network: Any, optimiser: Any, norm: float) -> None:
        """Scale the gradient down to a norm."""
        self.fabric.clip_gradients(network, optimiser, max_norm=norm)

    def generator(self, seed: int) -> torch.Generator:
        """A source of random numbers on the device."""
        return torch.Generator(self.device).manual_seed(seed)


class Store:
    """Sequences on a device, in the stored type; batches are cut out and normalised there.

    Lengths stay known to the host, so that a batch is cropped to its longest sequence without
    asking the device. Nothing beyond that length is computed on, in training or encoding.
    """

    def __init__(self, sequences: Sequences, spec: DataSpec, device: torch.device | str = "cpu") -> None:
        # Images are brought to [0, 1] by how they are stored (bytes or floats); series by what the
        # model was fitted on.
        norm = sequences.spec if spec.kind == "image" else spec

        def move(values: Array | None) -> Tensor | None:
            if values is None:
                return None
            tensor = torch.from_numpy(np.ascontiguousarray(values))
            return tensor.to(device) if tensor.nbytes < _room(device) else tensor

        x = move(sequences.x)
        assert x is not None
        self.device = torch.device(device)
        self.x: Tensor = x
        self.mask = move(sequences.mask)
        self.times = move(sequences.times)
        self.lengths = sequences.lengths
        self.series = spec.kind == "series"
        shape = (-1,) if spec.kind != "image" else (-1, 1, 1)
        self.center = torch.tensor(norm.center, dtype=torch.float32, device=device).view(shape)
        self.factor = 1.0 / torch.tensor(norm.scale, dtype=torch.float32, device=device).view(shape)

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

        def some(values: Tensor | None) -> Tensor | None:
            if values is None:
                return None
            picked = values[:, :time].index_select(0, rows.to(values.device))
            return picked.to(self.device, non_blocking=True)

        x, mask = some(self.x), some(self.mask)
        assert x is not None
        x = (x.float() - self.center) * self.factor
        index = rows.to(self.device, non_blocking=True)
        batch = Batch(x=x, mask=mask, lengths=lengths, times=some(self.times), index=index)
        return _without_unseen(batch, self.series)


def _without_unseen(batch: Batch, series: bool) -> Batch:
    """Zeros where nothing was observed, so that no stored filler can reach a network."""
    if batch.mask is None and batch.lengths is None:
        return batch
    seen = batch.valid_steps()
    mask = batch.mask
    if mask is not None:
        mask = mask & (seen.unsqueeze(-1) if series else seen)
    elif series:
        mask = seen.unsqueeze(-1).expand_as(batch.x)
    else:
        mask = seen
    wide = mask.reshape(*mask.shape, *[1] * (batch.x.ndim - mask.ndim))
    x = torch.where(wide, batch.x, 0.0)
    return Batch(x=x, mask=mask, lengths=batch.lengths, times=batch.times, index=batch.index)


def _room(device: torch.device | str) -> float:
    """Bytes of one array that may live on the device: half of what is free on a GPU, all on a CPU."""
    device = torch.device(device)
    if device.type != "cuda":
        return float("inf")
    return torch.cuda.mem_get_info(device)[0] / 2
