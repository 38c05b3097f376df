import pytest

from seqdis.datasets import PhysioNet2012
from seqdis.evaluation.metrics import accuracy, auroc, average_precision
from seqdis.evaluation.raw_labels import BOOSTING, COUNTS, FOREST, GRU, LINEAR, PRIOR, label_controls


@pytest.mark.data
def test_which_measurements_were_taken_tells_the_kind_of_unit(data_root):
    if not (data_root / "physionet2012").is_dir():
        pytest.skip(f"{data_root} has no physionet2012/")
    # The best printed accuracy from a static code is 0.5687 (DBSE, Tab. 4): the control is not idle.
    parts = PhysioNet2012(root=str(data_root)).parts()
    outputs = label_controls(parts, "icu_unit", seed=0)
    shares = {name: accuracy(parts["test"].labels["icu_unit"], output) for name, output in outputs.items()}
    assert shares[PRIOR] == pytest.approx(120 / 371)
    assert shares[COUNTS] > 0.64
    assert shares[BOOSTING] > 0.68
    assert min(shares[name] for name in (LINEAR, FOREST, GRU)) > 0.68


@pytest.mark.data
def test_mortality_is_told_by_raw_data_about_as_well_as_by_any_printed_code(data_root):
    if not (data_root / "physionet2012").is_dir():
        pytest.skip(f"{data_root} has no physionet2012/")
    parts = PhysioNet2012(root=str(data_root)).parts()
    outputs = label_controls(parts, "mortality", seed=0)
    labels = parts["test"].labels["mortality"]
    for name in (LINEAR, FOREST, GRU, BOOSTING):
        assert auroc(labels, outputs[name]) > 0.78
        assert average_precision(labels, outputs[name]) > 0.33
