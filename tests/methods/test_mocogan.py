"""What is special to MoCoGAN: no encoder, a game of three players, and what each of them sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import seqdis
from seqdis.errors import CapabilityError, DataError, SettingsError
from seqdis.factors import Factors
from seqdis.inputs import as_sequences
from seqdis.losses import LossTerms
from seqdis.methods import MoCoGAN
from seqdis.nn.network import Progress
from seqdis.sequences import Batch
from seqdis.training import Training

SMALL = {"static_dim": 3, "dynamic_dim": 4, "filters": 4, "critic_filters": 4}
QUICK = Training(max_epochs=1, batch_size=4)
X = np.random.default_rng(0).uniform(size=(6, 7, 3, 8, 8)).astype(np.float32)
BATCH = Batch(x=torch.from_numpy(X))


def network(x: np.ndarray = X, **changes):
    torch.manual_seed(0)
    return MoCoGAN(**SMALL | changes).build(as_sequences(x, kind="image").spec)


def progress(seed: int = 0) -> Progress:
    return Progress(generator=torch.Generator().manual_seed(seed))


class Watched:
    """A network's losses of one batch, with what the critics were shown and answered: of real and of made video."""

    def __init__(self, net, batch: Batch = BATCH, seed: int = 0) -> None:
        self.frames: list[tuple[Tensor, Tensor]] = []
        self.clips: list[tuple[Tensor, tuple[Tensor, Tensor]]] = []
        hooks = [
            net.frame_critic.register_forward_hook(lambda _, args, out: self.frames.append((args[0], out))),
            net.clip_critic.register_forward_hook(lambda _, args, out: self.clips.append((args[0], out))),
        ]
        self.terms: LossTerms = net(batch, progress(seed))
        for hook in hooks:
            hook.remove()


# Learning


def toy(n: int) -> np.ndarray:
    """Frames with a slope that moves, at one of two levels that stays."""
    draw = np.random.default_rng(0)
    level, phase = draw.choice([0.2, 0.8], size=(n, 1, 1)), draw.uniform(0, 2 * np.pi, size=(n, 1, 1))
    rows = level + 0.2 * np.sin(phase + np.arange(6)[:, None]) * np.linspace(-1, 1, 8)
    return np.broadcast_to(rows[:, :, None, None, :], (n, 6, 1, 8, 8)).astype(np.float32)


def test_generated_clips_have_a_level_of_the_data() -> None:
    """One of the two, or both: which is a matter of luck in a game this short."""
    training = Training(max_epochs=12, batch_size=16, lr=2e-3)
    method = MoCoGAN(static_dim=2, dynamic_dim=4, filters=8, critic_filters=8, training=training)

    def away_from_levels(model: MoCoGAN) -> float:
        made = model.sample(100, seed=1).mean((1, 2, 3, 4))
        return float(np.minimum(np.abs(made - 0.2), np.abs(made - 0.8)).mean())

    assert away_from_levels(method.replace(training__max_epochs=1).fit(toy(16))) > 0.25
    assert away_from_levels(method.fit(toy(256))) < 0.2  # 0.11 to 0.14 with four seeds


@pytest.mark.slow
def test_generated_clips_take_the_levels_of_the_data_and_the_static_code_decides_which() -> None:
    training = Training(max_epochs=24, batch_size=16, lr=2e-3)
    model = MoCoGAN(static_dim=2, dynamic_dim=4, filters=8, critic_filters=8, training=training).fit(toy(256))
    levels = model.sample(300, seed=1).mean((1, 2, 3, 4))
    assert (levels < 0.4).mean() > 0.2
    assert (levels > 0.6).mean() > 0.2
    codes = model.network_.prior(20, 6, torch.Generator().manual_seed(3))
    crossed = Factors(codes.static.repeat_interleave(20, 0), codes.dynamic.detach().repeat(20, 1, 1))
    levels = model.decode(crossed).mean((1, 2, 3, 4)).reshape(20, 20)
    assert levels.mean(1).var() > 20 * levels.mean(0).var()


@pytest.mark.slow
def test_generated_clips_move_like_the_data() -> None:
    """Black and white come and go in every clip; a frozen one of either would pass as to its frames."""
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, size=(256, 1))
    x = 0.5 + 0.4 * np.sin(phase + 2.0 * np.arange(6))
    training = Training(max_epochs=60, batch_size=16, lr=2e-3)
    model = MoCoGAN(static_dim=2, dynamic_dim=4, filters=8, critic_filters=8, training=training)
    made = model.fit(np.broadcast_to(x[..., None, None, None], (256, 6, 1, 8, 8))).sample(300, seed=1).mean((2, 3, 4))
    assert made.std(1).mean() == pytest.approx(x.std(1).mean(), rel=0.2)
    assert made.mean(1).std() < 0.1 * made.std(1).mean()


