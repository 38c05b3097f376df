import hashlib

import cv2
import numpy as np
import pytest

from seqdis.datasets import _sprite_sheets as sheets
from seqdis.datasets._download import check, status
from seqdis.datasets.sprites import CHARACTERS, Sprites
from seqdis.errors import DataError, SettingsError
from seqdis.sequences import Sequences

STATIC = ("skin", "bottom", "top", "hair")
# Of each layer: the rows of a cell that it paints, and its colour from its number.
BANDS = {"body": (0, 64), "bottomwear": (40, 50), "topwear": (20, 40), "hair": (0, 20), "shoes": (60, 64)}


def sheet_of(folder: str, value: int) -> np.ndarray:
    """RGBA sheet with one band in every cell: red tells the layer's number, green and blue the cell."""
    sheet = np.zeros(sheets.SHEET, dtype=np.uint8)
    cells = sheet.reshape(21, 64, 13, 64, 4).swapaxes(1, 2)
    top, bottom = BANDS[folder]
    cells[:, :, top:bottom, :, 0] = 10 * value + 5
    cells[:, :, top:bottom, :, 1] = np.arange(21)[:, None, None, None]
    cells[:, :, top:bottom, :, 2] = np.arange(13)[None, :, None, None]
    cells[:, :, top:bottom, :, 3] = 255
    return sheet


def write(path, sheet) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), sheet[..., [2, 1, 0, 3]])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for layer in sheets.LAYERS:
        folder, name = layer.split("/")
        write(root / "sprites_lpc" / layer, sheet_of(folder, int(name.removesuffix(".png"))))
    return root


def small(root, **settings) -> Sprites:
    return Sprites(**{"root": str(root), "size": 32, "characters": 60, **settings})


@pytest.fixture(scope="module")
def data(root):
    return small(root)


def characters(part: Sequences) -> np.ndarray:
    return np.ravel_multi_index([part.labels[name] for name in STATIC], (6,) * 4)


# ---- rendering


def test_layers_cells_and_frames_come_in_the_published_order(root):
    train = small(root, size=64).split("train")[0]
    grey = {"skin": 55, "bottom": 45, "top": 30, "hair": 10}  # a row where only that layer shows
    for name, row in grey.items():
        np.testing.assert_array_equal(train.x[:, 0, 0, row, 7], 10 * train.labels[name] + 5)
    assert (train.x[:, :, 0, 62] == 15).all()  # shoes/1 over all
    rows = {"walk": 8, "spellcast": 0, "slash": 12}
    columns = {
        "walk": [8, 1, 2, 3, 4, 5, 6, 7],
        "spellcast": [0, 1, 2, 3, 4, 5, 4, 6],
        "slash": [0, 1, 2, 3, 4, 5, 4, 0],
    }
    below_back = {"left": 1, "front": 2, "right": 3}
    for code, name in enumerate(train.spec.factor("action").classes):
        movement, direction = name.split()
        frames = train.x[train.labels["action"] == code]
        assert (frames[:, :, 1] == rows[movement] + below_back[direction]).all()
        np.testing.assert_array_equal(frames[:, :, 2, 0, 0], np.tile(columns[movement], (len(frames), 1)))
    assert train.spec.factor("action").classes[:4] == ("walk front", "walk left", "walk right", "spellcast front")


def test_half_transparent_pixels_are_blended_as_computed_by_hand(tmp_path, root):
    layers = sheets.read_layers(root / "sprites_lpc")
    hair = sheet_of("hair", 0)
    hair[..., 3][hair[..., 3] == 255] = 83
    write(tmp_path / "hair.png", hair)
    layers["hair/0.png"] = [sheets._overlay(sheets._cells(hair, action)) for action in sheets.ACTIONS]
    frames = next(sheets.rendered(layers, np.array([5 * 216]), np.array([0]), 64))
    # body/5 has red 55, hair/0 red 5: (5 * 83 + 55 * 172) / 255 = 38.7
    assert frames[0, 0, 0, 10, 7] == 39


def test_size_32_is_the_mean_of_four_pixels():
    block = np.zeros((1, 8, 3, 64, 64), dtype=np.uint8)
    block[0, 0, 0, :2, :4] = [[255, 255, 1, 0], [255, 254, 0, 1]]
    small = sheets._halved(block)
    assert small.shape == (1, 8, 3, 32, 32)
    assert small[0, 0, 0, 0, :3].tolist() == [255, 1, 0]  # 254.75, then 0.5 rounded up


