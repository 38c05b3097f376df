import pytest

from seqdis.datasets import PhysioNet2012
from seqdis.evaluation.controls import BOOSTING, COUNTS, PRIOR, label_controls
from seqdis.evaluation.metrics import accuracy


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
