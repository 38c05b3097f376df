"""MoCoGAN: video from one content code and a path of motion codes, taught by two critics; no encoder."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from seqdis.coding import device_of
from seqdis.errors import SettingsError
from seqdis.estimator import Disentangler, Presets
from seqdis.factors import Factors
from seqdis.hyperparameters import hyper, hyperparameters
from seqdis.losses import LossTerms
from seqdis.nn.adversary import critic_loss, fooling_loss
from seqdis.nn.elements import frames_present, join, require_two_elements
from seqdis.nn.frames import FrameDecoder
from seqdis.nn.network import Network, Progress
from seqdis.nn.video_critics import ClipCritic, FrameCritic
from seqdis.sequences import Batch, DataSpec
from seqdis.training.settings import Training


@hyperparameters
class MoCoGAN(Disentangler):
    """Motion and content decomposed generative adversarial network, for video.

    A generator of single frames gets a static code that is drawn once, and a dynamic code per frame from a
    recurrent network that is driven by noise. One critic judges single frames, another one clips.

    Not to be confused with an autoencoder: it generates, decodes codes and lets one of them be exchanged, but
    it cannot code sequences that it is given. `encode` and all that starts there raise `CapabilityError`.

    Parameters
    ----------
    static_dim, dynamic_dim
        Sizes of the two codes; the actions are part of the dynamic one.
    actions
        Number of action classes: the last so many numbers of every dynamic code say which, one-hot and the
        same at all steps. No label is used: any trait that lasts may become the action, an identity as well. 0: none.
    action_weight
        Weight of the term that lets the clip critic recognise the action.
    clip_length
        Most frames of what the clip critic sees; of longer sequences a stretch at a random start.
    noise
        Standard deviation of the noise on what each layer of the critics sees in training; frames there go from
        -1 to 1.
    weight_decay
        Strength of Adam's L2 penalty on the weights of generator and critics; 0: none.
    filters, critic_filters
        Channels next to the frames in the generator, and of the first layers of the critics.
    training
        The optimiser's settings; published with a rate of 2e-4.

    Notes
    -----
    With ``s`` for z_C, ``a`` for z_A and ``d_t = (h_t, a)`` for the dynamic code::

        s ~ N(0, I),  h_0 ~ N(0, I),  h_t = GRU(e_t, h_{t-1}) with e_t ~ N(0, I),  a uniform,  x'_t = G(s, d_t)
        frame critic:  - log D_I(x_t) - log (1 - D_I(x'_t)),  at one random t
        clip critic:   - log D_V(x) - log (1 - D_V(x')) - action_weight log Q(a | x')
        generator:     - log D_I(x'_t) - log D_V(x') - action_weight log Q(a | x')

    each averaged over sequences and, in the frame critic, patches. ``Q`` is a second output of the clip critic.
    ``weight_decay`` adds ``w |weights|^2 / 2`` to each, what Adam's own option does to gradients.

    This is a game: its losses say little of the video made, and rise as well as fall; `score` is the generator's.
    Draws of the prior and "means" of its steps are the same, as a step has no distribution but the noise's.

    Departures from the released code: all three step at once, from one set of generated clips, instead of in turn
    from fresh ones; judged frames are taken from these clips; every sequence is seen once per epoch. ``Q`` learns
    from generated clips, as in InfoGAN, since methods here get no labels. Frames are in [0, 1] by a sigmoid (the
    same as its tanh); layers have biases, which batch norm cancels but for the last. Time is padded where clips are
    shorter than 16 frames, see `seqdis.nn.video_critics.ClipCritic`, and frames are halved as often as their size
    asks. Padded or missing frames are black in real and generated clips alike. No stride in time: give the data one.

    References
    ----------
    Tulyakov, Liu, Yang, Kautz. MoCoGAN: Decomposing Motion and Content for Video Generation. CVPR 2018.
    The action as a code to be recognised: Chen et al. InfoGAN. NeurIPS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from seqdis.methods import MoCoGAN
    >>> from seqdis.training import Training
    >>> x = np.random.default_rng(0).uniform(size=(8, 6, 3, 16, 16))
    >>> model = MoCoGAN(filters=4, critic_filters=4, training=Training(max_epochs=1)).fit(x)
    >>> model.sample(2, length=10).shape
    (2, 10, 3, 16, 16)
    """

    name = "mocogan"
    papers = ("Tulyakov2018MoCoGAN",)
    kinds = ("image",)
    has_encoder = False
    falling_loss = False

    static_dim: int = hyper(default=50, low=8, high=256, log=True, at_least=1)
    dynamic_dim: int = hyper(default=10, low=4, high=64, log=True, at_least=1)
    actions: int = hyper(default=0, at_least=0)
    action_weight: float = hyper(default=1.0, low=0.1, high=10.0, log=True, at_least=0)
    clip_length: int = hyper(default=16, low=8, high=32, at_least=2)
    noise: float = hyper(default=0.1, low=0.0, high=0.2, at_least=0)
    weight_decay: float = hyper(default=1e-5, at_least=0)
    filters: int = hyper(default=64, low=16, high=64, log=True, at_least=1)
    critic_filters: int = hyper(default=64, low=16, high=64, log=True, at_least=1)
    training: Training = hyper(factory=lambda: Training(lr=2e-4))

    def build(self, spec: DataSpec) -> MoCoGANNetwork:
        """The network for these data.

        Raises
        ------
        SettingsError
            A single action, or actions that leave no room for motion.
        DataError
            Sequences of a single frame.
        """
        if self.actions == 1:
            raise SettingsError(
                "MoCoGAN.actions = 1: a code of one class tells nothing. Give 2 or more, or 0 for none."
            )
        if self.actions >= self.dynamic_dim:
            raise SettingsError(
                f"MoCoGAN.actions = {self.actions} with dynamic_dim = {self.dynamic_dim}: the dynamic code holds one "
                "number per action, and motion beside. Give a larger dynamic_dim, or fewer actions."
            )
        require_two_elements(spec)
        return MoCoGANNetwork(self, spec)

    @classmethod
    def presets(cls) -> Presets:
        """The released code's settings, and ours for a data set that its authors did not use."""
        return {"reference": REFERENCE, "ours": OURS}


class MoCoGANNetwork(Network):
    """A GRU over noise, a generator of frames, and two critics, each with an optimiser of its own."""

    objectives = ("model", "frame_critic", "clip_critic")
    betas = (0.5, 0.999)

    def __init__(self, settings: MoCoGAN, spec: DataSpec) -> None:
        super().__init__()
        self.settings = settings
        self.spec = spec
        self.steps = min(settings.clip_length, spec.length)
        motion = settings.dynamic_dim - settings.actions
        self.motion = nn.GRU(motion, motion, batch_first=True)
        self.generator = FrameDecoder(settings.static_dim + settings.dynamic_dim, spec.shape, settings.filters)
        for layer in self.generator.layers:
            if isinstance(layer, nn.LeakyReLU):
                layer.negative_slope = 0.0  # a plain ReLU, as published
        seen = (settings.critic_filters, settings.noise)
        self.frame_critic = FrameCritic(spec.shape, *seen)
        self.clip_critic = ClipCritic(spec.shape, self.steps, *seen, settings.actions)

    def parameters_of(self, objective: str) -> list[nn.Parameter]:
        """Those of one critic, or of motion and generator."""
        critics = {"frame_critic": self.frame_critic, "clip_critic": self.clip_critic}
        parts: list[nn.Module] = [critics[objective]] if objective in critics else [self.motion, self.generator]
        return [value for part in parts for value in part.parameters()]

    def decode(self, factors: Factors) -> Tensor:
        """(batch, time, channels, height, width): generated frames in [0, 1], zero on padding."""
        valid = None if factors.lengths is None else factors.valid()
        made: Tensor = self.generator(join(factors.static, factors.dynamic), valid)
        return made

    def prior(self, n: int, length: int, generator: torch.Generator | None = None, *, mean: bool = False) -> Factors:
        """Draw both codes; with ``mean`` the same, as a step's distribution has no mean that could be told."""
        settings, device, motion = self.settings, device_of(self), self.motion.hidden_size
        static = torch.randn(n, settings.static_dim, generator=generator, device=device)
        first = torch.randn(1, n, motion, generator=generator, device=device)
        states, _ = self.motion(torch.randn(n, length, motion, generator=generator, device=device), first)
        if not settings.actions:
            return Factors(static, states.float())
        action = torch.randint(settings.actions, (n, 1), generator=generator, device=device).expand(-1, length)
        return Factors(static, torch.cat([states.float(), one_hot(action, settings.actions).float()], dim=-1))

    def forward(self, batch: Batch, progress: Progress) -> LossTerms:
        """What the generator and each critic minimise, from one draw of clips."""
        settings, draw = self.settings, progress.generator
        real, present = self._clips(batch, draw)
        codes = self.prior(len(batch), self.steps, draw)
        # Absent where the real clip is: a critic must not tell the two apart by that.
        made = self.decode(codes) * present[..., None, None, None]
        rows, place = torch.arange(len(batch), device=present.device), _one_of(present, draw)
        # Real and generated apart: batch norm would mix their statistics.
        real_frames = self.frame_critic(real[rows, place], draw)
        made_frames = self.frame_critic(made[rows, place], draw)
        real_clips, _ = self.clip_critic(real, draw)
        made_clips, guessed = self.clip_critic(made, draw)
        terms = LossTerms()
        terms.add("adversarial_frames", fooling_loss(made_frames).mean())
        terms.add("adversarial_clips", fooling_loss(made_clips).mean())
        terms.add("critic_frames", critic_loss(made_frames, real_frames).mean(), objective="frame_critic")
        terms.add("critic_clips", critic_loss(made_clips, real_clips).mean(), objective="clip_critic")
        if settings.actions:
            unlike = cross_entropy(guessed, codes.dynamic[:, 0, -settings.actions :])
            terms.add("action", unlike, settings.action_weight)
            terms.add("critic_action", unlike, settings.action_weight, objective="clip_critic")
        for objective in self.objectives if settings.weight_decay else ():
            halved = 0.5 * torch.stack([value.square().sum() for value in self.parameters_of(objective)]).sum()
            terms.add(f"decay_{objective}", halved, settings.weight_decay, objective=objective)
        return terms

    def _clips(
        self, batch: Batch, draw: torch.Generator | None
    ) -> tuple[Float[Tensor, "batch steps channels height width"], Bool[Tensor, "batch steps"]]:
        """A stretch of every sequence at a random start, and which of its frames are there; the others are zero."""
        present, (n, time) = frames_present(batch), batch.x.shape[:2]
        rows = torch.arange(n, device=batch.x.device).unsqueeze(1)
        lengths = torch.full_like(rows[:, 0], time) if batch.lengths is None else batch.lengths
        # Down to whole numbers, all starts are equally likely.
        share = torch.rand(n, generator=draw, device=rows.device)
        last = (lengths - self.steps).clamp(min=0)
        start = torch.minimum((share * (last + 1)).long(), last)
        place = start.unsqueeze(1) + torch.arange(self.steps, device=rows.device)
        inside, place = place < lengths.unsqueeze(1), place.clamp(max=time - 1)
        if present is not None:
            inside = inside & present[rows, place]
        return torch.where(inside[..., None, None, None], batch.x[rows, place], 0.0), inside


def _one_of(present: Bool[Tensor, "batch steps"], draw: torch.Generator | None) -> Tensor:
    """(batch,) one frame of every clip, drawn among those that are there."""
    return (torch.rand(present.shape, generator=draw, device=present.device) + present).argmax(1)


# 1e5 steps of 32 clips: of some 2,570 training clips of MUG, and of the 9,000 sequences of Sprites.
REFERENCE: dict[str, dict[str, Any]] = {
    "mug": {"dynamic_dim": 16, "actions": 6, "training": Training(max_epochs=1235, lr=2e-4)},
}
# Tables of later papers have a row for Sprites, and do not say how it was made.
OURS: dict[str, dict[str, Any]] = {"sprites": {"training": Training(max_epochs=355, lr=2e-4)}}
