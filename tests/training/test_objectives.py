"""Two objectives, two optimisers: apart in gradients, records and clipping; together in a resumed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from seqdis.inputs import as_sequences
from seqdis.losses import LossTerms
from seqdis.methods import RWAE
from seqdis.nn.network import Network
from seqdis.training import Training
from seqdis.training.loop import train

SERIES = np.random.default_rng(0).normal(size=(10, 12, 3))
DATA = as_sequences(SERIES)


class Duel(Network):
    """One number each; the model wants their product small, the critic wants it large."""

    objectives = ("model", "critic")
    a, b = 3.0, 2.0

    def __init__(self) -> None:
        super().__init__()
        self.spec = DATA.spec
        self.model, self.critic = nn.Parameter(torch.tensor(self.a)), nn.Parameter(torch.tensor(self.b))
        self.calls = 0

    def parameters_of(self, objective: str) -> list[nn.Parameter]:
        return [getattr(self, objective)]

    def forward(self, batch, progress) -> LossTerms:
        self.calls += 1
        product = self.model * self.critic
        return LossTerms().add("product", product, 2.0).add("lost", -product, objective="critic")


def fitted(network: Network, **settings) -> dict:
    return train(network, DATA, Training(**{"max_epochs": 1, "batch_size": 10, "lr": 0.1} | settings), valid=DATA)[-1]


def test_gradients_are_of_the_own_objective_at_the_same_point() -> None:
    network = Duel()
    fitted(network)
    assert network.model.grad.item() == 2 * network.b
    assert network.critic.grad.item() == -network.a  # not of a model that has moved, nor of the model's own term
    assert network.model.item() == pytest.approx(network.a - 0.1)
    assert network.critic.item() == pytest.approx(network.b + 0.1)


def test_one_forward_pass_serves_both() -> None:
    network = Duel()
    fitted(network, batch_size=4)
    assert network.calls == 3 + 3  # three training batches, three of validation


def test_records_keep_the_totals_apart() -> None:
    network = Duel()
    record = fitted(network)
    product = network.a * network.b
    assert record["train"] == {"product": product, "lost": -product, "total": 2 * product, "total_critic": -product}
    assert list(record["valid"]) == list(record["train"])


def test_each_gradient_is_clipped_by_itself() -> None:
    class Uneven(Duel):
        def forward(self, batch, progress):
            return LossTerms().add("small", 0.5 * self.model).add("large", -1e3 * self.critic, objective="critic")

    network = Uneven()
    fitted(network, gradient_clip=1.0)
    assert network.model.grad.item() == pytest.approx(0.5)
    assert network.critic.grad.item() == pytest.approx(-1.0, rel=1e-3)


def test_a_network_states_its_rates_and_betas() -> None:
    class Hasty(Duel):
        betas = (0.0, 0.5)

        def rate_of(self, objective: str) -> float:
            return 3.0 if objective == "critic" else 1.0

    network = Hasty()
    fitted(network, max_epochs=2, schedule="cosine")
    # The cosine halves the second rate; without momentum, Adam's second step is g / sqrt(bias-corrected g^2).
    second = (network.a - 0.1) / np.sqrt((0.25 * network.a**2 + 0.5 * (network.a - 0.1) ** 2) / 0.75)
    assert network.critic.item() == pytest.approx(network.b + 0.3 + 0.15 * second, abs=1e-5)


def test_an_objective_without_a_term_is_an_error() -> None:
    class Silent(Duel):
        def forward(self, batch, progress):
            return LossTerms().add("product", self.model * self.critic)

    with pytest.raises(KeyError, match="no loss term was added for the objective 'critic'"):
        fitted(Silent())


def method() -> RWAE:
    training = Training(max_epochs=8, batch_size=4, save_seconds=0, schedule="cosine", gradient_clip=1.0)
    sizes = {"static_dim": 2, "dynamic_dim": 2, "feature_dim": 4, "hidden_dim": 4, "critic_dim": 4}
    return RWAE(**sizes, penalty="gan", actions=2, training=training)


def same_weights(one: RWAE, other: RWAE) -> bool:
    first, second = one.network_.state_dict(), other.network_.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole() -> RWAE:
    return method().fit(SERIES)


def test_a_killed_process_goes_on_with_both_optimisers(tmp_path: Path, whole: RWAE) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, __file__, folder], env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not (folder / "log.jsonl").exists() or len((folder / "log.jsonl").read_text().splitlines()) < 2:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not start within two minutes"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = len((folder / "log.jsonl").read_text().splitlines())
    assert 2 <= done < 8

    steps: list[int] = []
    resumed = method().fit(SERIES, out=folder, watch=lambda step, *_: steps.append(step))
    assert steps[0] > 3 * (done - 1)  # three steps an epoch; what was saved is not done again
    assert same_weights(resumed, whole)
    assert [record["train"] for record in resumed.history_] == [record["train"] for record in whole.history_]
    logged = [json.loads(line)["train"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert logged == [record["train"] for record in whole.history_]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_resume_that_forgets_an_optimiser_would_be_noticed(tmp_path: Path, whole: RWAE, lost: int) -> None:
    """The comparison above can fail: either optimiser's state decides the weights."""

    def stop(done: int, of: int, record: dict | None) -> None:
        if record is not None and record["epoch"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method().fit(SERIES, out=tmp_path / "run", watch=stop)
    state = torch.load(tmp_path / "run" / "resume.pt", weights_only=True)
    assert len(state["optimisers"]) == 2
    state["optimisers"][lost]["state"] = {}
    torch.save(state, tmp_path / "run" / "resume.pt")
    assert not same_weights(method().fit(SERIES, out=tmp_path / "run"), whole)


if __name__ == "__main__":
    method().fit(SERIES, out=sys.argv[1], watch=lambda *_: time.sleep(0.05))