def test_networks_see_values_over_256(data):
    train = data.split("train")[0]
    assert train.spec.scale == (256.0,)
    assert train.x.dtype == np.uint8
    assert train.x.shape[1:] == (8, 3, 32, 32)


# ---- parts


def test_the_published_division_does_not_depend_on_the_seed():
    whole, other = Sprites()._divide(), Sprites(split_seed=5)._divide()
    assert {part: len(rows) for part, rows in whole.items()} == {"train": 8100, "valid": 900, "test": 2664}
    np.random.seed(423)  # noqa: NPY002 (the published recipe, word for word)
    order = np.random.permutation(CHARACTERS)  # noqa: NPY002
    of = {part: set((rows // 9).tolist()) for part, rows in whole.items()}
    assert of["test"] == set(order[1000:].tolist())
    assert of["train"] | of["valid"] == set(order[:1000].tolist())
    assert len(of["valid"]) == 100
    assert not of["train"] & of["valid"]
    np.testing.assert_array_equal(whole["test"], other["test"])
    assert not np.array_equal(whole["valid"], other["valid"])
    assert len(np.unique(np.concatenate(list(whole.values())))) == 11664


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("settings", [{}, {"valid_characters": 0.4}, {"characters": 200}])
def test_fewer_characters_keep_every_value_in_training(seed, settings):
    data = Sprites(**{"characters": 60, **settings}, split_seed=seed)
    parts = {part: np.unique(rows // 9) for part, rows in data._divide().items()}
    assert sum(map(len, parts.values())) == data.characters
    assert len(parts["test"]) == round(data.characters * 296 / 1296)
    values = sheets.attributes_of(parts["train"])
    assert [len(np.unique(column)) for column in values.T] == [6] * 4


def test_parts_are_views_of_one_file_and_agree_with_their_labels(data):
    parts = data.parts()
    assert list(parts) == ["train", "valid", "test"]
    addresses = [part.x.ctypes.data for part in parts.values()]
    assert np.diff(addresses).tolist() == [parts["train"].x.nbytes, parts["valid"].x.nbytes]
    assert not any(part.x.flags.writeable for part in parts.values())
    for part in parts.values():
        np.testing.assert_array_equal(part.ids, characters(part) * 9 + part.labels["action"])
        assert np.bincount(part.labels["action"], minlength=9).tolist() == [len(part) // 9] * 9


def test_no_validation_part_if_none_is_wanted(root):
    assert list(small(root, valid_characters=0).parts()) == ["train", "test"]
    assert list(small(root, valid_characters=0, unseen=0.3).parts()) == ["train", "test"]


def test_unseen_combinations_are_in_one_part_only(root):
    parts = small(root, unseen=0.3, characters=100).parts()
    pairs = {part: set(zip(characters(some), some.labels["action"], strict=True)) for part, some in parts.items()}
    assert len(pairs["test"]) == 270
    assert len(pairs["valid"]) == 63
    assert sum(map(len, pairs.values())) == len(set().union(*pairs.values())) == 900
    for name in ("valid", "test"):  # every single value was met in training
        assert {pair[0] for pair in pairs[name]} <= {pair[0] for pair in pairs["train"]}
        assert {pair[1] for pair in pairs["train"]} == set(range(9))


# ---- hybrids


def test_the_hybrid_has_the_character_of_one_and_the_action_of_the_other(data):
    test = data.split("test")[0]
    rows = np.random.default_rng(0).permutation(len(test))[:20]
    a, b = test[rows], test[rows[::-1]]
    mixed = data.hybrid(a, b)
    assert mixed.shape == a.x.shape
    np.testing.assert_array_equal(data.hybrid(a, a), a.x)
    at = {key: row for row, key in enumerate(zip(characters(test), test.labels["action"], strict=True))}
    for frames, who, what in zip(mixed, characters(a), b.labels["action"], strict=True):
        np.testing.assert_array_equal(frames, test.x[at[who, what]])  # a test character does all actions


def test_hybrid_refuses_what_cannot_be_paired(data, root):
    test = data.split("test")[0]
    with pytest.raises(DataError, match="hybrid of 3 and 4 sequences"):
        data.hybrid(test[:3], test[:4])
    with pytest.raises(DataError, match=r"need sequences of sprites of shape \(3, 64, 64\)"):
        small(root, size=64).hybrid(test[:3], test[:3])
    with pytest.raises(DataError, match=r"mine: .* with labels none"):
        data.hybrid(test[:3], Sequences(x=test.x[:3], spec=test.spec, name="mine"))


# ---- files


def test_missing_and_damaged_layers_are_named(tmp_path, root):
    with pytest.raises(DataError, match=r"25 of 25 layers, such as body/0\.png, are missing.*data fetch sprites"):
        small(tmp_path).parts()
    for layer in sheets.LAYERS:
        (tmp_path / layer).parent.mkdir(exist_ok=True)
        (tmp_path / layer).write_bytes((root / "sprites_lpc" / layer).read_bytes())
    assert small(tmp_path).fingerprint() == small(root).fingerprint()  # the folder itself will do
    write(tmp_path / "hair/3.png", sheet_of("hair", 3)[:64])
    with pytest.raises(DataError, match=r"hair/3\.png: uint8 image of shape \(64, 832, 4\); expected"):
        small(tmp_path).parts()
    (tmp_path / "hair/3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"hair/3\.png is no image"):
        small(tmp_path).parts()
    assert {entry.state for entry in check(small(tmp_path))} == {"altered"}  # drawn here, not published
    assert [entry.state for entry in status(small(tmp_path))] == ["present"] * 25


@pytest.mark.parametrize(
    "wrong", [{"size": 48}, {"characters": 59}, {"characters": 1297}, {"valid_characters": 0.5}, {"unseen": 0.9}]
)
def test_nonsense_is_refused_by_name(root, wrong):
    with pytest.raises(SettingsError, match=f"Sprites.{next(iter(wrong))} = "):
        small(root, **wrong).parts()


# ---- the published layers


@pytest.fixture(scope="module")
def published(data_root):
    if not (data_root / "sprites_lpc").is_dir():
        pytest.skip("no sprites_lpc folder")
    return Sprites(root=str(data_root))


@pytest.mark.data
def test_the_published_layers_give_the_known_pixels(published):
    assert {entry.state for entry in check(published)} == {"verified"}
    parts = published.parts()
    assert {name: part.x.shape for name, part in parts.items()} == {
        "train": (8100, 8, 3, 64, 64),
        "valid": (900, 8, 3, 64, 64),
        "test": (2664, 8, 3, 64, 64),
    }
    assert published.pixel_checksum() == Sprites.PIXELS
    assert max(part.x.max() for part in parts.values()) / 256 < 1
    walks = [part.x[part.labels["action"] == 0] for part in parts.values()]
    assert len({hashlib.sha256(frames).digest() for some in walks for frames in some}) == CHARACTERS
    assert parts["test"].ids[0] == 9 * min(np.random.RandomState(423).permutation(CHARACTERS)[1000:])


@pytest.mark.data
def test_pillow_composites_the_same_bytes(published):
    image = pytest.importorskip("PIL.Image")
    folder = published.location()
    test = published.split("test")[0]
    for row in np.random.default_rng(0).permutation(len(test))[:12]:
        names = [f"{kind}/{test.labels[name][row]}.png" for kind, name in zip(sheets.ATTRIBUTES, STATIC, strict=True)]
        sheet = image.new("RGBA", (832, 1344), "black")
        for name in (*names, "shoes/1.png"):
            sheet = image.alpha_composite(sheet, image.open(folder / name).convert("RGBA"))
        movement, direction = test.spec.factor("action").classes[test.labels["action"][row]].split()
        first = {"spellcast": {"left": 13, "front": 26, "right": 39}, "walk": {"left": 117, "front": 130, "right": 143}}
        first["slash"] = {"left": 169, "front": 182, "right": 195}
        order = {
            "walk": (8, 1, 2, 3, 4, 5, 6, 7),
            "spellcast": (0, 1, 2, 3, 4, 5, 4, 6),
            "slash": (0, 1, 2, 3, 4, 5, 4, 0),
        }
        for frame, offset in zip(test.x[row], order[movement], strict=True):
            down, across = divmod(first[movement][direction] + offset, 13)
            cell = sheet.crop((64 * across, 64 * down, 64 * across + 64, 64 * down + 64))
            np.testing.assert_array_equal(frame, np.asarray(cell)[..., :3].transpose(2, 0, 1))
