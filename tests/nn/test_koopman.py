from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from seqdis.errors import SeqdisError, SettingsError
from seqdis.nn.koopman import (
    DAMPING,
    Modes,
    Operator,
    eigenvalues,
    from_moments,
    least_squares,
    spectral_penalties,
    static_projector,
    static_set,
    transitions,
)

ANGLE = 0.3


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_spectrum(*blocks: float | complex, seed: int = 3) -> Tensor:
    """A real matrix with these eigenvalues (a complex one brings its conjugate), in a random basis."""
    parts = [
        torch.tensor([[b.real, b.imag], [-b.imag, b.real]]) if b.imag else torch.tensor([[b.real]]) for b in blocks
    ]
    matrix = torch.block_diag(*(part.double() for part in parts))
    basis = draw(*matrix.shape, seed=seed)
    return torch.linalg.solve(basis, matrix @ basis)


def rotation(radius: float = 1.0) -> complex:
    return radius * complex(np.cos(ANGLE), np.sin(ANGLE))


def parted(matrix: Tensor, static: int, target: str = "ball") -> Modes:
    modes = Modes(len(matrix), static).double()
    modes.fit(matrix, static, target)
    return modes


def values_of(modes: Modes) -> np.ndarray:
    return torch.view_as_complex(modes.spectrum).numpy()


# Least squares


@pytest.mark.parametrize("rows", [30, 6, 4], ids="{} rows".format)
def test_least_squares_are_those_of_torch(rows: int) -> None:
    before, after = draw(3, rows, 6), draw(3, rows, 6, seed=1)
    found = least_squares(before, after, 0.0)
    # gelsd: of all solutions where rows are few, the smallest.
    expected = torch.linalg.lstsq(before, after, driver="gelsd").solution
    torch.testing.assert_close(found.matrix, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("rows", [4, 9])
def test_both_forms_are_the_ridge_solution(rows: int) -> None:
    before, after, ridge = draw(rows, 6), draw(rows, 6, seed=1), 0.1
    strength = ridge * (before**2).sum() / 6
    stacked = torch.cat([before, strength.sqrt() * torch.eye(6, dtype=torch.float64)])
    expected = torch.linalg.lstsq(stacked, torch.cat([after, torch.zeros(6, 6)])).solution
    torch.testing.assert_close(least_squares(before, after, ridge).matrix, expected, rtol=1e-9, atol=1e-9)
    summed = from_moments(before.mT @ before, before.mT @ after, ridge)
    torch.testing.assert_close(summed.matrix, expected, rtol=1e-9, atol=1e-9)


def test_the_reduced_form_has_the_eigenvalues_that_are_not_zero() -> None:
    operator = least_squares(draw(7, 15), draw(7, 15, seed=1), 1e-9)
    assert operator.small.shape == (7, 7)
    small = np.sort_complex(torch.linalg.eigvals(operator.small).numpy())
    whole = torch.linalg.eigvals(operator.matrix).numpy()
    whole = whole[np.argsort(np.abs(whole))]
    np.testing.assert_allclose(np.abs(whole[:8]), 0, atol=1e-6)
    np.testing.assert_allclose(np.sort_complex(whole[8:]), small, atol=1e-8)


def test_a_linear_system_is_found_and_no_rows_give_zero() -> None:
    matrix = with_spectrum(1.0, rotation(0.9), 0.5)
    path = [draw(5, 4)]
    for _ in range(5):
        path.append(path[-1] @ matrix)
    before, after = transitions(torch.stack(path, dim=1))
    torch.testing.assert_close(least_squares(before.flatten(0, 1), after.flatten(0, 1), 0.0).matrix, matrix)
    nothing = least_squares(*transitions(draw(3, 1, 4)), 1e-6)
    assert (nothing.matrix == 0).all()


def test_padding_is_no_transition() -> None:
    latent = draw(2, 5, 3)
    latent[1, 3:] = 1e6
    before, after = transitions(latent.float(), torch.tensor([5, 3]))
    assert before.dtype == torch.float64
    assert (before[1, 2:] == 0).all()
    assert (after[1, 2:] == 0).all()
    torch.testing.assert_close(after[1, :2], latent[1, 1:3].float().double())
    with pytest.raises(SeqdisError, match="training diverged"):
        transitions(latent / 0)


# Eigenvalues and their gradients


def test_gradients_of_eigenvalues_are_those_of_torch() -> None:
    matrix = with_spectrum(1.1, rotation(0.8), 0.2).requires_grad_()
    weights = torch.tensor([0.3, -1.0, 0.7, 2.0])

    def score(values: Tensor) -> Tensor:
        order = np.lexsort((values.detach().imag, values.detach().real))
        return (values[order].abs() * weights).sum()

    (ours,) = torch.autograd.grad(score(eigenvalues(matrix)), matrix)
    (theirs,) = torch.autograd.grad(score(torch.linalg.eigvals(matrix)), matrix)
    torch.testing.assert_close(eigenvalues(matrix), torch.linalg.eigvals(matrix))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)  # damped


