"""Linear latent dynamics: an autoencoder, operators by least squares, penalties on spectra, eigen-subspaces.

Latents are rows and an operator ``C`` acts from the right: ``z_(t+1) = z_t C``. An eigenvalue ``lambda`` of
``C`` has a part of the latent that is multiplied by it at every step: with eigenvalue 1 that part stays.

Operators are computed in double precision on the CPU: eigenvalues of matrices as small as these are no faster
elsewhere, some accelerators know neither, and LAPACK returns conjugate pairs that are exactly conjugate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn
from torch.nn.functional import relu

from seqdis.errors import SeqdisError, SettingsError
from seqdis.nn.elements import frames_present
from seqdis.nn.frames import FrameDecoder, FrameEncoder
from seqdis.sequences import Batch, DataSpec

Target = Literal["ball", "norm", "real"]
Penalty = Literal["real", "thresh", "ball", "strict", "none"]

SMALLEST = 1e-12
"""Added where a sum of squares, or an eigenvalue, may be zero."""

DAMPING = 1e-10
"""Bounds what nearly parallel eigenvectors add to a gradient, at half the inverse of its square root."""


class Autoencoder(nn.Module):
    """Steps -> latents of size ``dim`` -> steps, by an LSTM each way; frames of images pass convolutions too."""

    def __init__(self, spec: DataSpec, dim: int, hidden: int, filters: int) -> None:
        super().__init__()
        image = spec.kind == "image"
        self.frames = FrameEncoder(spec.shape, dim, filters) if image else None
        self.encoder = nn.LSTM(dim if image else spec.shape[0], dim, batch_first=True)
        self.decoder = nn.LSTM(dim, hidden, batch_first=True)
        self.out = FrameDecoder(hidden, spec.shape, filters) if image else nn.Linear(hidden, spec.shape[0])

    def latent(self, batch: Batch) -> Float[Tensor, "batch time dim"]:
        """Latent of every step, which sees no later one; missing values and frames are read as zeros."""
        values = batch.x if self.frames is None else self.frames(batch.x, frames_present(batch))
        return self.encoder(values)[0].float()

    def observe(self, latent: Float[Tensor, "batch time dim"], valid: Tensor | None = None) -> Tensor:
        """(batch, time, *features), normalised units; zero where ``valid`` is false."""
        states = self.decoder(latent)[0]
        if isinstance(self.out, FrameDecoder):
            return self.out(states, valid)
        x: Tensor = self.out(states).float()
        return x if valid is None else torch.where(valid.unsqueeze(-1), x, 0.0)


@dataclass(frozen=True)
class Operator:
    """``C = right @ left``, in the smaller of two spaces: that of the latent, or that of the rows it was fitted to."""

    right: Float[Tensor, "*batch dim n"]
    left: Float[Tensor, "*batch n dim"]

    @property
    def matrix(self) -> Float[Tensor, "*batch dim dim"]:
        """The operator itself."""
        return self.right @ self.left

    @property
    def small(self) -> Float[Tensor, "*batch n n"]:
        """A matrix with the eigenvalues of the operator; where ``n < dim`` the others are zero."""
        return self.left @ self.right


def transitions(latent: Float[Tensor, "batch time dim"], lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Latents before and after every step: twice (batch, time - 1, dim), zero where either is padding.

    Raises
    ------
    SeqdisError
        Latents that are not finite.
    """
    rows = latent.cpu().double()
    if not torch.isfinite(rows).all():
        raise SeqdisError(
            "latents are not finite, and have no operator: training diverged. "
            "Lower `training.lr` or set `training.gradient_clip`."
        )
    before, after = rows[:, :-1], rows[:, 1:]
    if lengths is None:
        return before, after
    real = (torch.arange(1, rows.shape[1]) < lengths.cpu()[:, None]).unsqueeze(-1)
    return before * real, after * real


def least_squares(
    before: Float[Tensor, "*batch rows dim"], after: Float[Tensor, "*batch rows dim"], ridge: float
) -> Operator:
    """The ridge solution of ``before @ C = after``, one for every leading index.

    Notes
    -----
    With ``A = before``, ``B = after``: ``(A'A + r I)^-1 A'B = A' (AA' + r I)^-1 B``. The second form is taken
    where there are fewer rows than dimensions, and its eigenvalues are those of ``(AA' + r I)^-1 B A'``, the
    only ones that are not zero. ``r`` is ``ridge`` times the mean of the diagonal of ``A'A``. No rows give ``C = 0``.
    """
    rows, dim = before.shape[-2:]
    if not 0 < rows < dim:
        return from_moments(before.mT @ before, before.mT @ after, ridge)
    gram = before @ before.mT
    return Operator(before.mT, _solve(gram, after, _strength(gram, dim, ridge)))


