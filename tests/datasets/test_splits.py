import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdis.datasets._splits import random_parts, unseen_combinations
from seqdis.errors import DataError, SettingsError

THREE = {"train": 0.64, "valid": 0.16, "test": 0.2}


@given(n=st.integers(3, 200), seed=st.integers(0, 2**31))
def test_random_parts_divide_all_rows_once(n, seed):
    parts = random_parts(n, THREE, seed)
    assert list(parts) == list(THREE)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(n))
    for name, rows in parts.items():
        assert len(rows) >= 1
        assert abs(len(rows) - n * THREE[name]) <= 1 or len(rows) == 1


def test_random_parts_are_a_function_of_the_seed():
    first, again, other = (random_parts(50, THREE, seed) for seed in (3, 3, 4))
    assert all((first[name] == again[name]).all() for name in THREE)
    assert not all((first[name] == other[name]).all() for name in THREE)


def test_random_parts_round_down():
    sizes = {name: len(rows) for name, rows in random_parts(1487, {"train": 0.8, "valid": 0.2}, 0).items()}
    assert sizes == {"train": 1189, "valid": 298}
    assert len(random_parts(10, {"a": 0.7, "b": 0.1, "c": 0.2}, 0)["c"]) == 2


@pytest.mark.parametrize("fractions", [{}, {"train": 0.5, "test": 0.6}, {"train": 1.2, "test": -0.2}])
def test_random_parts_refuse_bad_fractions(fractions):
    with pytest.raises(SettingsError, match="sum to 1"):
        random_parts(10, fractions, 0)


def test_random_parts_refuse_fewer_rows_than_parts():
    with pytest.raises(DataError, match="2 sequences cannot be divided into 3 parts"):
        random_parts(2, THREE, 0)


@given(seed=st.integers(0, 1000), fraction=st.floats(0.05, 0.6))
def test_unseen_pairs_are_new_but_their_values_are_not(seed, fraction):
    a = np.repeat(np.arange(6), 12)
    b = np.tile(np.repeat(np.arange(4), 3), 6)
    seen, unseen = unseen_combinations(a, b, fraction, seed)
    assert sorted([*seen, *unseen]) == list(range(len(a)))
    seen_pairs, unseen_pairs = set(zip(a[seen], b[seen], strict=True)), set(zip(a[unseen], b[unseen], strict=True))
    assert not seen_pairs & unseen_pairs
    assert len(unseen_pairs) == max(1, round(24 * fraction))
    assert set(a[seen]) == set(a)
    assert set(b[seen]) == set(b)


def test_unseen_combinations_take_names_and_depend_on_the_seed():
    people, actions = np.repeat(["ann", "bob", "eve"], 3), np.tile(["run", "sit", "go"], 3)
    results = {tuple(unseen_combinations(people, actions, 0.2, seed)[1]) for seed in range(20)}
    assert len(results) > 1
    assert unseen_combinations(people, actions, 0.2, 5)[1] == pytest.approx(
        unseen_combinations(people, actions, 0.2, 5)[1]
    )


def test_unseen_combinations_say_when_the_data_have_too_few():
    with pytest.raises(DataError, match="cannot be held out"):
        unseen_combinations([0, 1, 2], [0, 1, 2], 0.4, seed=0)
    with pytest.raises(DataError, match="shapes"):
        unseen_combinations([0, 1], [0, 1, 2], 0.4, seed=0)
    with pytest.raises(SettingsError, match="above 0 and below 1"):
        unseen_combinations([0, 1], [0, 1], 1.0, seed=0)
