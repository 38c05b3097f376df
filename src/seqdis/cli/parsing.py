"""From words on the command line to settings objects, by way of tyro."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import tyro

from seqdis import entries
from seqdis.datasets import SequenceDataset, UserFile
from seqdis.errors import SeqdisError, SettingsError
from seqdis.hyperparameters import Settings, validate

T = TypeVar("T")


def positionals(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Leading words up to the first flag, and the rest."""
    for i, word in enumerate(arguments):
        if word.startswith("-"):
            return list(arguments[:i]), list(arguments[i:])
    return list(arguments), []


def take(flags: list[str], name: str) -> str | None:
    """Remove ``--name value`` (or ``--name=value``) from the flags and return the value."""
    for i, word in enumerate(flags):
        if word == name:
            if i + 1 == len(flags) or flags[i + 1].startswith("--"):
                raise SettingsError(f"{name} needs a value.")
            value = flags[i + 1]
            del flags[i : i + 2]
            return value
        if word.startswith(name + "="):
            del flags[i]
            return word[len(name) + 1 :]
    return None


def wants_help(flags: Sequence[str]) -> bool:
    """Whether --help is among the words."""
    return any(word in ("-h", "--help") for word in flags)


def options(what: type[T], flags: Sequence[str], usage: str, description: str) -> T:
    """A plain dataclass of options from flags; exits after --help or a mistake, as command lines do."""
    return tyro.cli(what, args=list(flags), prog=usage, description=description)


def with_overrides(parts: Mapping[str, Settings], flags: Sequence[str], usage: str, description: str) -> dict[str, Any]:
    """Settings changed by flags. The part named "" has no prefix; of the others, ``--name.field``.

    Returns
    -------
    dict from part name to changed settings, each validated
    """
    # tyro reads one dataclass: a bundle of all parts, the one named "" without a prefix.
    fields: list[tuple[str, Any, Any]] = []
    attributes = {name: name.replace("-", "_").replace(":", "_").replace(".", "_") or "unprefixed" for name in parts}
    for name, settings in parts.items():
        kind: Any = type(settings) if name else Annotated[type(settings), tyro.conf.arg(name="")]
        fields.append((attributes[name], kind, dataclasses.field(default_factory=partial(_same, settings))))
    bundle = dataclasses.make_dataclass("Bundle", fields, kw_only=True, eq=False)
    parsed: Any = tyro.cli(bundle, args=list(flags), prog=usage, description=description)
    found = {name: getattr(parsed, attribute) for name, attribute in attributes.items()}
    for settings in found.values():
        validate(settings)
    return found


def data_of(word: str) -> SequenceDataset:
    """The data set of that name, or the user's file at that path."""
    path = Path(word).expanduser()
    if path.is_dir():
        raise SettingsError(
            f"'{word}' is a folder; folders of videos or audio files cannot be read yet. Give one file."
        )
    if path.suffix.lower() in (".npy", ".npz", ".csv", ".parquet", ".gz") or path.exists():
        return UserFile(path=str(path))
    return _made(entries.find("datasets", word), SequenceDataset, word)


def method_of(word: str, published: str | None, preset: str | None) -> Any:
    """A method with its default or published settings."""
    from seqdis.estimator import Disentangler

    cls = entries.find("methods", word)
    if not issubclass(cls, Disentangler):
        raise SettingsError(f"'{word}' is not a method: {cls.__name__} does not inherit from Disentangler.")
    if published is None:
        if preset is not None:
            raise SettingsError("--preset chooses between published settings: give --published as well.")
        return cls()
    return cls.published(published) if preset is None else cls.published(published, preset)  # type: ignore[call-arg]


def _same(settings: Settings) -> Settings:
    return settings


def usage_error(message: str) -> NoReturn:
    """Refuse a command that lacks its words."""
    raise SeqdisError(message)


def say(message: str) -> None:
    """One line for the person at the terminal."""
    print(message, file=sys.stdout, flush=True)


def _made(cls: type[Any], base: type[T], word: str) -> T:
    if not issubclass(cls, base):
        raise SettingsError(f"'{word}' names {cls.__name__}, which is no {base.__name__}.")
    return cls()
