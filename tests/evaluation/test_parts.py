from dataclasses import replace

import numpy as np
import pytest

from fakes import PlantedData
from seqdis.errors import DataError
from seqdis.evaluation.parts import (
    check_same_classes,
    dataset_name,
    normalised,
    parts_of,
    refuse_shared,
    with_label,
)
from seqdis.sequences import DataSpec, FactorSpec, Sequences


@pytest.fixture
def parts():
    return PlantedData(sizes=(6, 5, 4)).parts()


def series(label):
    return Sequences(
        x=np.zeros((len(label), 2, 1), np.float32),
        spec=DataSpec(kind="series", shape=(1,), length=2),
        labels={"died": label},
        name="stays/test",
    )


def test_a_data_set_a_mapping_and_one_part_are_accepted(parts):
    assert list(parts_of(PlantedData(sizes=(6, 5, 4)), ("train", "test"))) == ["train", "test"]
    assert parts_of(parts, ("test",), ("valid", "extra")) == {"test": parts["test"], "valid": parts["valid"]}
    assert parts_of(parts["test"], ("test",)) == {"test": parts["test"]}


def test_one_part_where_several_are_needed_says_what_to_pass(parts):
    with pytest.raises(DataError, match=r"one Sequences was given \('planted/test'\), but the parts train, test"):
        parts_of(parts["test"], ("train", "test"))


def test_a_missing_part_is_named_with_those_known(parts):
    with pytest.raises(DataError, match=r"unknown part 'valid'.*Known: test, train"):
        parts_of({"train": parts["train"], "test": parts["test"]}, ("train", "valid"))


def test_other_things_are_refused(parts):
    with pytest.raises(DataError, match="got ndarray; expected"):
        parts_of(np.zeros((3, 2, 1)), ("test",))
    with pytest.raises(DataError, match="part 'test' is a ndarray"):
        parts_of({"test": np.zeros((3, 2, 1))}, ("test",))


def test_name_of_the_data_set(parts):
    assert dataset_name(PlantedData(), parts) == "planted"
    assert dataset_name(parts["test"], {"test": parts["test"]}) == "planted"
    assert dataset_name(parts, parts) == "planted"


def test_unknown_labels_are_dropped():
    kept = with_label(series(np.array([1.0, -1.0, np.nan, 0.0])), "died")
    assert kept.labels["died"].tolist() == [1, 0]
    assert kept.labels["died"].dtype == np.int64
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("label", "name", "words"),
    [
        (np.array([0, 1]), "dead", "unknown label 'dead'.*Did you mean 'died'"),
        (np.array([-1, -1]), "died", "unknown .-1. for all 2"),
        (np.zeros((2, 2)), "died", "expected one class per sequence"),
        (np.array(["yes", "no"]), "died", "label 'died' is <U3; expected classes numbered from 0"),
        (np.array([1.0, 0.5]), "died", "label 'died' has the value 0.5; expected classes"),
    ],
)
def test_labels_that_cannot_be_read(label, name, words):
    with pytest.raises(DataError, match=words):
        with_label(series(label), name)


def test_equal_numbers_for_different_classes_are_refused():
    def part(*classes):
        plain = series(np.array([0, 1]))
        return replace(
            plain, spec=replace(plain.spec, factors=(FactorSpec(name="died", kind="static", classes=classes),))
        )

    check_same_classes({"train": part("no", "yes"), "test": part("no", "yes"), "extra": series(np.array([0]))}, "died")
    with pytest.raises(DataError, match=r"label 'died' has other classes in other parts \(train: no, yes; test: yes\)"):
        check_same_classes({"train": part("no", "yes"), "test": part("yes")}, "died")


def test_normalised_is_per_feature_or_channel():
    spec = DataSpec(kind="series", shape=(2,), length=1, center=(1.0, 2.0), scale=(2.0, 4.0))
    np.testing.assert_allclose(normalised(np.array([[[3.0, 6.0]]]), spec), [[[1.0, 1.0]]])
    video = DataSpec(kind="image", shape=(2, 1, 2), length=1, center=(0.0, 10.0), scale=(255.0,))
    pixels = np.array([[[[[255, 0]], [[10, 10]]]]], dtype=np.uint8)
    np.testing.assert_allclose(normalised(pixels, video)[0, 0], [[[1, 0]], [[0, 0]]])


@pytest.mark.parametrize("held_by", ["train", "valid"])
def test_sequences_of_test_that_another_part_holds_are_refused(parts, held_by):
    refuse_shared(parts)
    test = replace(parts["test"], ids=np.array([11, 12, 13, 14]))
    held = parts[held_by]
    x = held.x.copy()
    x[[0, 3]] = test.x[[3, 1]]
    twice = {**parts, held_by: replace(held, x=x), "test": test}
    words = (
        rf"2 of 4 sequences of planted/test are also in planted/{held_by} \(id 12, 14\).*Leave them out of '{held_by}'"
    )
    with pytest.raises(DataError, match=words):
        refuse_shared(twice)
    with pytest.raises(DataError, match=r"\(row 1, 3\)"):
        refuse_shared({**twice, "test": parts["test"]})


def test_what_is_not_observed_makes_no_difference_and_nothing_observed_no_twin(parts):
    mask = np.ones(parts["test"].x.shape, bool)
    mask[0] = False
    mask[1, 2] = False
    test = replace(parts["test"], mask=mask)
    blank = replace(test[:1], x=test.x[:1] + 1)
    refuse_shared({"train": blank, "test": test})
    other = replace(test[1:2], x=np.where(mask[1:2], test.x[1:2], 7.0))
    with pytest.raises(DataError, match=r"1 of 4 .* \(row 1\)"):
        refuse_shared({"train": other, "test": test})
    refuse_shared({"train": replace(other, mask=None), "test": test})
    many = {"train": parts["train"], "test": parts["train"]}
    with pytest.raises(DataError, match=r"6 of 6 .* \(row 0, 1, 2, 3, 4, \.\.\.\)"):
        refuse_shared(many)
