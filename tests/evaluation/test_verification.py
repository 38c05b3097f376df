import numpy as np
import pytest
import torch

from seqdis.errors import DataError
from seqdis.evaluation.metrics import equal_error_rate
from seqdis.evaluation.verification import Trials, content_table, course, together, utterance_vectors
from seqdis.factors import Factors

CORE_TEST = np.repeat(np.arange(24), 8)


def test_the_core_test_set_gives_18336_trials(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "seqdis.evaluation.verification.equal_error_rate", lambda same, scores, *w: seen.append(same) or 0.0
    )
    Trials(CORE_TEST).error_rate(np.ones((192, 3)))
    assert [(len(same), same.sum(), (~same).sum()) for same in seen] == [(18_336, 672, 17_664)]


def test_vectors_of_speakers_are_told_apart_and_random_ones_are_not():
    draw = np.random.default_rng(0)
    own = draw.standard_normal((24, 16))[CORE_TEST]
    assert Trials(CORE_TEST).error_rate(own)[0] == 0.0
    rates = [Trials(CORE_TEST).error_rate(draw.standard_normal((192, 16)))[0] for _ in range(20)]
    assert np.mean(rates) == pytest.approx(0.5, abs=0.01)
    assert Trials(CORE_TEST).error_rate(np.zeros((192, 16)))[0] == 0.5


def test_length_of_a_vector_does_not_matter():
    draw = np.random.default_rng(1)
    vectors = draw.standard_normal((24, 8))[CORE_TEST] + draw.standard_normal((192, 8))
    rate = Trials(CORE_TEST).error_rate(vectors)[0]
    assert 0.02 < rate < 0.4
    assert Trials(CORE_TEST).error_rate(vectors * draw.uniform(0.1, 10, (192, 1)))[0] == pytest.approx(rate)


def test_speakers_are_resampled_as_if_they_were_others():
    draw = np.random.default_rng(2)
    speaker = np.repeat(np.arange(4), 3)
    vectors = draw.standard_normal((4, 5))[speaker] + draw.standard_normal((12, 5))
    _, rates = Trials(speaker).error_rate(vectors, resamples=1, seed=3)
    counts = np.bincount(np.random.default_rng(3).integers(4, size=4), minlength=4)
    assert sorted(counts) != [1, 1, 1, 1]
    copies = [(who, copy) for who in range(4) for copy in range(counts[who])]
    rows = np.array([row for who, _ in copies for row in np.flatnonzero(speaker == who)])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    who, copy = (np.repeat([pair[k] for pair in copies], 3) for k in (0, 1))
    first, second = np.triu_indices(len(rows), 1)
    apart = (who[first] != who[second]) | (copy[first] == copy[second])
    first, second = first[apart], second[apart]
    expected = equal_error_rate(who[first] == who[second], (unit @ unit.T)[rows[first], rows[second]])
    assert rates == pytest.approx([expected])


@pytest.mark.parametrize("speaker", [[0, 0, 0], [0, 1, 2], []])
def test_trials_need_two_speakers_and_two_vectors_of_one(speaker):
    with pytest.raises(DataError, match="expected two speakers"):
        Trials(np.array(speaker, dtype=np.int64))


def test_codes_are_averaged_over_segments_and_real_frames():
    factors = Factors(
        torch.tensor([[1.0], [3.0], [5.0]]),
        torch.tensor([[[1.0], [2.0]], [[6.0], [99.0]], [[4.0], [8.0]]]),
        torch.tensor([2, 1, 2]),
    )
    static, dynamic = utterance_vectors(factors, np.array([1, 1, 0]))
    assert static.tolist() == [[5.0], [2.0]]
    assert dynamic.tolist() == [[6.0], [3.0]]  # three real frames in utterance 1, one of them in its second segment


def test_vectors_together_are_of_one_speaker_and_each_is_used_once():
    vectors, speaker = np.arange(11.0)[:, None], np.repeat([0, 1], [7, 4])
    pooled, who = together(vectors, speaker, 3, seed=0)
    assert who.tolist() == [0, 0, 1]
    assert (pooled[:2] < 7).all()
    assert 7 <= pooled[2] <= 10
    assert pooled[:2].sum() * 3 in [sum(range(7)) - left for left in range(7)]
    assert together(vectors, speaker, 1, seed=0)[0] is vectors
    assert (together(vectors, speaker, 3, seed=1)[0] != pooled).any()


# Contents


def test_the_course_of_a_code_does_not_know_how_fast_it_was():
    slow = torch.linspace(0, 1, 9)[:, None]
    fast = torch.cat([torch.linspace(0, 1, 5)[:, None], torch.full((4, 1), 7.0)])
    factors = Factors(torch.zeros(2, 1), torch.stack([slow, fast]), torch.tensor([9, 5]))
    found = course(factors, steps=4)
    assert torch.allclose(found[:, :4], torch.tensor([0, 1 / 3, 2 / 3, 1]).expand(2, 4))
    assert found[:, 4].tolist() == pytest.approx([0.5, 0.5])
    assert found[:, 5].tolist() == pytest.approx([slow.numpy().std(), fast[:5].numpy().std()])


def test_the_course_of_a_single_window_is_that_window():
    assert course(Factors(torch.zeros(1, 1), torch.tensor([[[3.0]]])), steps=3).tolist() == [[3.0, 3.0, 3.0, 3.0, 0.0]]


def test_labels_per_frame_are_read_frame_by_frame():
    factors = Factors(torch.tensor([[8.0], [9.0]]), torch.arange(6.0).reshape(2, 3, 1), torch.tensor([3, 2]))
    labels = np.array([[0, -1, 1], [1, 0, 1]])
    assert content_table(factors, "dynamic", labels, "phone").x.ravel().tolist() == [0, 2, 3, 4]
    assert content_table(factors, "static", labels, "phone").x.ravel().tolist() == [8, 8, 9, 9]
    assert content_table(factors, "static", np.array([0, 1]), "word").x.ravel().tolist() == [8, 9]