# The prior and the generator


def test_the_dynamic_code_is_a_gru_over_noise_and_an_action_that_stays() -> None:
    net, n, length = network(dynamic_dim=5, actions=2), 400, 6
    codes = net.prior(n, length, torch.Generator().manual_seed(1))
    draw = torch.Generator().manual_seed(1)
    static, state = torch.randn(n, 3, generator=draw), torch.randn(n, 3, generator=draw)
    noise = torch.randn(n, length, 3, generator=draw)
    assert torch.equal(codes.static, static)
    (w, u), (b, c) = (net.motion.weight_ih_l0, net.motion.weight_hh_l0), (net.motion.bias_ih_l0, net.motion.bias_hh_l0)
    for t in range(length):
        given, kept = (part.chunk(3, dim=1) for part in (noise[:, t] @ w.T + b, state @ u.T + c))
        reset, update = torch.sigmoid(given[0] + kept[0]), torch.sigmoid(given[1] + kept[1])
        state = (1 - update) * torch.tanh(given[2] + reset * kept[2]) + update * state
        torch.testing.assert_close(codes.dynamic[:, t, :3], state)
    action = codes.dynamic[:, :, 3:]
    assert torch.equal(action, action[:, :1].expand(-1, length, -1))
    assert set(map(tuple, action[:, 0].tolist())) == {(1.0, 0.0), (0.0, 1.0)}
    assert abs(action[:, 0, 0].mean() - 0.5) < 0.1
    assert torch.equal(codes.dynamic, net.prior(n, length, torch.Generator().manual_seed(1), mean=True).dynamic)


def test_published_generator() -> None:
    """Kernels of 4; 4x4 maps of 512 channels, then 256, 128, 64, 3; batch norm and ReLU between, no leak."""
    frames = np.zeros((2, 16, 3, 64, 64), dtype=np.uint8)
    net = MoCoGAN().build(as_sequences(frames, kind="image").spec)
    layers = [layer for layer in net.generator.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(layer.in_channels, layer.out_channels, *layer.kernel_size) for layer in layers] == [
        (60, 512, 4, 4), (512, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4), (64, 3, 4, 4)
    ]  # fmt: skip
    assert [layer.stride[0] for layer in layers[1:]] == [2, 2, 2, 2]
    assert {layer.negative_slope for layer in net.generator.modules() if isinstance(layer, nn.LeakyReLU)} == {0.0}
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in net.generator.modules()) == 4
    assert (net.motion.input_size, net.motion.hidden_size, net.steps) == (10, 10, 16)


def test_frames_are_decoded_one_by_one_and_padding_is_black() -> None:
    net = network().eval()
    with torch.no_grad():
        codes = net.prior(3, 5, torch.Generator().manual_seed(0))
        whole = net.decode(codes)
        turned = net.decode(Factors(codes.static, codes.dynamic.flip(1)))
        ragged = net.decode(Factors(codes.static, codes.dynamic, torch.tensor([2, 5, 1])))
    torch.testing.assert_close(turned, whole.flip(1))
    assert 0 < whole.min() < whole.max() < 1
    torch.testing.assert_close(ragged[0, :2], whole[0, :2])
    assert not ragged[0, 2:].any()
    assert not ragged[2, 1:].any()


# The game


def test_every_term_by_binary_cross_entropy() -> None:
    seen = Watched(network(actions=2, action_weight=3.0))
    (real, made), (real_clip, made_clip) = ([out for _, out in shown] for shown in (seen.frames, seen.clips))
    one, zero = torch.ones_like, torch.zeros_like
    bce, values = binary_cross_entropy_with_logits, seen.terms.values
    (clip, _), (made_clip, guessed) = real_clip, made_clip
    expected = {
        "adversarial_frames": bce(made, one(made)),
        "adversarial_clips": bce(made_clip, one(made_clip)),
        "critic_frames": bce(real, one(real)) + bce(made, zero(made)),
        "critic_clips": bce(clip, one(clip)) + bce(made_clip, zero(made_clip)),
    }
    for name, value in expected.items():
        torch.testing.assert_close(values[name], value)
    # The action that was drawn, by the network's own draws in their order.
    draw = torch.Generator().manual_seed(0)
    torch.rand(len(X), generator=draw)
    drawn = network(actions=2).prior(len(X), 7, draw).dynamic[:, 0, -2:].argmax(-1)
    for name in ("action", "critic_action"):
        torch.testing.assert_close(values[name], cross_entropy(guessed, drawn))
        assert seen.terms.weights[name] == 3.0
    whose = {name: each for name, each in seen.terms.objectives.items() if "decay" not in name}
    assert whose == {
        "adversarial_frames": "model",
        "adversarial_clips": "model",
        "action": "model",
        "critic_frames": "frame_critic",
        "critic_clips": "clip_critic",
        "critic_action": "clip_critic",
    }


