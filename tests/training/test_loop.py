from __future__ import annotations

import numpy as np
import pytest
import torch

from seqdis.errors import SeqdisError, SettingsError
from seqdis.hyperparameters import signature, validate
from seqdis.inputs import as_sequences
from seqdis.losses import LossTerms
from seqdis.nn.network import Network
from seqdis.sequences import Batch, DataSpec
from seqdis.training import Training, loop
from seqdis.training.engine import Store
from seqdis.training.loop import evaluate, train
from tiny import Tiny, TinyNetwork

DATA = as_sequences(np.random.default_rng(0).normal(size=(10, 4, 3)))


class Recorder(TinyNetwork):
    """Notes the rows, the epoch, the step and the draw of every call."""

    def __init__(self) -> None:
        super().__init__(Tiny(), DATA.spec)
        self.seen: list[tuple] = []

    def forward(self, batch, progress):
        draw = torch.rand((), generator=progress.generator).item()
        self.seen.append((batch.index.tolist(), progress.epoch, progress.step, self.training, draw))
        return super().forward(batch, progress)


def recorded(**settings) -> tuple[list[tuple], list[dict]]:
    network = Recorder()
    history = train(network, DATA, Training(**{"max_epochs": 3, "batch_size": 4} | settings))
    return network.seen, history


def test_every_epoch_sees_every_sequence_once_in_a_new_order() -> None:
    seen, history = recorded()
    epochs = [[row for rows, epoch, *_ in seen if epoch == e for row in rows] for e in range(3)]
    assert all(sorted(rows) == list(range(10)) for rows in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [step for _, _, step, *_ in seen] == list(range(9))
    assert [len(rows) for rows, *_ in seen] == [4, 4, 2] * 3
    assert all(training for *_, training, _ in seen)
    assert [record["epoch"] for record in history] == [1, 2, 3]


def test_order_and_draws_follow_seed_and_epoch() -> None:
    first, _ = recorded()
    assert recorded()[0] == first
    assert recorded(seed=1)[0] != first
    longer, _ = recorded(max_epochs=5)
    assert longer[:9] == first
    assert len({draw for *_, draw in longer}) == 15


def test_the_record_averages_over_sequences() -> None:
    class Constant(Recorder):
        def forward(self, batch, progress):
            value = batch.index.float().mean() + 0 * self.out.bias.sum()
            return LossTerms().add("a", value, 2.0).add("b", 3 * value)

    (record,) = train(Constant(), DATA, Training(max_epochs=1, batch_size=4), valid=DATA[:4])
    assert record["train"] == {"a": 4.5, "b": 13.5, "total": 22.5}
    assert record["valid"] == {"a": 1.5, "b": 4.5, "total": 7.5}
    assert record["seconds"] >= 0


def test_watchers_see_every_step_and_every_record() -> None:
    calls: list[tuple] = []
    history = train(
        Recorder(),
        DATA,
        Training(max_epochs=2, batch_size=5),
        watch=lambda done, of, record: calls.append((done, of, record)),
    )
    assert calls == [(1, 4, None), (2, 4, None), (2, 4, history[0]), (3, 4, None), (4, 4, None), (4, 4, history[1])]


def test_long_runs_look_at_their_validation_part_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "VALIDATIONS", 5)
    looked = {}
    for epochs in (3, 13):
        history = train(Recorder(), DATA[:1], Training(max_epochs=epochs), valid=DATA[:1])
        looked[epochs] = [record["epoch"] for record in history if "valid" in record]
    assert looked == {3: [1, 2, 3], 13: [2, 4, 6, 8, 10, 12, 13]}


def test_evaluation_makes_the_same_draws_and_trains_nothing() -> None:
    network = Recorder()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first = evaluate(network, Store(DATA, DATA.spec), Training(batch_size=4))
    assert evaluate(network, Store(DATA, DATA.spec), Training(batch_size=4)) == first
    assert network.seen[:3] == network.seen[3:]
    assert not any(training for *_, training, _ in network.seen)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    class Diverging(Recorder):
        def forward(self, batch, progress):
            return super().forward(batch, progress).add("odd", self.out.bias.sum() / (progress.epoch < 1))

    with pytest.raises(SeqdisError, match=r"diverged in epoch 2: odd, total not finite.*training.lr.*gradient_clip"):
        train(Diverging(), DATA, Training(max_epochs=3))