def from_moments(
    gram: Float[Tensor, "*batch dim dim"], cross: Float[Tensor, "*batch dim dim"], ridge: float
) -> Operator:
    """The same from ``A'A`` and ``A'B``, which may be added up over batches."""
    left = _solve(gram, cross, _strength(gram, gram.shape[-1], ridge))
    return Operator(torch.eye(gram.shape[-1], dtype=gram.dtype).expand_as(gram), left)


def eigenvalues(matrix: Float[Tensor, "*batch n n"]) -> Complex[Tensor, "*batch n"]:
    """Eigenvalues whose gradient stays finite where eigenvectors are parallel.

    Notes
    -----
    ``d lambda_i = u_i dM v_i`` with right eigenvectors ``v`` and left ones ``u``, the rows of ``V^-1``. A defective
    matrix has no such inverse, and spectral penalties lead to defective matrices: ``u`` comes from
    ``(V*V + DAMPING I)^-1 V*`` instead.
    """
    with torch.no_grad():
        values, right = torch.linalg.eig(matrix)
        eye = torch.eye(matrix.shape[-1], dtype=right.dtype)
        left = torch.linalg.solve(right.mH @ right + DAMPING * eye, right.mH)
    change = (matrix - matrix.detach()).to(right.dtype)  # zero; it carries the gradient
    return values + (left @ change @ right).diagonal(dim1=-2, dim2=-1)


def static_set(values: Complex[Tensor, "*batch n"], modes: int, target: Target) -> Bool[Tensor, "*batch n"]:
    """Which eigenvalues are static: so many nearest the target, and more where that would split a pair or equals.

    "ball" ranks by the distance to 1, "norm" and "real" by modulus and real part, the largest first.
    """
    key = {"ball": _off_one(values), "norm": -_power(values), "real": -values.real}[target].detach()
    # Both of a pair have the same key, to the last bit.
    return key <= key.kthvalue(min(modes, values.shape[-1]), keepdim=True).values