def test_critics_are_shown_the_clips_and_one_frame_of_each() -> None:
    net = network(noise=0.0)
    seen = Watched(net)
    (real, _), (made, _) = seen.clips
    assert torch.equal(real, BATCH.x)
    draw = torch.Generator().manual_seed(0)
    torch.rand(len(X), generator=draw)
    torch.testing.assert_close(made, net.decode(net.prior(len(X), 7, draw)))
    for (frame, _), clip in zip(seen.frames, (real, made), strict=True):
        assert frame.shape == (6, 3, 8, 8)
        assert all(any(torch.equal(one, each) for each in several) for one, several in zip(frame, clip, strict=True))
    places = {
        next(t for t in range(7) if torch.equal(Watched(net, seed=seed).frames[0][0][0], BATCH.x[0, t]))
        for seed in range(40)
    }
    assert places == set(range(7))


def test_each_player_has_its_own_parameters_and_the_gradient_of_its_own_loss() -> None:
    """As if critics saw generated video as data, and the generator saw critics that stand still."""
    net = network(noise=0.0, weight_decay=0.0)
    owned = {name: net.parameters_of(name) for name in net.objectives}
    assert sum(map(len, owned.values())) == len({id(value) for each in owned.values() for value in each})
    assert {id(value) for each in owned.values() for value in each} == {id(value) for value in net.parameters()}
    seen = Watched(net)
    found = {
        name: torch.autograd.grad(seen.terms.total_of(name), values, retain_graph=True)
        for name, values in owned.items()
    }
    (real_frame, _), (made_frame, _) = seen.frames
    (real_clip, _), (made_clip, _) = seen.clips
    bce = binary_cross_entropy_with_logits

    def loss(real: Tensor, made: Tensor) -> Tensor:
        return bce(real, torch.ones_like(real)) + bce(made, torch.zeros_like(made))

    apart = {
        "frame_critic": loss(net.frame_critic(real_frame), net.frame_critic(made_frame.detach())),
        "clip_critic": loss(net.clip_critic(real_clip)[0], net.clip_critic(made_clip.detach())[0]),
    }
    for name, value in apart.items():
        for one, other in zip(found[name], torch.autograd.grad(value, owned[name]), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
    fooled = [net.frame_critic(made_frame), net.clip_critic(made_clip)[0]]
    value = sum((bce(odds, torch.ones_like(odds)) for odds in fooled), torch.zeros(()))
    for one, other in zip(found["model"], torch.autograd.grad(value, owned["model"]), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_weight_decay_is_adams_own() -> None:
    net, without = network(weight_decay=0.01), network(weight_decay=0.0)
    terms, plain = net(BATCH, progress()), without(BATCH, progress())
    assert not any("decay" in name for name in plain.values)
    for name in net.objectives:
        pulled = torch.autograd.grad(terms.total_of(name), net.parameters_of(name), retain_graph=True)
        free = torch.autograd.grad(plain.total_of(name), without.parameters_of(name), retain_graph=True)
        for weight, one, other in zip(net.parameters_of(name), pulled, free, strict=True):
            torch.testing.assert_close(one - other, 0.01 * weight, atol=1e-6, rtol=1e-4)


# What the critics see of long, ragged and incomplete clips


def test_of_long_sequences_a_stretch_at_a_random_start() -> None:
    net, starts = network(clip_length=4), set()
    for seed in range(30):
        ((real, _), (made, _)) = Watched(net, seed=seed).clips
        assert made.shape == real.shape == (6, 4, 3, 8, 8)
        starts.add(next(s for s in range(4) if torch.equal(real[0], BATCH.x[0, s : s + 4])))
    assert starts == {0, 1, 2, 3}


def test_padded_and_missing_frames_are_black_in_both_and_never_picked() -> None:
    net, lengths = network(), torch.tensor([7, 3, 5, 1, 7, 2])
    seen = torch.rand(6, 7, generator=torch.Generator().manual_seed(1)) > 0.3
    seen[3] = False  # nothing is left of this one
    present = seen & (torch.arange(7) < lengths[:, None])
    shown = []
    for filler in (0.0, 1e6):
        x = torch.where(present[..., None, None, None], BATCH.x, filler)
        watched = Watched(net, Batch(x=x, mask=present, lengths=lengths))
        shown.append(watched)
        for clip, _ in watched.clips:
            assert torch.equal(clip.flatten(2).any(-1), present)
        for frame, _ in watched.frames:
            assert torch.equal(frame.flatten(1).any(-1), present.any(1))
    for name, value in shown[0].terms.values.items():
        assert torch.equal(value, shown[1].terms.values[name])
        assert torch.isfinite(value)


def test_short_sequences_are_filled_up() -> None:
    net = network()
    ((real, _), (made, _)) = Watched(net, Batch(x=BATCH.x[:, :2])).clips
    assert torch.equal(real[:, :2], BATCH.x[:, :2])
    assert not real[:, 2:].any()
    assert not made[:, 2:].any()
    assert made[:, :2].any()


# No encoder


@pytest.fixture(scope="module")
def model() -> MoCoGAN:
    return MoCoGAN(**SMALL | {"dynamic_dim": 6}, actions=2, training=QUICK).fit(X)


def test_what_takes_an_encoder_is_refused_in_words(model: MoCoGAN) -> None:
    calls = [
        lambda: model.encode(X),
        lambda: model.encode(X, draw=1),
        lambda: model.transform(X),
        lambda: model.reconstruct(X),
        lambda: model.swap(X, X),
        lambda: model.sample(like=X, keep="static"),
        lambda: model.sample(like=X, keep="dynamic"),
        lambda: model.fit_transform(X),
    ]
    for call in calls:
        with pytest.raises(CapabilityError, match="MoCoGAN has no encoder: it cannot code given sequences"):
            call()


def test_it_samples_and_decodes_codes_and_comes_back_the_same(model: MoCoGAN, tmp_path) -> None:
    assert model.sample(2, length=9).shape == (2, 9, 3, 8, 8)
    codes = model.network_.prior(3, 7, torch.Generator().manual_seed(0))
    codes = Factors(codes.static, codes.dynamic.detach())
    assert codes.dynamic.shape == (3, 7, model.dynamic_dim)
    frames = model.decode(codes)
    loaded = seqdis.load(model.save(tmp_path / "run"))
    assert np.array_equal(loaded.decode(codes), frames)
    assert np.array_equal(loaded.sample(2, seed=3), model.sample(2, seed=3))
    table = torch.cat([codes.static, codes.dynamic.flatten(1)], dim=1).numpy()
    assert np.array_equal(model.inverse_transform(table), frames)
    assert len(model.get_feature_names_out()) == table.shape[1]


# Settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"actions": 1}, r"MoCoGAN\.actions = 1"),
        ({"actions": 4}, r"MoCoGAN\.actions = 4 with dynamic_dim = 4: the dynamic code holds one number per action"),
        ({"clip_length": 1}, r"MoCoGAN\.clip_length"),
    ],
)
def test_impossible_settings_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        MoCoGAN(**SMALL | changes, training=QUICK).fit(X)


def test_other_data_are_refused() -> None:
    with pytest.raises(CapabilityError, match="MoCoGAN is for data of kind image"):
        MoCoGAN().fit(np.zeros((4, 6, 3), dtype=np.float32))
    with pytest.raises(DataError, match="at least 2"):
        MoCoGAN(**SMALL).fit(X[:, :1])


def test_published_settings() -> None:
    for name, preset, motion, actions in (("mug", "reference", 10, 6), ("sprites", "ours", 10, 0)):
        method = MoCoGAN.published(name, preset)
        assert (method.static_dim, method.dynamic_dim - method.actions, method.actions) == (50, motion, actions)
        assert (method.filters, method.critic_filters, method.clip_length) == (64, 64, 16)
        assert (method.training.lr, method.training.batch_size, method.weight_decay) == (2e-4, 32, 1e-5)
    assert network().betas == (0.5, 0.999)
    # 1e5 steps.
    assert -(-9000 // 32) * MoCoGAN.published("sprites", "ours").training.max_epochs == pytest.approx(1e5, rel=0.01)
    assert -(-2572 // 32) * MoCoGAN.published("mug").training.max_epochs == pytest.approx(1e5, rel=0.01)
