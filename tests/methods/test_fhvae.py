"""What is special to FHVAE: vectors of whole sequences, two readers of segments, utterances made of segments."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from seqdis.errors import DataError, SettingsError
from seqdis.factors import Factors
from seqdis.hyperparameters import validate
from seqdis.methods import FHVAE
from seqdis.methods.fhvae import FHVAENetwork
from seqdis.nn import levels, segments
from seqdis.nn.network import Progress
from seqdis.protocols import SpeakerVerification
from seqdis.sequences import Batch, DataSpec, FactorSpec, Sequences
from seqdis.training import Training

SMALL = {"static_dim": 3, "dynamic_dim": 2, "feature_dim": 6, "hidden_dim": 5, "filters": 2}
SPECS = {
    "series": DataSpec(kind="series", shape=(3,), length=12),
    "spectrogram": DataSpec(kind="spectrogram", shape=(4,), length=12),
    "image": DataSpec(kind="image", shape=(1, 8, 8), length=12),
}
KINDS = list(SPECS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(kind: str = "series", **changes: object) -> FHVAENetwork:
    torch.manual_seed(1)
    net = FHVAE(**SMALL | changes).build(SPECS[kind]).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.4)
    return net


def batch(kind: str = "series", n: int = 5, **more: object) -> Batch:
    spec = SPECS[kind]
    return Batch(x=torch.rand(n, spec.length, *spec.shape, generator=generator(7)), index=torch.arange(n), **more)


def ragged_batch(kind: str) -> Batch:
    """Values, steps and a whole segment missing; a length of 3 is less than a segment, 10 ends within one."""
    spec, lengths = SPECS[kind], torch.tensor([12, 3, 8, 10, 12])
    valid = torch.arange(spec.length) < lengths[:, None]
    shape = (5, spec.length, *spec.shape) if kind == "series" else (5, spec.length)
    mask = (torch.rand(shape, generator=generator(8)) > 0.25) & (valid if kind != "series" else valid[..., None])
    mask[:, 1] = True
    mask[4, 4:8] = False
    wide = mask.reshape(*mask.shape, *[1] * (2 + len(spec.shape) - mask.ndim))
    whole = batch(kind)
    return replace(whole, x=whole.x * wide, mask=mask, lengths=lengths)


def loss_of(net: FHVAENetwork, one: Batch, seed: int = 0):
    return net(one, Progress(generator=generator(seed)))


# The loss


def reference_loss(net: FHVAENetwork, one: Batch, seed: int, rows: torch.Tensor | None = None) -> dict[str, float]:
    """The loss one sequence, segment and value at a time, with mu2 from ``rows`` or from the batch itself."""
    settings, spec, window = net.settings, net.spec, net.stride
    n, time = one.x.shape[:2]
    draw, count = generator(seed), -(-time // window)
    noise2 = torch.randn(n, count, settings.static_dim, generator=draw)
    noise1 = torch.randn(n, count, settings.dynamic_dim, generator=draw)
    lengths = [time] * n if one.lengths is None else one.lengths.tolist()

    def gaussian(reader: segments.SegmentReader, steps: torch.Tensor) -> Normal:
        _, (last, _) = reader.rnn(steps[None])
        state = torch.cat([last[layer, 0] for layer in range(settings.layers)])
        return Normal(reader.gaussian.mean(state), torch.exp(0.5 * reader.gaussian.logvar(state)))

    def seen(row: int, step: int) -> torch.Tensor:
        """Which values of a step count, flat."""
        size = math.prod(spec.shape)
        if step >= lengths[row]:
            return torch.zeros(size, dtype=torch.bool)
        if one.mask is None:
            return torch.ones(size, dtype=torch.bool)
        return one.mask[row, step].expand(size) if one.mask.ndim == 2 else one.mask[row, step]

    parts: list[list[tuple[torch.Tensor, bool, Normal]]] = []
    for row in range(n):
        found = []
        for start in range(0, lengths[row], window):
            steps, told = torch.zeros(window, net.front.width), False
            for place in range(min(window, time - start)):
                values = seen(row, start + place)
                if (~values).sum() < max(1, int(0.7 * len(values))):
                    x = one.x[row, start + place]
                    steps[place] = x if spec.kind != "image" else net.front.frames(x[None, None])[0, 0]
                    told = True
            found.append((steps, told, gaussian(net.static, steps)))
        parts.append(found)
    best = torch.stack(
        [sum((q.mean for _, told, q in p if told), torch.zeros(3)) / (sum(t for _, t, _ in p) + 0.25) for p in parts]
    )
    centers = best if rows is None else rows
    terms = dict.fromkeys(("reconstruction", "kl_static", "prior_static", "kl_dynamic", "contrast_static"), 0.0)
    for row, found in enumerate(parts):
        mu2, spent, values, size = centers[row], 0.0, 0, math.prod(spec.shape)
        terms["prior_static"] -= float(Normal(0.0, 1.0).log_prob(mu2).sum()) / n
        for place, (steps, told, q2) in enumerate(found):
            z2 = q2.mean + q2.stddev * noise2[row, place] if told else mu2
            q1 = gaussian(net.dynamic, torch.cat([steps, z2.expand(window, -1)], 1))
            z1 = q1.mean + q1.stddev * noise1[row, place]
            terms["kl_dynamic"] += float(kl_divergence(q1, Normal(0.0, 1.0)).sum()) / n
            if told:
                terms["kl_static"] += float(kl_divergence(q2, Normal(mu2, 0.5)).sum()) / n
                densities = torch.stack([Normal(other, 0.5).log_prob(q2.mean).sum() for other in centers])
                terms["contrast_static"] -= float(densities.log_softmax(0)[row]) / n
            states = net.decoder.rnn(torch.cat([z1, z2]).expand(1, window, -1))[0][0]
            for inside in range(min(window, time - place * window)):
                step = place * window + inside
                x, counts = one.x[row, step].flatten(), seen(row, step)
                if spec.kind == "image":
                    frame = net.decoder.frames(states[None, None, inside])[0, 0].flatten()
                    spent += float((frame - x)[counts].square().sum())
                    continue
                mean, logvar = net.decoder.mean(states[inside]), net.decoder.logvar(states[inside])
                scale = (settings.scale_floor**2 + logvar.exp()).sqrt()
                spent -= float(Normal(mean, scale).log_prob(x)[counts].sum())
                values += int(counts.sum())
        # A missing value counts as the mean of those observed; a missing image for nothing.
        terms["reconstruction"] += spent * (1 if spec.kind == "image" else lengths[row] * size / values) / n
    return terms


def check_against_reference(net: FHVAENetwork, one: Batch, rows: torch.Tensor | None = None) -> None:
    found = {name: float(value) for name, value in loss_of(net, one, 3).values.items()}
    assert found == pytest.approx(reference_loss(net, one, 3, rows), rel=2e-4, abs=1e-4)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_loss_is_that_of_one_value_at_a_time(kind: str, layers: int) -> None:
    check_against_reference(network(kind, layers=layers), ragged_batch(kind))
    check_against_reference(network(kind, layers=layers, window=5), batch(kind))


@torch.no_grad()
def test_with_a_table_the_loss_compares_with_its_rows_in_training_only() -> None:
    net = network("spectrogram", centers="table")
    one = replace(ragged_batch("spectrogram"), index=torch.tensor([6, 0, 3, 2, 5]))
    net.prepare(Batch(x=torch.zeros(7, 1, 4)), generator(1))
    assert torch.equal(net.table.rows, torch.randn(7, 3, generator=generator(1)))
    check_against_reference(net, one)
    net.train()
    others = net.table.rows[[6, 0, 3, 2, 5, 1, 4]]  # in the order of the batch, those absent behind
    check_against_reference(net, one, others)
    net.conclude([])
    check_against_reference(net, one)


def test_terms_have_their_weights() -> None:
    weights = {"kl_static": 0.3, "prior_static": 0.3, "kl_dynamic": 0.3, "contrast_static": 4.0}
    for kind in KINDS:
        terms = loss_of(network(kind, beta=0.3, contrast_weight=4.0, image_scale=0.2), batch(kind))
        assert terms.weights == pytest.approx({"reconstruction": 12.5 if kind == "image" else 1.0, **weights})
    assert "contrast_static" not in loss_of(network(contrast_weight=0.0), batch()).values


def test_mu2_is_the_maximum_of_the_density_and_needs_no_gradient_of_its_own(monkeypatch) -> None:
    means, readable = torch.randn(2, 4, 3), torch.tensor([[True] * 4, [True, False, True, False]])
    mu2 = levels.most_likely(means, readable).requires_grad_()
    density = Normal(0.0, 1.0).log_prob(mu2).sum()
    for row in range(2):
        density = density + Normal(mu2[row], 0.5).log_prob(means[row][readable[row]]).sum()
    (slope,) = torch.autograd.grad(density, mu2)
    assert slope.abs().max() < 1e-5
    assert levels.most_likely(means, torch.zeros(2, 4, dtype=torch.bool)).eq(0).all()

    def gradients() -> list[torch.Tensor]:
        net = network(contrast_weight=0.0, beta=0.7).train()
        loss_of(net, batch()).total.backward()
        return [value.grad for value in net.parameters() if value.numel()]

    free, best = gradients(), levels.most_likely
    monkeypatch.setattr("seqdis.methods.fhvae.most_likely", lambda *given: best(*given).detach())
    for one, other in zip(free, gradients(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_in_the_padding_changes_no_term(kind: str) -> None:
    net, one = network(kind), batch(kind, lengths=torch.tensor([12, 5, 12, 1, 8]))
    filled = one.x.clone()
    filled[~one.valid_steps()] = 7.0
    before, after = loss_of(net, one).values, loss_of(net, replace(one, x=filled)).values
    assert all(torch.allclose(value, after[name], atol=1e-4) for name, value in before.items())


def test_a_batch_of_one_is_told_apart_from_none() -> None:
    assert loss_of(network(), batch(n=1)).values["contrast_static"].abs() < 1e-5


# Segments


def test_codes_see_their_segment_and_mu2_only() -> None:
    net, one = network("spectrogram"), batch("spectrogram")
    other = one.x.clone()
    other[:, 4:8] += 1.0
    before, after = net.encode(one), net.encode(replace(one, x=other))
    moved = (before.dynamic.mean - after.dynamic.mean).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [False, True, False]
    assert (before.static.mean - after.static.mean).abs().min() > 1e-6
    assert before.static.logvar is None
    order = torch.cat([one.x[:, 8:], one.x[:, :8]], 1)
    torch.testing.assert_close(net.encode(replace(one, x=order)).static.mean, before.static.mean)


def test_segments_without_a_value_leave_the_static_code_alone() -> None:
    net, one = network(deviations=True), batch()
    mask = torch.ones_like(one.x, dtype=torch.bool)
    mask[:, 4:8] = False
    gap = net.encode(replace(one, x=one.x * mask, mask=mask))
    short = net.encode(replace(one, x=torch.cat([one.x[:, :4], one.x[:, 8:]], 1)))
    torch.testing.assert_close(gap.static.mean, short.static.mean)
    assert gap.dynamic.mean[:, 1, 2:].eq(0).all()


@pytest.mark.parametrize("kind", ["series", "image"])
def test_offsets_move_starts_anywhere_and_keep_a_whole_segment(kind: str) -> None:
    lengths = torch.tensor([12, 10, 5, 4, 3]).repeat(300)
    time = torch.arange(12).expand(1500, 12)
    x = (time + 1.0).reshape(1500, 12, *[1] * len(SPECS[kind].shape)).expand(-1, -1, *SPECS[kind].shape)
    x = x * (time < lengths[:, None]).reshape(1500, 12, *[1] * len(SPECS[kind].shape))
    mask = x > 0 if kind == "series" else time < lengths[:, None]
    moved = segments.shifted(Batch(x=x, mask=mask, lengths=lengths), 4, generator())
    first = moved.x.flatten(2)[..., 0]
    start = first[:, 0].long() - 1
    assert torch.equal(moved.lengths, lengths - start)
    kept = time < moved.lengths[:, None]
    assert torch.equal(first, (time + 1.0 + start[:, None]) * kept)
    assert torch.equal(moved.mask.flatten(2)[..., 0] if kind == "series" else moved.mask, kept)
    starts = [sorted(set(column.tolist())) for column in start.view(-1, 5).T]
    assert starts == [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1], [0], [0]]
    assert torch.bincount(start.view(-1, 5)[:, 0]).min() > 50


def test_offsets_are_for_training_only() -> None:
    net, one = network(offsets=True), batch()
    fixed = network()
    assert loss_of(net, one).total == loss_of(fixed, one).total
    assert loss_of(net.train(), one).total != loss_of(fixed.train(), one).total
    assert torch.equal(net.encode(one).static.mean, fixed.encode(one).static.mean)


def test_without_a_floor_the_scale_is_that_of_the_log_variance() -> None:
    codes = torch.randn(2, 3, 5)
    plain, floored = (network(scale_floor=floor).decoder(codes).scale for floor in (0.0, 0.3))
    torch.testing.assert_close(floored, (plain.square() + 0.09).sqrt())
    states = network().decoder.rnn(codes.flatten(0, 1)[:, None].expand(-1, 4, -1))[0].reshape(2, 12, 5)
    torch.testing.assert_close(plain, torch.exp(0.5 * network().decoder.logvar(states)))


# Codes, swaps and samples


def decoded_from(net: FHVAENetwork, codes: Factors) -> torch.Tensor:
    """What the decoder is given: z1 beside z2."""
    given: list[torch.Tensor] = []
    handle = net.decoder.register_forward_hook(lambda module, args, out: given.append(args[0]))
    net.decode(codes)
    handle.remove()
    return given[0]


def test_with_deviations_a_swap_shifts_z2_and_without_it_replaces_it() -> None:
    one = batch()
    for deviations in (True, False):
        net = network(deviations=deviations)
        codes, z2 = net.encode(one).mean(), net.static(net.front(one)).mean
        mu2 = levels.most_likely(z2, torch.ones(5, 3, dtype=torch.bool))
        torch.testing.assert_close(codes.static, mu2)
        given = decoded_from(net, Factors(codes.static.flip(0), codes.dynamic))
        torch.testing.assert_close(given[..., :2], codes.dynamic[..., :2])
        target = mu2.flip(0)[:, None]
        expected = z2 - mu2[:, None] + target if deviations else target.expand_as(z2)
        torch.testing.assert_close(given[..., 2:], expected)


def test_a_draw_reads_z1_beside_the_z2_it_drew() -> None:
    net, one = network(deviations=True), batch()
    read = net.front(one)
    q2, noise = net.static(read), generator(4)
    z2 = q2.sample(noise)
    z1 = net.dynamic(read, z2).sample(noise)
    drawn, means = net.draw(one, generator(4)), net.encode(one)
    torch.testing.assert_close(drawn.dynamic, torch.cat([z1, z2 - drawn.static[:, None]], -1))
    assert torch.equal(drawn.static, means.static.mean)
    torch.testing.assert_close(means.dynamic.mean[..., :2], net.dynamic(read, q2.mean).mean)
    torch.testing.assert_close(means.dynamic.logvar[..., 2:], q2.logvar)


def test_samples_have_the_spreads_of_the_priors() -> None:
    static, dynamic = network(deviations=True).prior(4000, 3, generator())
    assert static.std(0).tolist() == pytest.approx([1.0] * 3, abs=0.05)
    assert dynamic.std(0).flatten().tolist() == pytest.approx([1.0, 1.0, 0.5, 0.5, 0.5] * 3, abs=0.05)
    assert network().prior(2, 3, generator()).dynamic.shape == (2, 3, 2)
    assert network().prior(2, 3, generator(), mean=True).dynamic.eq(0).all()


# The table


def test_gradients_reach_the_own_rows_or_by_the_contrast_all() -> None:
    for weight, expected in ((0.0, [1, 4]), (1.0, [0, 1, 2, 3, 4, 5])):
        net = network(centers="table", contrast_weight=weight).train()
        net.table.allot(6, generator())
        loss_of(net, replace(batch(n=2), index=torch.tensor([4, 1]))).total.backward()
        moved = net.table.rows.grad.abs().sum(1) > 0
        assert moved.nonzero().flatten().tolist() == expected


def test_rows_are_trained_and_cleared_in_the_end(monkeypatch) -> None:
    kept: list[torch.Tensor] = []
    clear = FHVAENetwork.conclude

    def conclude(self, batches):
        kept.append(self.table.rows.detach().clone())
        clear(self, batches)

    monkeypatch.setattr(FHVAENetwork, "conclude", conclude)
    x = np.random.default_rng(0).normal(size=(9, 12, 3)).astype(np.float32)
    settings = Training(max_epochs=2, batch_size=4, lr=1e-2)
    model = FHVAE(**SMALL, centers="table", training=settings).fit(x)
    (rows,) = kept
    moved = (rows - torch.randn(9, 3, generator=generator(settings.seed))).abs()
    assert moved.shape == (9, 3)
    assert 1e-2 < moved.median() < moved.max() < 0.1  # six steps of some 1e-2
    assert model.network_.table.rows.shape == (0, 3)


def test_a_state_brings_its_own_number_of_rows() -> None:
    table, other = levels.RowTable(3), levels.RowTable(3)
    parameter = other.rows
    table.allot(4, generator())
    other.load_state_dict(table.state_dict())
    assert other.rows is parameter
    assert torch.equal(other.rows, table.rows)
    with pytest.raises(RuntimeError, match="size mismatch"):
        levels.RowTable(2).load_state_dict(table.state_dict())


def test_an_interrupted_fit_goes_on_to_the_same_weights(tmp_path) -> None:
    x = np.random.default_rng(0).normal(size=(10, 12, 3)).astype(np.float32)
    settings = Training(max_epochs=4, batch_size=4, save_seconds=0)
    method = FHVAE(**SMALL, centers="table", offsets=True, training=settings)

    def stop(done: int, total: int, record: dict | None) -> None:
        if record is not None and record["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method.replace().fit(x, out=tmp_path / "run", watch=stop)
    resumed, whole = method.replace().fit(x, out=tmp_path / "run"), method.replace().fit(x)
    for name, value in whole.network_.state_dict().items():
        torch.testing.assert_close(resumed.network_.state_dict()[name], value, rtol=0, atol=0, msg=name)


# Utterances


def speech(speakers: int = 6, each: int = 3, seed: int = 0, pieces: int = 5) -> Sequences:
    """Segments of four frames: a spectrum for each speaker, a sound for each segment; the last is shorter."""
    draw = np.random.default_rng(seed)
    n = speakers * each * pieces
    speaker = np.repeat(np.arange(speakers), each * pieces)
    voice = draw.normal(size=(speakers, 1, 6))[speaker]
    sound = draw.normal(size=(n, 1, 2)) @ np.array([[1.0, -1, 1, -1, 1, -1], [1, 1, 0, 0, -1, -1]])
    x = (voice + 0.7 * sound + 0.1 * draw.normal(size=(n, 4, 6))).astype(np.float32)
    lengths = np.where(np.arange(n) % pieces == pieces - 1, 3, 4)
    x[lengths == 3, 3] = 0.0
    spec = DataSpec(
        kind="spectrogram",
        shape=(6,),
        length=4,
        center=(0.0,) * 6,
        scale=(1.0,) * 6,
        factors=(FactorSpec(name="speaker", kind="static", classes=tuple(map(str, range(speakers)))),),
    )
    ids = np.array([f"s{row // pieces}@{4 * (row % pieces)}" for row in range(n)])
    return Sequences(x=x, spec=spec, lengths=lengths, labels={"speaker": speaker}, ids=ids, groups=speaker)


def test_segments_of_one_utterance_are_joined_in_order() -> None:
    data = speech(speakers=2, each=2, pieces=3)
    mixed = data[np.r_[0, 3, 1, 4, 6, 2, 5, 7, 8, 9, 10]]
    whole = levels.joined(mixed)
    assert whole.ids.tolist() == ["s0@0", "s1@0", "s2@0", "s3@0"]
    assert whole.lengths.tolist() == [11, 11, 11, 8]
    assert whole.spec.length == whole.x.shape[1] == 11
    assert whole.groups.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(whole.x[1], data.x[3:6].reshape(12, 6)[:11])
    np.testing.assert_array_equal(whole.x[3, 8:], 0)
    seen = np.random.default_rng(0).random((11, 4)) > 0.5
    masked = levels.joined(replace(mixed, mask=seen))
    np.testing.assert_array_equal(masked.mask[3], np.r_[seen[9], seen[10], [False] * 3])
    for same in (replace(data, ids=None), data[::3], replace(data, ids=np.arange(len(data)))):
        assert levels.joined(same) is same


def test_segments_are_fitted_as_utterances_without_their_labels() -> None:
    data, settings = speech(speakers=2), Training(max_epochs=1, batch_size=4)
    method = FHVAE(**SMALL, centers="table", training=settings)
    rows: list[int] = []
    model = method.replace().fit(data, valid=data, watch=lambda done, total, record: rows.append(total))
    assert rows[-1] == 2  # six utterances in batches of four
    assert model.spec_.length == 19
    assert model.identity_["data"] == data.fingerprint()  # by which commands find the run again
    anonymous = replace(data, labels={}, groups=np.arange(len(data)))
    other, plain = method.replace().fit(anonymous), method.replace().fit(levels.joined(data))
    for name, value in model.network_.state_dict().items():
        assert torch.equal(other.network_.state_dict()[name], value), name
        assert torch.equal(plain.network_.state_dict()[name], value), name
    with pytest.raises(DataError, match=r"4 step\(s\) make 1 of the windows of 4 steps"):
        method.replace(whole_utterances=False).fit(data)


def test_averages_over_an_utterance_point_the_way_of_its_vector() -> None:
    data = speech(speakers=2)
    model = FHVAE(**SMALL, training=Training(max_epochs=1)).fit(data)
    codes, whole = model.encode(data), model.encode(levels.joined(data))
    average = codes.static.reshape(6, 5, 3).mean(1)
    torch.testing.assert_close(average * 1.25 * 5 / 5.25, whole.static)
    torch.testing.assert_close(codes.dynamic.reshape(6, 5, 2), whole.dynamic)


def test_it_learns_whose_voice_it_is_and_keeps_that_out_of_the_sounds() -> None:
    train, test = speech(30, 4, seed=1), speech(8, 4, seed=2)
    sizes = {"static_dim": 4, "dynamic_dim": 2, "hidden_dim": 16, "contrast_weight": 10.0}
    found = []
    for seed in range(3):
        model = FHVAE(**sizes, training=Training(max_epochs=24, batch_size=16, lr=1e-2, seed=seed)).fit(train)
        assert model.history_[-1]["train"]["total"] < 0.5 * model.history_[0]["train"]["total"]
        report = SpeakerVerification(resamples=0).run(model, {"train": train, "test": test}, controls=False)
        rates = {(row.form, row.factor): row.value for row in report if row.metric == "EER"}
        found.append([rates[form, code] for form in ("published", "corrected") for code in ("static", "dynamic")])
    static, dynamic, _, of_means = np.median(found, axis=0)
    assert static < 0.06  # the mean spectrogram: 0.10
    assert min(dynamic, of_means) > 0.2


# Settings

PUBLISHED = {  # static, dynamic, layers of 256, alpha, centers, utterances in a batch
    "paper": (32, 32, 1, 10.0, "table", 16),
    "compared": (16, 16, 1, 0.0, "table", 16),
    "reference": (32, 32, 2, 10.0, "batch", 64),
}


@pytest.mark.parametrize("preset", list(PUBLISHED))
def test_published_settings_and_sizes(preset: str) -> None:
    method = FHVAE.published("timit", preset)
    validate(method)
    found = (method.static_dim, method.dynamic_dim, method.layers, method.contrast_weight, method.centers)
    assert (*found, method.training.batch_size) == PUBLISHED[preset]
    assert (method.window, method.hidden_dim, method.training.lr, method.beta, method.offsets) == (20, 256, 1e-3, 1, 1)
    net = method.build(DataSpec(kind="spectrogram", shape=(201,), length=780))
    assert net.betas == (0.95, 0.999)

    def lstm(width: int) -> int:
        return sum(4 * 256 * (inputs + 256 + 2) for inputs in (width, 256)[: method.layers])

    code, last = method.static_dim, 256 * method.layers
    heads = 2 * (last + 1) * 2 * code + 2 * 257 * 201
    assert sum(p.numel() for p in net.parameters()) == lstm(201) + lstm(201 + code) + lstm(2 * code) + heads


def test_the_default_preset_and_impossible_settings() -> None:
    assert FHVAE.published("timit") == FHVAE.published("timit", "paper")
    with pytest.raises(DataError, match=r"sequences of 4 step\(s\) make 1"):
        FHVAE().build(replace(SPECS["image"], length=4))
    with pytest.raises(SettingsError, match="unknown published setting"):
        FHVAE.published("sprites")
    with pytest.raises(SettingsError, match="centers"):
        FHVAE(centers="rows").fit(np.zeros((4, 12, 3)))
