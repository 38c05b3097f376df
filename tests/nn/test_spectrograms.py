from __future__ import annotations

import torch

from seqdis.nn.spectrograms import SpectrogramDecoder, SpectrogramEncoder

X = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))


def changed(step: int) -> torch.Tensor:
    other = X.clone()
    other[0, step] += 1
    return other


def test_an_element_encoder_sees_one_frame_and_a_recurrent_one_all() -> None:
    moved = {}
    for variant in ("element", "recurrent"):
        encoder = SpectrogramEncoder(4, 3, variant)
        difference = (encoder(X) - encoder(changed(2)))[0].abs().amax(-1)
        moved[variant] = (difference > 1e-7).tolist()
    assert moved == {"element": [False, False, True, False, False], "recurrent": [True] * 5}


def test_padding_never_reaches_the_recurrent_encoder() -> None:
    encoder, lengths = SpectrogramEncoder(4, 3, "recurrent"), torch.tensor([3, 5])
    loud = X.clone()
    loud[0, 3:] = 1e6
    features = encoder(X, None, lengths)
    assert torch.equal(features, encoder(loud, None, lengths))
    assert torch.allclose(features[:1, :3], encoder(X[:1, :3]), atol=1e-6)


def test_absent_frames_have_no_features() -> None:
    valid = torch.ones(2, 5, dtype=torch.bool)
    valid[1, 2] = False
    for variant in ("element", "recurrent"):
        features = SpectrogramEncoder(4, 3, variant)(X, valid)
        assert (features[1, 2] == 0).all()
        assert (features[0] != 0).any()


def test_the_decoder_runs_forward_and_leaves_padding_zero() -> None:
    decoder, codes = SpectrogramDecoder(3, 4), torch.randn(2, 5, 3)
    valid = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    frames = decoder(codes, valid)
    assert frames.shape == (2, 5, 4)
    assert (frames[0, 3:] == 0).all()
    codes[0, 3:] = 50
    assert torch.equal(decoder(codes, valid), frames)
    assert torch.equal(decoder(codes[:, :3]), decoder(codes)[:, :3])