def test_weights_that_the_last_step_spoils_are_refused_too() -> None:
    class Spoilt(Recorder):
        def forward(self, batch, progress):
            root = (self.out.bias.sum() * 0.0).square().sqrt()  # zero, and its gradient NaN
            return super().forward(batch, progress).add("odd", root)

    with pytest.raises(SeqdisError, match=r"diverged in epoch 1: weights not finite"):
        train(Spoilt(), DATA, Training(max_epochs=1, batch_size=10))


def moved(**settings) -> float:
    """How far one step moves the weights, by Adam's first step at most lr each."""
    torch.manual_seed(0)
    network = Recorder()
    before = [value.detach().clone() for value in network.parameters()]
    train(network, DATA, Training(max_epochs=1, batch_size=10, **settings))
    return max((a - b).abs().max().item() for a, b in zip(before, network.parameters(), strict=True))


def test_steps_are_adam_steps_of_the_given_rate() -> None:
    assert moved(lr=1e-3) == pytest.approx(1e-3, rel=1e-3)
    assert moved(lr=1e-2) == pytest.approx(1e-2, rel=1e-3)


def test_gradients_are_clipped_before_the_step() -> None:
    def norm_after(clip: float) -> float:
        torch.manual_seed(0)
        network = Recorder()
        train(network, DATA, Training(max_epochs=1, batch_size=10, gradient_clip=clip))
        return float(torch.stack([p.grad.norm() for p in network.parameters()]).norm())

    free = norm_after(0.0)
    assert free > 1
    assert norm_after(0.5) == pytest.approx(0.5, rel=1e-3)
    assert norm_after(2 * free) == pytest.approx(free)


def test_bfloat16_autocast_keeps_weights_and_records_in_float32() -> None:
    network = Recorder()
    (record,) = train(network, DATA, Training(max_epochs=1, precision="bf16-mixed"))
    assert all(value.dtype == torch.float32 for value in network.parameters())
    assert np.isfinite(record["train"]["total"])


def test_several_objectives_train_their_own_parameters_in_turn() -> None:
    class Two(Network):
        objectives = ("model", "critic")

        def __init__(self) -> None:
            super().__init__()
            self.spec = DATA.spec
            self.model, self.critic = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)

        def parameters_of(self, objective: str):
            return list(getattr(self, objective).parameters())

        def forward(self, batch: Batch, progress) -> LossTerms:
            terms = LossTerms().add("model", self.model(batch.x).mean())
            return terms.add("critic", self.critic(batch.x).mean(), objective="critic")

    network = Two()
    before = [value.detach().clone() for value in network.parameters()]
    train(network, DATA, Training(max_epochs=1, batch_size=10))
    assert all(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("schedule", "done", "rate"),
    [("constant", 0.0, 0.1), ("constant", 0.9, 0.1), ("cosine", 0.0, 0.1), ("cosine", 0.5, 0.05), ("cosine", 1.0, 0.0)],
)
def test_rates(schedule: str, done: float, rate: float) -> None:
    assert Training(lr=0.1, schedule=schedule).rate(done) == pytest.approx(rate)


IMPOSSIBLE = [
    *[{"max_epochs": 0}, {"batch_size": 0}, {"lr": 0.0}, {"lr": -1.0}, {"gradient_clip": -1.0}, {"seed": -1}],
    *[{"seed": 2**32}, {"precision": "16"}, {"accelerator": "tpu"}, {"save_seconds": -1.0}, {"threads": -1}],
    *[{"schedule": "linear"}],
]


@pytest.mark.parametrize("wrong", IMPOSSIBLE, ids=str)
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(SettingsError, match=f"Training.{next(iter(wrong))} = "):
        validate(Training(**wrong))


def test_what_cannot_change_a_result_stays_out_of_the_signature() -> None:
    base = signature(Training())
    for changes in ({"accelerator": "cpu"}, {"threads": 3}, {"save_seconds": 1.0}):
        assert signature(Training(**changes)) == base
    for changes in ({"lr": 1e-4}, {"seed": 1}, {"precision": "bf16-mixed"}, {"schedule": "cosine"}):
        assert signature(Training(**changes)) != base


def test_the_largest_seed_works() -> None:
    seen, _ = recorded(seed=2**32 - 1, max_epochs=1)
    assert len(seen) == 3


def test_an_absent_accelerator_is_a_settings_error() -> None:
    absent = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(SettingsError, match=f"Training.accelerator = '{absent}'"):
        train(Recorder(), DATA, Training(accelerator=absent))


def test_a_spec_is_all_a_network_needs() -> None:
    assert isinstance(Tiny().build(DataSpec(kind="series", shape=(2,), length=3)), Network)
