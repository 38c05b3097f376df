"""Sprites: characters in four exchangeable garments and colours that walk, cast spells and slash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from seqdis.datasets._base import SequenceDataset
from seqdis.datasets._download import RemoteFile, file_sha256
from seqdis.datasets._hybrids import hybrid_labels
from seqdis.datasets._mapped import mapped
from seqdis.datasets._splits import unseen_combinations
from seqdis.datasets._sprite_sheets import (
    ACTIONS,
    ATTRIBUTES,
    FRAMES,
    LAYERS,
    VALUES,
    Overlay,
    attributes_of,
    read_layers,
    rendered,
)
from seqdis.errors import DataError
from seqdis.hyperparameters import hyper, hyperparameters, validate
from seqdis.sequences import DataSpec, FactorSpec, Sequences

Index = npt.NDArray[np.int64]

_PREPARATION = 1  # raise when the code below changes what comes out of it
_URL = "https://raw.githubusercontent.com/YingzhenLi/Sprites/3ce4048c5227802bd8f1888e293fd3afdba91c0c/"
_SHA256 = {
    "body/0.png": "27d1ac78db37c42f35a20d15c42705efc5e58d47c236cc01423879d4f797f151",
    "body/1.png": "1535e9228357b884df80f777a0d1dac10ac35e550e4d8d077105ccad014a1460",
    "body/2.png": "7c241033b4897501cb3721b6c3a9ebfa94b13db10a539edbd9bcc3e0c2a4bcb9",
    "body/3.png": "055f5aa33fc112d8444b42fce2cf50608a9fbbf2466c54ceaa46c777589a717a",
    "body/4.png": "57f3b9c510482379aba9a32fc0de7d48e9cbe3dc40f2447283547f773b77ca72",
    "body/5.png": "91e49453aeab5ebbb4fd2b48253812895dcfb4cb1829b84e24425c66de8f04ff",
    "bottomwear/0.png": "4ec356c488e272fde2d2d0d722b12a80217871e41161d43ba784caf243969ec2",
    "bottomwear/1.png": "0674312eaa4ab548f8bb31ef95d7dbd46b41555758cec51bd6c3e9fac9a0f936",
    "bottomwear/2.png": "3b464feb0d20ff34b0ca2a6d1fd00766ad86e2229c3d56ff91379fe27588a893",
    "bottomwear/3.png": "b366e84ea0519d06cf693f51e0ee2f9ac32b3132d27c75dfdc4b6f52fca072de",
    "bottomwear/4.png": "4ed7e7702e4f50b9692c0043be04b7296a108d85ea97230fb50d13c150d98771",
    "bottomwear/5.png": "a5c5e7e33f13fe5ad37b5836a5a74fb0d2094a0877c2146961b88688ff85840d",
    "topwear/0.png": "b917edcf2b3c35d51ef57a6fad67557c5edf048785bea29db09a640d09ac9a90",
    "topwear/1.png": "e33c6cb31ed1268a2c0dc73b665b1c9b9420e22baf3321880222bdb22682368b",
    "topwear/2.png": "2b9b8fefa08894b7ea536cd62b86d494aefe6e54495c5c1d83460827b13b6448",
    "topwear/3.png": "807f5b628592f6747e2814be9435963069dba6c360577168c02f57bbe903433d",
    "topwear/4.png": "b51b17878503877e179ce4f9231713bf2b2d2d666c3ec9ee29f4e784469867a2",
    "topwear/5.png": "1b6049d43f83ebfda857cc405d1936ac9fd80be480fa6ad239024a6a75ad0372",
    "hair/0.png": "e4007b0635a239ad16cdebfe90759349ccc73dfc6836c9d19625714be185f43d",
    "hair/1.png": "fa6369f84d3310705df6d8ca8c9d515a7d211e73d2826c50a9cb5bb285652c66",
    "hair/2.png": "1b8046752be7233e829ebe9b11048e171d8d181ee6f68e07042b34f57bb8af0d",
    "hair/3.png": "333783285c5fd94ff434ae5000d2da39aac7940269f173119eaa70d34c8acfa1",
    "hair/4.png": "24df8e9b291cbd444f6c4d12d35b3d43d909cd13f04e6401e0fd8ab10216d5a2",
    "hair/5.png": "4dd471cc20e0b1cf71adcaab01c88598767e5cfe680adacdf560ca91574f17ae",
    "shoes/1.png": "d56a561616a20a12030d2d40a52eeec63e6d048871bf3b6994221869362151f1",
}
CHARACTERS = VALUES ** len(ATTRIBUTES)
_TEST_CHARACTERS, _PUBLISHED_SEED = 296, 423
# The names are ours, by looks; the publishers only number the layers.
_FACTORS = (
    FactorSpec(name="skin", kind="static", classes=("light", "tanned", "grey", "pale", "brown", "dark")),
    FactorSpec(name="bottom", kind="static", classes=("white", "gold", "red", "steel", "teal", "green")),
    FactorSpec(name="top", kind="static", classes=("maroon", "cyan", "cream", "plate", "leather", "shirt and tie")),
    FactorSpec(name="hair", kind="static", classes=("green", "blue", "orange", "white", "red", "purple")),
    FactorSpec(name="action", kind="dynamic", classes=ACTIONS),
)


@hyperparameters
class Sprites(SequenceDataset):
    """The Sprites video benchmark, rendered here from the published layers.

    Parameters
    ----------
    size : 64 or 32
        Height and width of a frame in pixels. Published scores use 64; 32 averages areas of four pixels.
    characters : int
        Fewer than all 1,296 for quick work: drawn with `split_seed`, from both sides of the published
        division in proportion. Every value of every attribute still occurs in the training part.
    valid_characters : float
        Share of the training characters set aside for validation; 0 leaves the part out. The
        published division has none.
    unseen : float
        Above 0: share of the combinations of character and action that only ``test`` contains, instead of the
        published division; ``test`` then contains no others. Characters are then shared between the parts, and
        `valid_characters` is the share of the other combinations that only ``valid`` contains.
    split_seed : int
        Chooses the characters for validation, fewer characters, and unseen combinations. The
        published division into training and test characters does not depend on it.
    root : str or None
        Folder that holds the layers as ``body/0.png`` and so on, or ``sprites_lpc/`` with them. None:
        ``SEQDIS_DATA``, else the user's cache folder.

    Raises
    ------
    DataError
        From `split`: layers are missing, damaged or of another size, or OpenCV is not installed.

    Notes
    -----
    1,296 characters (skin, bottom, top, hair of six values each) times nine actions (walk, spellcast, slash, each
    to the front, left, right), eight frames each: 8,100 / 900 / 2,664 sequences. Characters are permuted with NumPy's
    legacy seed 423; the last 296 are for testing, so that parts share no character, while every
    attribute value occurs in all of them.

    Frames are uint8 of shape (n, 8, 3, size, size); networks see value / 256 (``spec.scale``), as published. A
    pixel is painted "over" black in the order body, bottom, top, hair, shoes. ``PIXELS`` is the checksum
    that `pixel_checksum` gives with the default settings; Pillow composites the same bytes.

    All parts lie in one file of the cache folder (1.1 GB at size 64), mapped into memory; each choice of size,
    characters and split has its own. What is rendered carries the terms of the layers.

    References
    ----------
    Li and Mandt, Disentangled Sequential Autoencoder, ICML 2018, section 4.1.

    Examples
    --------
    >>> Sprites(size=32, characters=120).split_seed
    0
    """

    name: ClassVar[str] = "sprites"
    folder_name: ClassVar[str] = "sprites_lpc"
    licence: ClassVar[str] = "CC BY-SA 3.0 or GPL 3.0"
    source: ClassVar[str] = "https://github.com/YingzhenLi/Sprites"
    citation: ClassVar[str] = """@inproceedings{li2018disentangled,
  title     = {Disentangled Sequential Autoencoder},
  author    = {Li, Yingzhen and Mandt, Stephan},
  booktitle = {International Conference on Machine Learning},
  pages     = {5670--5679},
  year      = {2018}
}"""
    modality: ClassVar[str] = "video"
    as_printed: ClassVar[Mapping[str, Any]] = {"valid_characters": 0.0}
    PIXELS: ClassVar[str] = "930cb0c3e5431f6839d454087ca8bbbde7defc1b2b24b139813542cd577a8fad"

    size: Literal[64, 32] = 64
    characters: int = hyper(default=CHARACTERS, at_least=60, at_most=CHARACTERS)
    valid_characters: float = hyper(default=0.1, at_least=0, at_most=0.4)
    unseen: float = hyper(default=0.0, at_least=0.0, at_most=0.8)
    split_seed: int = hyper(default=0, at_least=0)
    root: str | None = hyper(default=None, identity=False)

    @classmethod
    def files(cls) -> tuple[RemoteFile, ...]:
        """The 25 layers that are used."""
        return tuple(RemoteFile(name=layer, url=_URL + layer, sha256=_SHA256[layer]) for layer in LAYERS)

    def hybrid(self, static_of: Sequences, dynamic_of: Sequences) -> npt.NDArray[Any]:
        """Render the true hybrids: the character of one set doing what the other does.

        Parameters
        ----------
        static_of, dynamic_of : Sequences of this data set, paired row by row

        Returns
        -------
        array of uint8, (n, 8, 3, size, size)

        Raises
        ------
        DataError
            Different numbers of sequences, sequences without these labels or of another shape, or missing layers.
        """
        labels = hybrid_labels(self.name, _FACTORS, (3, self.size, self.size), static_of, dynamic_of)
        attributes = tuple(labels[factor.name] for factor in _FACTORS if factor.kind == "static")
        character = np.ravel_multi_index(attributes, (VALUES,) * len(ATTRIBUTES))
        return np.concatenate(list(rendered(self._layers(), character, labels["action"], self.size)))

    def pixel_checksum(self) -> str:
        """SHA-256 of the pixels of all parts, characters in order of their number and each one's actions in theirs."""
        rows = [(np.asarray(part.ids)[row], part.x[row]) for part in self.parts().values() for row in range(len(part))]
        digest = hashlib.sha256()
        for _, frames in sorted(rows, key=lambda row: row[0]):
            digest.update(frames.data)
        return digest.hexdigest()

    def _splits(self) -> Mapping[str, Sequences]:
        validate(self)
        rows = self._divide()
        character, action = np.divmod(np.concatenate(list(rows.values())), len(ACTIONS))
        shape = (len(character), FRAMES, 3, self.size, self.size)
        x = mapped(self.name, self._key(rows), shape, lambda: rendered(self._layers(), character, action, self.size))
        attributes = attributes_of(character).T
        labels = dict(zip((factor.name for factor in _FACTORS), (*attributes, action), strict=True))
        spec = DataSpec(kind="image", shape=shape[2:], length=FRAMES, scale=(256.0,), factors=_FACTORS)
        everything = Sequences(x=x, spec=spec, labels=labels, ids=character * len(ACTIONS) + action)
        ends = np.cumsum([len(some) for some in rows.values()])
        return {
            part: replace(everything[end - len(some) : end], name=f"{self.name}/{part}")
            for (part, some), end in zip(rows.items(), ends, strict=True)
        }

    def _divide(self) -> dict[str, Index]:
        """Rows (character times nine plus action) of each part, ascending."""
        draw = np.random.default_rng(self.split_seed)
        order = np.random.RandomState(_PUBLISHED_SEED).permutation(CHARACTERS)
        n_test = round(self.characters * _TEST_CHARACTERS / CHARACTERS)
        train = _covering(order[:-_TEST_CHARACTERS], draw)[: self.characters - n_test]
        test = _covering(order[-_TEST_CHARACTERS:], draw)[:n_test]
        if self.unseen > 0:
            return self._divide_combinations(_with_actions(np.concatenate([train, test])))
        n_valid = round(self.valid_characters * len(train))
        kept = len(train) - n_valid  # those that cover all values come first
        parts = {"train": train[:kept], "valid": train[kept:], "test": test}
        return {part: _with_actions(some) for part, some in parts.items() if len(some)}

    def _divide_combinations(self, rows: Index) -> dict[str, Index]:
        seen, unseen = unseen_combinations(*np.divmod(rows, len(ACTIONS)), self.unseen, self.split_seed)
        parts, rest = {"test": rows[unseen]}, rows[seen]
        if self.valid_characters > 0:
            # Unseen combinations again: settings are then chosen by what the test part asks.
            pairs = np.divmod(rest, len(ACTIONS))
            seen, unseen = unseen_combinations(*pairs, self.valid_characters, self.split_seed + 1)
            parts, rest = {"valid": rest[unseen], **parts}, rest[seen]
        return {"train": rest, **parts}

    def _layers(self) -> dict[str, list[Overlay]]:
        self._require_layers()
        return read_layers(self.location())

    def _require_layers(self) -> None:
        folder = self.location()
        missing = [layer for layer in LAYERS if not (folder / layer).is_file()]
        if missing:
            raise DataError(
                f"Sprites: {len(missing)} of {len(LAYERS)} layers, such as {missing[0]}, are missing in {folder}. Run "
                f"`seqdis data fetch {self.name}`, or set SEQDIS_DATA (or root=) to the folder that contains "
                f"{self.folder_name}/."
            )

    def _key(self, rows: Mapping[str, Index]) -> str:
        self._require_layers()
        digest = hashlib.sha256(f"{_PREPARATION} {self.size}".encode())
        for layer in LAYERS:
            digest.update(file_sha256(self.location() / layer).encode())
        for some in rows.values():
            digest.update(some.data)
        return digest.hexdigest()[:32]


def _with_actions(characters: Index) -> Index:
    return (np.sort(characters)[:, None] * len(ACTIONS) + np.arange(len(ACTIONS))).reshape(-1)


def _covering(characters: Index, draw: np.random.Generator) -> Index:
    """The characters in random order, but first some that show every value of every attribute."""
    order = draw.permutation(characters)
    first = np.unique([np.unique(values, return_index=True)[1] for values in attributes_of(order).T])
    return np.concatenate([order[first], np.delete(order, first)])
