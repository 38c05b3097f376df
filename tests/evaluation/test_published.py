from seqdis.evaluation import published


def test_numbers_come_with_their_source():
    row = published("PhysioNet", "mortality_AUROC", "DBSE")[0]
    assert (row.value, row.spread, row.source) == (0.858, 0.01, "DBSE paper Tab. 3")
    assert (row.role, row.form, row.better) == ("published", "published", "higher")


def test_all_methods_and_spelling_of_the_data_set():
    methods = {row.method for row in published("physionet", "ICU_unit_acc_percent")}
    assert {"GLR", "SPYL", "DBSE", "raw features"} <= methods
    assert published("air-quality", "month_acc_percent") == published("Air Quality", "month_acc_percent") != []


def test_a_number_without_spread_and_one_without_direction():
    chance = published("MUG", "latent_SVC/static_feats_static_acc_percent", "random")[0]
    assert (chance.value, chance.spread, chance.over) == (1.92, None, "")
    assert published("MUG", "hyperparameter/batch_size")[0].better == ""


def test_nothing_was_printed_for_generated_data():
    assert published("moving-figures", "mortality_AUROC") == []
