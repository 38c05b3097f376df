"""From words on the command line to settings objects, by way of tyro."""

from __future__ import annotations

import dataclasses
import inspect
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import tyro

from seqdis import entries
from seqdis.datasets import AudioFolder, SequenceDataset, UserFile, VideoFolder
from seqdis.datasets._audio_files import AUDIO
from seqdis.datasets._video_files import VIDEOS
from seqdis.disk import check_writable
from seqdis.errors import DataError, SeqdisError, SettingsError
from seqdis.hyperparameters import Settings, validate

T = TypeVar("T")


def positionals(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Leading words up to the first flag, and the rest."""
    for i, word in enumerate(arguments):
        if word.startswith("-"):
            return list(arguments[:i]), list(arguments[i:])
    return list(arguments), []


def wants_help(flags: Sequence[str]) -> bool:
    """Whether --help is among the words."""
    return any(word in ("-h", "--help") for word in flags)


def options(default: T, flags: Sequence[str], usage: str, description: str) -> T:
    """A plain dataclass of options changed by flags; exits after --help or a mistake, as command lines do."""
    return tyro.cli(type(default), default=default, args=list(flags), prog=usage, description=description)


def with_overrides(parts: Mapping[str, Any], flags: Sequence[str], usage: str, description: str) -> dict[str, Any]:
    """Settings changed by flags, ``--name.field``; without prefix those of the part "" and of plain dataclasses.

    Returns
    -------
    dict from part name to changed settings, each validated
    """
    # tyro reads one dataclass: a bundle of all parts.
    fields: list[tuple[str, Any, Any]] = []
    attributes = {name: name.replace("-", "_").replace(":", "_").replace(".", "_") or "unprefixed" for name in parts}
    for name, settings in parts.items():
        prefixed = name and isinstance(settings, Settings)
        kind: Any = type(settings) if prefixed else Annotated[type(settings), tyro.conf.arg(name="")]
        fields.append((attributes[name], kind, dataclasses.field(default_factory=partial(_same, settings))))
    bundle = dataclasses.make_dataclass("Bundle", fields, kw_only=True, eq=False)
    parsed: Any = tyro.cli(bundle, args=list(flags), prog=usage, description=description)
    found = {name: getattr(parsed, attribute) for name, attribute in attributes.items()}
    for settings in found.values():
        if isinstance(settings, Settings):
            validate(settings)
    return found


def data_of(word: str) -> SequenceDataset:
    """The data set of that name, or the user's file or folder of videos or recordings at that path."""
    path = Path(word).expanduser()
    if word in entries.names("datasets"):
        return made(entries.names("datasets")[word], SequenceDataset, word)
    # Absolute paths are for later commands, which may run elsewhere.
    if word and path.is_dir():
        found = [kind for kind in (VideoFolder, AudioFolder) if kind.readable(path)]
        if len(found) == 1:
            return found[0](path=str(path.absolute()))
        if found:
            raise SettingsError(f"'{word}' holds both videos (or images) and recordings. Give a folder of either kind.")
        raise SettingsError(
            f"'{word}' is a folder without video files or folders of images, and without audio files. Give a folder of "
            "videos (each a file, or a folder of its images, directly in it) or of recordings, or one file."
        )
    if path.suffix.lower() in (*VIDEOS, *AUDIO):
        raise SettingsError(f"'{word}' is one video or recording; give the folder that holds it and others like it.")
    if path.is_file() or (":" not in word and ("." in word or "/" in word)):
        if not path.exists():
            raise DataError(f"there is no file or folder {path.absolute()}.")
        return UserFile(path=str(path.absolute()))
    return made(entries.find("datasets", word), SequenceDataset, word)


def method_of(word: str, published: str | None, preset: str | None) -> Any:
    """A method with its default or published settings."""
    from seqdis.estimator import Disentangler

    cls = entries.find("methods", word)
    check_kind(cls, Disentangler, word)
    if published is None:
        if preset is not None:
            raise SettingsError("--preset chooses between published settings: give --published as well.")
        return cls()
    return cls.published(published, preset)


def _same(settings: Settings) -> Settings:
    return settings


def usage_error(command: str, needs: str, arguments: Sequence[str]) -> NoReturn:
    """Refuse a command that lacks its words."""
    given = shlex.join(arguments) or "nothing"
    raise SettingsError(f"{command} needs {needs} before any --setting; got {given}. See: seqdis {command} --help")


def say(message: str) -> None:
    """One line of what was asked for, on standard output."""
    print(message, flush=True)


def note(message: str) -> None:
    """One line about what happens meanwhile, on standard error."""
    print(message, file=sys.stderr, flush=True)


def check_kind(cls: type[Any], base: type[Any], word: str) -> None:
    """Refuse an entry of another kind."""
    if not issubclass(cls, base) or inspect.isabstract(cls):
        raise SettingsError(f"'{word}' names {cls.__name__}, which is no {base.__name__} that can be used.")


def made(cls: type[Any], base: type[Any], word: str) -> Any:
    """An entry with its default settings."""
    check_kind(cls, base, word)
    return cls()


def new_file(path: Path, *suffixes: str) -> Path:
    """Where results may be written: a name that says what is in it, and nothing there yet."""
    if path.suffix not in suffixes:
        raise SettingsError(f"--out {path}: use a name ending in {' or '.join(suffixes)}.")
    if path.exists():
        raise SeqdisError(f"--out {path}: this file exists. Give another name, or delete it.")
    check_writable(path)
    return path
