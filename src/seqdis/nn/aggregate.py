"""Penalties on aggregated posteriors: all codes of a batch against as many draws from the prior.

Both take codes ``q`` and draws ``p`` that are paired row by row, and add their terms to a loss: one for
the static code, one summed over steps for the dynamic codes. In ragged batches a step counts by the
share of sequences that reach it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from seqdis.factors import Factors
from seqdis.losses import LossTerms, mmd
from seqdis.nn.adversary import Critic, critic_loss, fooling_loss


def beside_the_last(q: Factors, p: Factors) -> tuple[Factors, Factors]:
    """Codes and draws of each step, each beside the code before it, which both follow.

    Compared alone, a prior that has every step right but ignores what came before passes for a right one.
    """
    # Given, not judged: only the step itself is to move.
    before = pad(q.dynamic[:, :-1], (0, 0, 1, 0)).detach()
    first, second = (replace(codes, dynamic=torch.cat([codes.dynamic, before], dim=-1)) for codes in (q, p))
    return first, second


class KernelPenalty(nn.Module):
    """Maximum mean discrepancies; the static prior is N(0, I)."""

    def __init__(self, kernel: str, static_weight: float, dynamic_weight: float) -> None:
        super().__init__()
        self.kernel = kernel
        self.weights = (static_weight, dynamic_weight)

    def forward(self, terms: LossTerms, q: Factors, p: Factors) -> None:
        """Add ``mmd_static`` and ``mmd_dynamic``."""
        present = q.valid().T
        static = mmd(q.static, p.static, self.kernel, spread=2.0 * q.static.shape[-1])
        steps = mmd(q.dynamic.transpose(0, 1), p.dynamic.transpose(0, 1), self.kernel, present=present)
        terms.add("mmd_static", static, self.weights[0])
        terms.add("mmd_dynamic", (steps * present.float().mean(1)).sum(), self.weights[1])


class CriticPenalty(nn.Module):
    """Two critics and those who fool them, from one pass through each critic.

    One critic judges all steps. The dynamic prior is learned, hence plays on the encoder's side.
    """

    def __init__(
        self, static_dim: int, dynamic_dim: int, hidden: int, static_weight: float, dynamic_weight: float
    ) -> None:
        super().__init__()
        self.static = Critic(static_dim, hidden)
        self.dynamic = Critic(dynamic_dim, hidden)
        self.weights = (static_weight, dynamic_weight)

    def forward(self, terms: LossTerms, q: Factors, p: Factors) -> None:
        """Add ``adversarial_*`` to the model's terms and ``critic_*`` to those of the objective "critic"."""
        q_static, p_static = self.static(torch.stack([q.static, p.static]))
        q_steps, p_steps = self.dynamic(torch.stack([q.dynamic, p.dynamic]))

        def over_steps(values: Tensor) -> Tensor:
            return (values * q.valid()).sum(1).mean()

        terms.add("adversarial_static", fooling_loss(q_static).mean(), self.weights[0])
        terms.add("adversarial_dynamic", over_steps(fooling_loss(q_steps, p_steps)), self.weights[1])
        terms.add("critic_static", critic_loss(q_static, p_static).mean(), objective="critic")
        terms.add("critic_dynamic", over_steps(critic_loss(q_steps, p_steps)), objective="critic")
