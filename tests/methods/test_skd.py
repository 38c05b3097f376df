"""What is special to SKD: parts of a linear latent, read with a fitted operator, and swapped mode by mode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

import seqdis
from seqdis.errors import CapabilityError, DataError, SettingsError
from seqdis.factors import Factors
from seqdis.inputs import as_sequences
from seqdis.methods import SKD
from seqdis.nn.network import Progress
from seqdis.testing import check_method
from seqdis.training import Training
from seqdis.training.engine import Store

QUICK = Training(max_epochs=3, batch_size=8, lr=1e-2)
SMALL = {"latent_dim": 6, "static_modes": 2, "hidden_dim": 8, "filters": 4, "training": QUICK}


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """(24, 12, 3): levels that stay, waves that move, noise."""
    draw = np.random.default_rng(0)
    wave = np.sin(0.8 * np.arange(12)[:, None] + draw.uniform(0, 6, (24, 1, 1)) + np.arange(3))
    return (draw.normal(size=(24, 1, 3)) + wave + 0.1 * draw.normal(size=(24, 12, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def model(x: np.ndarray) -> SKD:
    return SKD(**SMALL).fit(x)


def latents(model: SKD, x: np.ndarray) -> torch.Tensor:
    data = as_sequences(x)
    with torch.no_grad():
        return model.network_.body.latent(Store(data, model.spec_).take(torch.arange(len(data))))


def direct_split(latent: torch.Tensor, operator: np.ndarray, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """Z_s and Z_d as the paper writes them: all coordinates by the inverse of the eigenvectors."""
    values, vectors = np.linalg.eig(operator)
    inverse = np.linalg.inv(vectors)
    distance = np.abs(values - 1)
    static = distance <= np.sort(distance)[modes - 1] + 1e-9
    coordinates = latent.double().numpy() @ vectors
    parts = [np.real(coordinates[..., some] @ inverse[some]) for some in (static, ~static)]
    return parts[0], parts[1]


def operator_of(latent: torch.Tensor) -> np.ndarray:
    before, after = (rows.flatten(0, 1).double().numpy() for rows in (latent[:, :-1], latent[:, 1:]))
    return np.linalg.lstsq(before, after, rcond=None)[0]


def decoded(model: SKD, latent: np.ndarray) -> np.ndarray:
    codes = torch.from_numpy(latent).float()
    return model.decode(Factors(torch.zeros(len(codes), codes.shape[-1]), codes))


def test_it_keeps_the_contracts() -> None:
    check_method(SKD(**SMALL | {"latent_dim": 5}))


def test_variants_keep_the_contracts_of_series() -> None:
    demo = {"static_target": "norm", "dynamic_penalty": "ball", "threshold": 0.6}
    single = {"operator": "sequence", "static_modes": 1, "prediction_target": "data", "ridge": 1e-4}
    for more in (demo, single):
        check_method(SKD(**SMALL | {"latent_dim": 5} | more), modalities=("series",))


def test_a_swap_of_the_static_modes_is_the_direct_one(model: SKD, x: np.ndarray) -> None:
    operator, static = operator_of(latents(model, x)), np.flatnonzero(model.spectrum()[1])
    of, into = (direct_split(latents(model, rows), operator, 2) for rows in (x[:12], x[12:]))
    swapped = model.swap_modes(x[12:], x[:12], static)
    np.testing.assert_allclose(swapped, decoded(model, of[0] + into[1]), atol=2e-3)
    assert np.abs(swapped - model.reconstruct(x[12:])).max() > 0.1


def test_a_swap_leaves_only_the_movement_of_the_static_part_behind(model: SKD, x: np.ndarray) -> None:
    operator = operator_of(latents(model, x))
    of, into = (direct_split(latents(model, rows), operator, 2) for rows in (x[:12], x[12:]))
    moved = into[0] - into[0].mean(1, keepdims=True)
    still = of[0].mean(1, keepdims=True) + into[1]
    np.testing.assert_allclose(model.swap(x[:12], x[12:]), decoded(model, still + moved), atol=2e-3)


def test_with_static_eigenvalues_at_one_both_swaps_are_one(x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SKD(**SMALL).fit(x)
    turn = torch.tensor([[0.8, 0.6], [-0.6, 0.8]]).double()
    basis = torch.randn(6, 6).double()
    operator = torch.linalg.solve(basis, torch.block_diag(torch.eye(2), 0.9 * turn, 0.5 * turn).double() @ basis)
    path = [torch.randn(24, 6).double()]
    for _ in range(11):
        path.append(path[-1] @ operator)
    linear = torch.stack(path, dim=1).float()
    monkeypatch.setattr(model.network_.body, "latent", lambda batch: linear[: len(batch)])
    model.network_.modes.fit(operator, 2, "ball")
    codes = model.encode(x)
    static, dynamic = direct_split(linear, operator.numpy(), 2)
    np.testing.assert_allclose(np.broadcast_to(codes.static.numpy()[:, None], static.shape), static, atol=1e-4)
    np.testing.assert_allclose(codes.dynamic, dynamic, atol=1e-4)


def test_single_modes_add_up_and_swap_with_themselves(model: SKD, x: np.ndarray) -> None:
    rebuilt = model.reconstruct(x[:6])
    np.testing.assert_allclose(model.swap_modes(x[:6], x[:6], range(6)), rebuilt, atol=1e-5)
    np.testing.assert_allclose(model.swap_modes(x[6:12], x[:6], range(6)), rebuilt, atol=1e-3)
    values, static = model.spectrum()
    distance = np.abs(values - 1)
    assert distance[static].max() <= distance[~static].min()
    lead = next(i for i, value in enumerate(values) if not static[i] and value.imag >= 0)
    one = [lead, lead + 1] if values[lead].imag > 0 else [lead]
    part = model.encode(x[:6]).static - model.encode(x[6:12]).static
    assert np.abs(part.numpy() @ model.network_.modes.part(one).numpy()).max() < 1e-4  # static codes have none of it


def test_the_fitted_operator_is_that_of_all_training_sequences(model: SKD, x: np.ndarray) -> None:
    expected = np.linalg.eigvals(operator_of(latents(model, x)))
    np.testing.assert_allclose(np.sort_complex(model.spectrum()[0]), np.sort_complex(expected), atol=1e-3)


def test_the_operator_of_the_batch_reads_codes_as_the_paper_does(x: np.ndarray) -> None:
    model = SKD(**SMALL | {"operator": "batch"}).fit(x)
    codes, latent = model.encode(x), latents(model, x)
    static, _ = direct_split(latent, operator_of(latent), 2)
    np.testing.assert_allclose(codes.static, static.mean(1), atol=1e-3)
    np.testing.assert_allclose(codes.dynamic + codes.static[:, None], latent, atol=1e-5)
    assert not np.allclose(model.encode(x[:8]).static, codes.static[:8], atol=1e-2)
    with pytest.raises(CapabilityError, match="operator = 'batch'"):
        model.spectrum()


def test_the_loss_is_the_authors_sum_of_means(model: SKD, x: np.ndarray) -> None:
    network, spec = model.network_, model.spec_
    batch = Store(as_sequences(x), spec).take(torch.arange(24))
    with torch.no_grad():
        terms, latent = network(batch, Progress()), network.body.latent(batch)
        operator = torch.from_numpy(operator_of(latent)).float()
        predicted = torch.cat([latent[:, :1], latent[:, :-1] @ operator], dim=1)
        rebuilt, forecast = network.body.observe(latent), network.body.observe(predicted)
    values = np.linalg.eigvals(operator.double().numpy())
    static = np.abs(values - 1) <= np.sort(np.abs(values - 1))[1] + 1e-9
    expected = {
        "reconstruction": 15 * mse_loss(rebuilt, batch.x),
        "prediction": mse_loss(forecast, rebuilt),
        "prediction_latent": mse_loss(predicted, latent),
        "spectral_static": (np.abs(values - 1)[static] ** 2).mean(),
        "spectral_dynamic": np.maximum(values.real - 0.5, 0)[~static].mean(),
    }
    for name, value in expected.items():
        assert float(terms.weights[name] * terms.values[name]) == pytest.approx(float(value), rel=1e-3, abs=1e-7), name
    assert float(terms.total) == pytest.approx(float(sum(expected.values())), rel=1e-3)
    assert float(terms.values["reconstruction"]) == pytest.approx(36 * float(mse_loss(rebuilt, batch.x)), rel=1e-5)


def test_errors_count_what_is_observed_and_no_padding(model: SKD, x: np.ndarray) -> None:
    holes = x[2:3].copy()
    holes[0, 3, 1] = np.nan

    @torch.no_grad()
    def reconstruction(rows: np.ndarray, **more) -> float:
        batch = Store(as_sequences(rows, **more), model.spec_).take(torch.arange(len(rows)))
        return float(model.network_(batch, Progress()).values["reconstruction"])

    apart = [reconstruction(x[:1]), reconstruction(x[1:2, :5])]
    assert reconstruction(x[:2], lengths=[12, 5]) == pytest.approx(np.mean(apart), rel=1e-4)
    batch = Store(as_sequences(holes), model.spec_).take(torch.tensor([0]))
    with torch.no_grad():
        error = model.network_.body.observe(model.network_.body.latent(batch)) - batch.x
    assert reconstruction(holes) == pytest.approx(36 * float(error[batch.mask].square().mean()), rel=1e-5)


def test_prediction_of_the_data_is_compared_with_them(model: SKD, x: np.ndarray) -> None:
    batch = Store(as_sequences(x), model.spec_).take(torch.arange(24))
    plain = model.network_(batch, Progress()).values["prediction"]
    model = model.replace(prediction_target="data").fit(x)
    assert model.network_(batch, Progress()).values["prediction"] > 3 * plain


def test_dropout_hides_latents_from_the_reconstruction_in_training_only(x: np.ndarray) -> None:
    model = SKD(**SMALL | {"dropout": 0.5}).fit(x)
    network, batch = model.network_, Store(as_sequences(x), model.spec_).take(torch.arange(24))
    still = network(batch, Progress()).values

    def drawn(seed: int) -> dict[str, torch.Tensor]:
        return network.train()(batch, Progress(generator=torch.Generator().manual_seed(seed))).values

    first = drawn(0)
    assert first["reconstruction"] == drawn(0)["reconstruction"] != drawn(1)["reconstruction"]
    assert first["reconstruction"] > still["reconstruction"]
    assert first["prediction_latent"] == still["prediction_latent"]


@pytest.mark.parametrize("killed", [2, 4], ids=["on the way", "before the operator was fitted"])
def test_a_killed_run_goes_on_to_the_same_operator(killed: int, x: np.ndarray, tmp_path) -> None:
    method = SKD(**SMALL | {"training": Training(max_epochs=4, batch_size=8, save_seconds=0)})

    def stop(done: int, total: int, record: dict | None) -> None:
        if record is not None and record["epoch"] == killed:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method.replace().fit(x, out=tmp_path / "run", watch=stop)
    resumed = method.replace().fit(x, out=tmp_path / "run")
    whole = method.replace().fit(x)
    for name, value in whole.network_.state_dict().items():
        torch.testing.assert_close(resumed.network_.state_dict()[name], value, rtol=0, atol=0, msg=name)
    loaded = seqdis.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.spectrum()[0], whole.spectrum()[0])
    np.testing.assert_array_equal(loaded.swap_modes(x, x[::-1], range(6)), whole.swap_modes(x, x[::-1], range(6)))


def test_the_untrained_control_has_random_parts(model: SKD, x: np.ndarray) -> None:
    control = model.untrained()
    assert not control.spectrum()[0].any()
    assert np.isfinite(control.reconstruct(x)).all()
    assert torch.linalg.matrix_rank(control.encode(x).static) == 2


def test_it_learns_and_separates() -> None:
    """Levels and rotations of known speed, mixed: hybrids come near the true ones, and the parts tell them apart."""
    draw = np.random.default_rng(0)
    mix = draw.normal(size=(4, 6))

    def sequences(levels: np.ndarray, phases: np.ndarray) -> np.ndarray:
        angle = 0.9 * np.arange(10) + phases[:, None]
        still = np.broadcast_to(levels[:, None], (len(levels), 10, 2))
        parts = np.concatenate([still, np.cos(angle)[..., None], np.sin(angle)[..., None]], axis=-1)
        return (parts @ mix).astype(np.float32)

    levels, phases = draw.uniform(-1.5, 1.5, (400, 2)), draw.uniform(0, 2 * np.pi, 400)
    training = Training(max_epochs=60, batch_size=32, lr=5e-3, gradient_clip=1.0)
    method = SKD(latent_dim=10, static_modes=3, hidden_dim=32, spectral_weight=0.3, dropout=0.0, training=training)
    model = method.fit(sequences(levels[:200], phases[:200]))
    first, second, truth = (
        sequences(levels[a], phases[b])
        for a, b in ((np.s_[200:300],) * 2, (np.s_[300:],) * 2, (np.s_[200:300], np.s_[300:]))
    )
    hybrid, rebuilt = model.swap(first, second), model.reconstruct(second)
    values, static = model.spectrum()

    def error(x: np.ndarray, y: np.ndarray) -> float:
        return float(((x - y) ** 2).mean())

    assert error(rebuilt, second) < 0.05 * second.var()
    assert error(hybrid, truth) < 0.2 * error(rebuilt, truth)
    # Two levels and a constant stay; the rotation is found with its speed.
    assert static.sum() == 3
    assert np.abs(values[static] - 1).max() < 0.05
    assert values[~static].real.max() < 0.75
    assert np.abs(values - np.exp(0.9j)).min() < 0.05


def test_what_it_cannot_do_it_says(model: SKD, x: np.ndarray) -> None:
    with pytest.raises(CapabilityError, match="no prior"):
        model.sample(2)
    with pytest.raises(DataError, match=r"\(4, 12\) and \(4, 9\)"):
        model.swap_modes(x[:4], x[:4, :9], range(6))
    with pytest.raises(DataError, match="equal lengths"):
        model.swap_modes(as_sequences(x[:4], lengths=[12, 9, 9, 9]), x[:4], range(6))
    with pytest.raises(SettingsError, match="from 0 to 5"):
        model.swap_modes(x[:4], x[:4], [6])
    with pytest.raises(SettingsError, match="static_modes = 6: expected fewer than latent_dim, 6"):
        SKD(latent_dim=6, static_modes=6).fit(x)
    with pytest.raises(DataError, match="at least 2 are needed"):
        SKD().fit(x[:, :1])


RELEASED = {  # operator; sizes, static modes; target, penalty, threshold; weights; epochs, clip
    ("paper", "sprites"): ("fitted", 40, 40, 8, "norm", "ball", 0.6, (15, 1, 1), 1000, 0),
    ("reference", "sprites"): ("fitted", 40, 80, 7, "ball", "real", 0.5, (15, 1, 1), 250, 1),
    ("reference", "air-quality"): ("fitted", 54, 90, 7, "ball", "real", 0.275, (16, 1, 0.25), 250, 1),
    ("reference", "melodies"): ("fitted", 54, 90, 8, "norm", "real", 0.275, (16, 1, 0.25), 500, 1),
    ("reference", "sprites-ssm"): ("sequence", 15, 170, 1, "ball", "real", 0.75, (16, 0.5, 1), 150, 5),
    ("reference", "air-quality-ssm"): ("sequence", 54, 90, 1, "ball", "real", 0.275, (16, 0.5, 0.25), 250, 0.5),
}


def test_published_settings() -> None:
    for (preset, name), expected in RELEASED.items():
        model = SKD.published(name, preset=preset)
        weights = model.reconstruction_weight, model.prediction_weight, model.spectral_weight
        training = model.training
        assert expected == (
            *(model.operator, model.latent_dim, model.hidden_dim, model.static_modes),
            *(model.static_target, model.dynamic_penalty, model.threshold, weights),
            *(training.max_epochs, training.gradient_clip),
        ), name
        assert (training.batch_size, training.lr) == (32, 1e-3), name
    with pytest.raises(SettingsError, match="Known: sprites"):
        SKD.published("timit")
    with pytest.raises(SettingsError, match="unknown preset 'released'"):
        SKD.published("sprites", preset="released")