@pytest.mark.parametrize(
    "matrix",
    [torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.eye(3), torch.zeros(3, 3), torch.diag(torch.ones(4), 1)],
    ids=["Jordan block", "identity", "zero", "nilpotent"],
)
def test_gradients_are_finite_and_bounded_at_degenerate_spectra(matrix: Tensor) -> None:
    matrix = matrix.double().requires_grad_()
    values = eigenvalues(matrix)
    (gradient,) = torch.autograd.grad(values.real.sum() + (values - 2).abs().sum(), matrix)
    assert torch.isfinite(gradient).all()
    assert gradient.norm() < 4 * len(matrix) / DAMPING**0.5


# Which modes are static


PAIR = [rotation(0.99), rotation(0.99).conjugate()]


@pytest.mark.parametrize(
    ("target", "modes", "static"),
    [
        ("ball", 1, [1.0]),
        ("ball", 2, [1.0, 0.9]),
        ("ball", 3, [1.0, 0.9, *PAIR]),  # never one of a pair
        ("ball", 4, [1.0, 0.9, *PAIR]),
        ("ball", 5, [1.0, 0.9, *PAIR, 0.4]),
        ("norm", 1, [-1.2]),
        ("norm", 3, [-1.2, 1.0, *PAIR]),
        ("real", 2, [1.0, *PAIR]),
    ],
)
def test_static_eigenvalues_by_hand(target: str, modes: int, static: list[complex]) -> None:
    # Distances to 1 in this order: 2.2, twice 0.298, 0.6, 0, 0.1.
    values = torch.tensor([-1.2, *PAIR, 0.4, 1.0, 0.9], dtype=torch.complex128)
    found = values[static_set(values, modes, target)].numpy()
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(np.array(static, dtype=complex)))


def test_neither_pairs_nor_equal_eigenvalues_are_split() -> None:
    for seed in range(20):
        values = torch.linalg.eigvals(draw(4, 9, 9, seed=seed))
        for modes in (1, 3, 5):
            for row, some in zip(values, static_set(values, modes, "ball"), strict=True):
                assert (row[some].conj()[:, None] == row[some]).any(1).all()
                assert some.sum() in (modes, modes + 1)
    assert static_set(torch.ones(4, dtype=torch.complex128), 1, "ball").all()
    assert static_set(torch.zeros(2, dtype=torch.complex128), 5, "ball").all()  # fewer than asked for


def test_spectral_penalties_by_hand() -> None:
    values = torch.tensor([1.0, 0.8, 0.6 + 0.3j, 0.6 - 0.3j, -0.9], dtype=torch.complex128)

    def terms(**options) -> list[float]:
        asked = {"modes": 2, "target": "ball", "penalty": "real", "threshold": 0.5} | options
        return [float(value) for value in spectral_penalties(values, 5, **asked)]

    # Static: 1 and 0.8. Dynamic: three eigenvalues, whatever their number above the threshold.
    assert terms() == pytest.approx([(0 + 0.2**2) / 2, (0.1 + 0.1 + 0) / 3])
    assert terms(penalty="thresh", threshold=0.4) == pytest.approx([0.02, (0.05 + 0.05 + 0.41) / 3])
    assert terms(penalty="ball", threshold=0.6) == pytest.approx([0.02, (0.1 + 0.1 + 0) / 3])  # |0.6+0.3i - 1| = 0.5
    assert terms(penalty="strict") == pytest.approx([0.02, (2 * 0.2**2 + 0.56**2) / 3])
    assert terms(penalty="none") == pytest.approx([0.02, 0])
    # By modulus 1 and -0.9 come first, by real part 1 and 0.8.
    assert terms(target="norm", penalty="none")[0] == pytest.approx((0 + 0.19**2) / 2)
    assert terms(target="real", modes=1, penalty="none")[0] == 0
    # Eigenvalues left out are zero and dynamic.
    assert float(spectral_penalties(values, 13, modes=2, target="ball", penalty="real", threshold=0.5)[1]) == (
        pytest.approx(0.2 / 11)
    )
    for more, near, zero in (
        ({"penalty": "strict", "threshold": 0.5}, 2 * 0.2**2 + 0.56**2, 0.5**4),
        ({"penalty": "ball", "threshold": 1.5}, 2 * (1.5 - 0.5), 0.5),
    ):
        found = float(spectral_penalties(values, 13, modes=2, target="ball", **more)[1])
        assert found == pytest.approx((near + 8 * zero) / 11)


# Parts


def direct_parts(latent: Tensor, matrix: Tensor, static: Tensor | list[int]) -> np.ndarray:
    """Z_s = Re(Z V_I (V^-1)_I), as the paper writes it."""
    values, vectors = np.linalg.eig(matrix.numpy())
    inverse = np.linalg.inv(vectors)
    chosen = [i for i, value in enumerate(values) if any(abs(value - s) < 1e-6 for s in static)]
    return np.real(latent.numpy() @ vectors[:, chosen] @ inverse[chosen])