def spectral_penalties(
    values: Complex[Tensor, "*batch n"],
    dim: int,
    *,
    modes: int,
    target: Target,
    penalty: Penalty,
    threshold: float,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """How far static eigenvalues are from 1, and how near the dynamic ones: means over each group.

    Parameters
    ----------
    values, dim
        Eigenvalues of an operator, and its size; those that ``values`` leaves out are zero and dynamic.
    modes, target
        What is static: see `static_set`. Its penalty is the square of ``|lambda - 1|`` ("ball"),
        ``|lambda|^2 - 1`` ("norm") or ``Re lambda - 1`` ("real").
    penalty, threshold
        Of the others, by how much ``Re lambda`` ("real") or ``|lambda|^2`` ("thresh") is above the threshold, or
        ``|lambda - 1|`` below it ("ball"); the square of ``|lambda|^2 - threshold^2`` ("strict"); or 0 ("none").

    Notes
    -----
    Berman, Naiman, Azencot, ICLR 2023, spectral loss; the options are those of the released code, whose hinges
    jump at the threshold (from 0 to the value itself). These are continuous, with the same gradient.
    """
    static = static_set(values, modes, target)
    off = {"ball": _off_one(values), "norm": (_power(values) - 1).square(), "real": (values.real - 1).square()}[target]
    near = {
        "real": relu(values.real - threshold),
        "thresh": relu(_power(values) - threshold),
        "ball": relu(threshold - (values - 1).abs()),
        "strict": (_power(values) - threshold**2).square(),
        "none": torch.zeros_like(values.real),
    }[penalty]
    zero = {"strict": threshold**4, "ball": max(threshold - 1, 0.0)}.get(penalty, 0.0)
    missed, count = (dim - values.shape[-1]) * zero, static.sum(-1)
    return (off * static).sum(-1) / count.clamp(min=1), ((near * ~static).sum(-1) + missed) / (dim - count).clamp(min=1)


@torch.no_grad()
def static_projector(operator: Operator, modes: int, target: Target) -> Float[Tensor, "*batch dim dim"]:
    """``P`` with ``z P`` the static part of a latent ``z``: real, ``P P = P``, ``P C = C P``.

    Notes
    -----
    With ``V`` the eigenvectors of the small matrix and ``I`` its static eigenvalues,
    ``P = right V_I lambda_I^-1 (V^-1)_I left``; ``V_I (V^-1)_I`` where both spaces are one.
    """
    values, vectors = torch.linalg.eig(operator.small)
    chosen = static_set(values, modes, target) & (values.abs() > SMALLEST)
    scale = torch.where(chosen, 1 / values, 0)
    inner = (vectors * scale.unsqueeze(-2)) @ _inverse(vectors)
    return operator.right @ inner.real @ operator.left


class Modes(nn.Module):
    """All modes of one fitted operator in real coordinates, static ones first, each group by its distance to 1.

    Kept in buffers: ``spectrum`` (dim, 2), real and imaginary parts of the eigenvalues, the two of a pair side by
    side; ``static`` (dim,) bool; ``basis`` and ``dual`` (dim, dim), so that ``z @ basis[:, J] @ dual[J]`` is the part
    of ``z`` in the modes ``J``; ``static_part`` (dim, dim), the projector on the static ones. Until `fit` they are
    random directions: as good a split as an untrained encoder is a code.
    """

    spectrum: Tensor
    static: Tensor
    basis: Tensor
    dual: Tensor
    static_part: Tensor

    def __init__(self, dim: int, modes: int) -> None:
        super().__init__()
        basis = torch.linalg.qr(torch.randn(dim, dim)).Q
        self.register_buffer("spectrum", torch.zeros(dim, 2))
        self.register_buffer("static", torch.arange(dim) < modes)
        self.register_buffer("basis", basis)
        self.register_buffer("dual", basis.mT.clone())
        self.register_buffer("static_part", basis[:, :modes] @ basis[:, :modes].mT)

    @torch.no_grad()
    def fit(self, matrix: Float[Tensor, "dim dim"], modes: int, target: Target) -> None:
        """Take the modes of an operator, of which so many are static."""
        values, vectors = torch.linalg.eig(matrix)
        static = static_set(values, modes, target)
        # LAPACK puts the two of a pair one after the other; the first one's place keeps them together.
        pair = torch.arange(len(values)) - (values.imag < 0).long()
        order = torch.from_numpy(np.lexsort([key.numpy() for key in (-values.imag, pair, _off_one(values), ~static)]))
        values, vectors, static = values[order], vectors[:, order], static[order]
        # Of a pair, one place holds the real part of the eigenvector and the other the imaginary part.
        basis = torch.where(values.imag >= 0, vectors.real, vectors.imag)
        dual = _inverse(basis)
        self.spectrum.copy_(torch.view_as_real(values))
        self.static.copy_(static)
        self.basis.copy_(basis)
        self.dual.copy_(dual)
        self.static_part.copy_(basis[:, static] @ dual[static])

    def part(self, modes: Sequence[int]) -> Float[Tensor, "dim dim"]:
        """The projector on some modes.

        Of nearly equal eigenvalues only the subspace means something, not its single vectors.

        Raises
        ------
        SettingsError
            A mode that does not exist, or one of a conjugate pair.
        """
        last, chosen = len(self.static) - 1, sorted(set(modes))
        if not chosen or chosen[0] < 0 or chosen[-1] > last:
            raise SettingsError(f"modes = {list(modes)}: expected places from 0 to {last} of the spectrum.")
        for mode in chosen:
            mate = mode + int(self.spectrum[mode, 1].sign())
            if mate not in chosen:
                raise SettingsError(f"modes = {list(modes)}: {mode} is one of a conjugate pair; give {mate} too.")
        return self.basis[:, chosen] @ self.dual[chosen]


def _solve(square: Tensor, target: Tensor, ridge: Tensor) -> Tensor:
    eye = torch.eye(square.shape[-1], dtype=square.dtype)
    return torch.cholesky_solve(target, torch.linalg.cholesky(square + ridge[..., None, None] * eye))


def _strength(gram: Tensor, dim: int, ridge: float) -> Tensor:
    return ridge * gram.diagonal(dim1=-2, dim2=-1).sum(-1) / dim + SMALLEST


def _inverse(vectors: Tensor) -> Tensor:
    """Of eigenvectors: the plain inverse is exact on simple eigenvalues where others are nearly defective."""
    inverse, singular = torch.linalg.inv_ex(vectors)
    if singular.any():
        inverse = torch.where(singular[..., None, None] > 0, torch.linalg.pinv(vectors), inverse)
    return inverse


def _power(values: Tensor) -> Tensor:
    """``|lambda|^2``, exactly the same for both of a pair."""
    return values.real.square() + values.imag.square()


def _off_one(values: Tensor) -> Tensor:
    """``|lambda - 1|^2``, exactly the same for both of a pair."""
    return (values.real - 1).square() + values.imag.square()
