"""Sequences -> codes -> sequences with a trained network, some at a time: what the calls of an estimator share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from seqdis.errors import DataError
from seqdis.factors import Factors
from seqdis.nn.network import Network
from seqdis.sequences import Array, Sequences
from seqdis.training.engine import Store

BATCH = 512
"""Sequences per call; an eighth of it for frames, whose maps are large."""


def encoded(network: Network, data: Sequences, generator: torch.Generator | None = None) -> Factors:
    """Posterior means, or with a generator one sample, of all sequences, on the CPU; zero in padded windows."""
    store = Store(data, network.spec, device_of(network))
    windows = -(-data.x.shape[1] // network.stride)
    if network.training:  # a walk through all modules
        network.eval()
    parts = []
    with torch.inference_mode():
        for rows in _chunks(network, len(data)):
            batch = store.take(torch.arange(rows.start, rows.stop))
            codes = network.encode(batch).mean() if generator is None else network.draw(batch, generator)
            parts.append(_padded(codes, windows))
    counts = [part.lengths for part in parts if part.lengths is not None]
    # Clones are plain tensors: those of inference mode refuse to be part of anything that is differentiated.
    return Factors(
        torch.cat([part.static for part in parts]).cpu().clone(),
        torch.cat([part.dynamic for part in parts]).cpu().clone(),
        torch.cat(counts).cpu().clone() if counts else None,
        network.stride,
    )


def as_codes(factors: Factors, dims: tuple[int, int]) -> Factors:
    """Codes as a network reads them, of tensors or of arrays (such as `seqdis encode` writes).

    Raises
    ------
    DataError
        No numbers, or other sizes than ``dims``: of the static and of a dynamic code.
    """
    try:
        static, dynamic = (torch.as_tensor(code).float() for code in factors)
        lengths = None if factors.lengths is None else torch.as_tensor(factors.lengths).long()
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"decode: codes are no numbers ({error}); expected tensors or arrays.") from error
    sizes = (static.shape[1:], dynamic.shape[2:])
    if static.ndim != 2 or dynamic.ndim != 3 or len(static) != len(dynamic) or sizes != ((dims[0],), (dims[1],)):
        raise DataError(
            f"decode: static codes {tuple(static.shape)} and dynamic codes {tuple(dynamic.shape)}; expected "
            f"(n, {dims[0]}) and (n, windows, {dims[1]}), as encode() gives them."
        )
    return Factors(static, dynamic, lengths, factors.stride)


def decoded(network: Network, codes: Factors) -> Array:
    """Mean observations of codes, (n, windows * stride, *features): images in [0, 1], the rest in data units."""
    spec, device = network.spec, device_of(network)
    if network.training:  # a walk through all modules
        network.eval()
    with torch.inference_mode():
        parts = [network.decode(codes[rows].to(device)).cpu() for rows in _chunks(network, len(codes))]
    made = torch.cat(parts)
    return (made if spec.kind == "image" else made * torch.tensor(spec.scale) + torch.tensor(spec.center)).numpy()


def cut(made: Array, like: Sequences) -> Array:
    """Decoded sequences with the steps of others, missing where those are padded."""
    made = made[:, : like.x.shape[1]]
    if like.lengths is not None:
        made[np.arange(made.shape[1]) >= like.lengths[:, None]] = np.nan
    return made


def device_of(network: nn.Module) -> torch.device:
    """Where its parameters lie."""
    return next(network.parameters()).device


def _chunks(network: Network, n: int) -> Iterator[slice]:
    size = BATCH if network.spec.kind == "series" else max(1, BATCH // 8)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _padded(codes: Factors, windows: int) -> Factors:
    """Codes of a cropped batch, with zeros up to the windows of the whole set and beyond each length."""
    dynamic = codes.dynamic
    if codes.lengths is not None:
        dynamic = dynamic * codes.valid().unsqueeze(-1)
    missing = windows - dynamic.shape[1]
    if missing > 0:
        dynamic = torch.nn.functional.pad(dynamic, (0, 0, 0, missing))
    return Factors(codes.static, dynamic, codes.lengths)
