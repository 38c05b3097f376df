from __future__ import annotations

import pytest
import torch

from seqdis.errors import DataError
from seqdis.factors import Factors
from seqdis.methods import DSVAE
from seqdis.nn.bodies import build_body
from seqdis.nn.codec import codec_of
from seqdis.nn.elements import Features, elements_of, frames_present, join
from seqdis.nn.network import Network, Progress
from seqdis.nn.sequence_vae import SequenceVAE
from seqdis.sequences import Batch, DataSpec

SPECS = {
    "series": DataSpec(kind="series", shape=(3,), length=9),
    "spectrogram": DataSpec(kind="spectrogram", shape=(5,), length=9),
    "image": DataSpec(kind="image", shape=(1, 8, 8), length=9),
}


def body(spec: DataSpec, window: int = 4):
    return build_body(
        spec, static_dim=3, dynamic_dim=2, hidden_dim=6, feature_dim=6, filters=2, window=window, causal=False,
        scale_floor=0.05, spectrogram_encoder="element",
    )  # fmt: skip


def network(kind: str) -> SequenceVAE:
    return SequenceVAE(SPECS[kind], body(SPECS[kind]), 3, 2, 6).eval()


@pytest.mark.parametrize(("kind", "stride", "elements"), [("series", 4, 3), ("spectrogram", 1, 9), ("image", 1, 9)])
def test_elements_are_frames_or_windows(kind: str, stride: int, elements: int) -> None:
    net, x = network(kind), torch.rand(2, 9, *SPECS[kind].shape)
    features = net.body.features(Batch(x=x))
    assert net.stride == stride
    assert features.values.shape[:2] == (2, elements)
    gaussian = net.body.dynamic(features)
    assert gaussian.mean.shape == (2, elements, 2)
    assert net.body.static(features.at(torch.tensor([0, elements - 1]))).mean.shape == (2, 3)


def test_static_codes_come_from_a_standard_normal() -> None:
    drawn = network("series").prior(2000, 1, torch.Generator().manual_seed(0))
    assert drawn.static.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("ends", ["body", "codec"])
@pytest.mark.parametrize("kind", SPECS)
def test_decoding_zeroes_padding(kind: str, ends: str) -> None:
    net = network(kind)
    if ends == "codec":
        net = SequenceVAE(SPECS[kind], codec_of(DSVAE(feature_dim=6, filters=2), SPECS[kind], 5), 3, 2, 6).eval()
    codes = net.prior(2, 3, torch.Generator().manual_seed(0))
    assert codes.static.shape == (2, 3)
    assert codes.dynamic.shape == (2, 3, 2)
    full = net.decode(codes)
    assert full.shape == (2, 3 * net.stride, *SPECS[kind].shape)
    cut = net.decode(Factors(codes.static, codes.dynamic, torch.tensor([1, 3])))
    assert (cut[0, net.stride :] == 0).all()
    assert torch.allclose(cut[1], full[1], atol=1e-6)
    assert torch.allclose(cut[0, : net.stride], full[0, : net.stride], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "length", "window", "words"),
    [
        ("series", 1, 4, r"1 step\(s\) make 1 of the windows of 4 steps"),
        ("series", 4, 4, "make 1 of the windows of 4 steps .*smaller `window`"),
        ("series", 10, 24, "make 1 of the windows of 24 steps"),
        ("image", 1, 4, "make 1 of the frames"),
        ("spectrogram", 1, 4, "make 1 of the frames"),
    ],
)
def test_sequences_of_a_single_element_are_refused(kind: str, length: int, window: int, words: str) -> None:
    spec = DataSpec(kind=kind, shape=SPECS[kind].shape, length=length)
    with pytest.raises(DataError, match=words):
        body(spec, window)


def test_the_last_window_is_filled_up_with_steps_that_are_not_read() -> None:
    x = torch.randn(1, 9, 3)
    features = body(SPECS["series"]).features(Batch(x=x))
    assert features.readable[0].tolist() == [[True] * 4, [True] * 4, [True, False, False, False]]
    assert (features.read()[0, 2, 1:] == 0).all()
    whole = body(SPECS["series"]).features(Batch(x=x[:, :8]))
    assert whole.readable is None
    assert whole.read() is whole.values


def test_joint_codes_hold_the_dynamic_code_first() -> None:
    joint = join(torch.tensor([[7.0, 8.0]]), torch.tensor([[[1.0], [2.0]]]))
    assert joint.tolist() == [[[1.0, 7.0, 8.0], [2.0, 7.0, 8.0]]]


def test_elements_count_started_windows() -> None:
    assert elements_of(torch.tensor([1, 4, 5, 8]), 4).tolist() == [1, 1, 2, 2]
    assert elements_of(None, 4) is None


def test_frames_are_present_where_real_and_observed() -> None:
    x = torch.zeros(1, 3, 2)
    assert frames_present(Batch(x=x)) is None
    assert frames_present(Batch(x=x, lengths=torch.tensor([2]))).tolist() == [[True, True, False]]
    mask = torch.tensor([[True, False, True]])
    assert frames_present(Batch(x=x, mask=mask)) is mask


def test_features_at_an_index_per_sequence() -> None:
    features = Features(torch.arange(12.0).reshape(2, 3, 2))
    assert features.at(torch.tensor([2, 0])).tolist() == [[4.0, 5.0], [6.0, 7.0]]


def test_a_network_without_a_verb_says_so() -> None:
    bare, batch = Network(), Batch(x=torch.zeros(1, 2, 1))
    for call, words in (
        (lambda: bare(batch, Progress()), "no training loss"),
        (lambda: bare.encode(batch), "no encoder"),
        (lambda: bare.decode(Factors(torch.zeros(1, 1), torch.zeros(1, 2, 1))), "no decoder"),
        (lambda: bare.prior(1, 2), "no prior"),
    ):
        with pytest.raises(TypeError, match=words):
            call()