def test_parts_of_an_operator_with_known_spectrum() -> None:
    matrix = with_spectrum(0.2, rotation(), 1.0, 0.5j, 0.95)
    latent = draw(4, 6, 7)
    modes = parted(matrix, 3)
    expected = [1.0, 0.95, rotation(), rotation().conjugate(), 0.2, 0.5j, -0.5j]
    np.testing.assert_allclose(values_of(modes), expected, atol=1e-10)
    assert modes.static.tolist() == [True] * 4 + [False] * 3
    by_hand = direct_parts(latent, matrix, [1.0, 0.95, rotation(), rotation().conjugate()])
    np.testing.assert_allclose((latent @ modes.static_part).numpy(), by_hand, atol=1e-10)
    # The same by the general projector, and what makes it one.
    whole = Operator(torch.eye(7, dtype=torch.float64), matrix)
    projector = static_projector(whole, 3, "ball")
    torch.testing.assert_close(projector, modes.static_part)
    torch.testing.assert_close(projector @ projector, projector)
    torch.testing.assert_close(projector @ matrix, matrix @ projector)
    assert float(projector.trace()) == pytest.approx(4)
    # A part at eigenvalue 1 stays.
    still = latent[0] @ modes.part([0])
    torch.testing.assert_close(still @ matrix, still)


def test_parts_of_single_modes_are_the_direct_ones_and_add_up() -> None:
    matrix, latent = with_spectrum(0.2, rotation(), 1.0, rotation(), 0.95, seed=5), draw(3, 7)
    modes = parted(matrix, 2)
    values = values_of(modes)
    assert (values[[2, 4]].imag > 0).all()  # two equal pairs: each still side by side
    np.testing.assert_allclose(values[[3, 5]], values[[2, 4]].conj())
    for chosen in ([0], [1], [6], [2, 3, 4, 5]):
        by_hand = direct_parts(latent, matrix, values[chosen])
        np.testing.assert_allclose((latent @ modes.part(chosen)).numpy(), by_hand, atol=1e-6)
    parts = [modes.part(chosen) for chosen in ([0], [1], [2, 3], [4, 5], [6])]
    torch.testing.assert_close(sum(parts), torch.eye(7, dtype=torch.float64))
    torch.testing.assert_close(modes.part([1, 0]), modes.static_part)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9, 0.0])
def test_a_group_that_is_nearly_defective_has_an_exact_part(gap: float) -> None:
    # Static: a Jordan block at 1 but for the gap. Its part is known: the first two places of a block matrix.
    block = torch.block_diag(
        torch.tensor([[1.0, 1.0], [0.0, 1.0 + gap]]).double(), torch.tensor([[0.3, 0.4], [-0.4, 0.3]]).double()
    )
    basis = draw(4, 4)
    matrix = torch.linalg.solve(basis, block @ basis)
    expected = torch.linalg.solve(basis, torch.diag(torch.tensor([1.0, 1, 0, 0]).double()) @ basis)
    torch.testing.assert_close(parted(matrix, 2).static_part, expected, rtol=1e-5, atol=1e-5)


def test_one_projector_per_sequence_and_in_the_reduced_form() -> None:
    before = draw(5, 7, 15)
    after = 0.8 * before + 0.2 * draw(5, 7, 15, seed=1)  # or the zeros that only the whole form has are nearest to 1
    operator = least_squares(before, after, 1e-9)
    projectors = static_projector(operator, 2, "ball")
    for matrix, projector in zip(operator.matrix, projectors, strict=True):
        dense = static_projector(Operator(torch.eye(15, dtype=torch.float64), matrix), 2, "ball")
        torch.testing.assert_close(projector, dense, rtol=1e-6, atol=1e-6)
        values = torch.linalg.eigvals(matrix)
        by_hand = direct_parts(torch.eye(15).double(), matrix, values[static_set(values, 2, "ball")])
        np.testing.assert_allclose(projector.numpy(), by_hand, atol=1e-6)
    alone = static_projector(least_squares(before[2], after[2], 1e-9), 2, "ball")
    torch.testing.assert_close(projectors[2], alone)


def test_eigenvectors_that_are_exactly_parallel_leave_parts_finite() -> None:
    shift = torch.diag(torch.ones(3, dtype=torch.float64), 1)
    assert torch.isfinite(static_projector(Operator(torch.eye(4, dtype=torch.float64), shift), 1, "ball")).all()
    assert torch.isfinite(parted(shift, 1).static_part).all()


def test_modes_that_do_not_exist_and_halves_of_pairs_are_refused() -> None:
    modes = parted(with_spectrum(1.0, 0.5j), 1)
    with pytest.raises(SettingsError, match=r"1 is one of a conjugate pair; give 2 too"):
        modes.part([1])
    with pytest.raises(SettingsError, match=r"2 is one of a conjugate pair; give 1 too"):
        modes.part([0, 2])
    for wrong in ([], [3], [-1]):
        with pytest.raises(SettingsError, match="from 0 to 2"):
            modes.part(wrong)
