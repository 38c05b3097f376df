"""`Disentangler`: hyperparameters plus `build`; everything that users call is written once, here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.exceptions import NotFittedError

import seqdis
from seqdis import entries
from seqdis.arrays import checked
from seqdis.coding import as_codes, cut, decoded, device_of, encoded
from seqdis.errors import CapabilityError, DataError, RunFolderError, SettingsError, unknown_name
from seqdis.factors import Factors
from seqdis.hyperparameters import (
    Settings,
    from_dict,
    hyper,
    hyperparameters,
    plain,
    signature,
    to_dict,
    validate,
    whole_number,
)
from seqdis.inputs import as_sequences, scaled, with_features
from seqdis.nn.network import Network
from seqdis.sequences import Array, DataSpec, Kind, Sequences
from seqdis.training import Training
from seqdis.training.checkpoint import RunFolder
from seqdis.training.engine import Store, coding_device, cpu_threads
from seqdis.training.loop import Watcher, evaluate, train

Presets = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Preset -> data set or task -> values of the constructor."""


@hyperparameters
class Disentangler(TransformerMixin, Settings):
    """Base of all methods: one static code per sequence, one dynamic code per step or window.

    A method declares hyperparameters and `build`. Inputs ``X`` are arrays (n, time, ...), tensors,
    lists of ragged sequences, long data frames or `Sequences`; NaN means missing. Codes come back as
    `Factors` of CPU tensors, observations as arrays: images in [0, 1], series in their own units.

    What a method cannot do it says in class variables, and the calls that need it raise
    `CapabilityError`: ``has_encoder`` (encode and all that starts there), ``probabilistic`` (its
    codes have a prior: sample), ``variable_length`` (lengths other than in training),
    ``handles_missing`` (masks and NaN), ``multi_factor`` (its codes split further: `swap_modes`),
    ``kinds`` (of data: image, spectrogram, series). ``falling_loss`` is false where the loss is one side of a game,
    and says nothing of how well a model was fitted. ``version`` is raised with every change of the code that changes
    what a fit gives: runs of an earlier one are not taken for its own.
    """

    name: ClassVar[str]
    papers: ClassVar[tuple[str, ...]] = ()
    has_encoder: ClassVar[bool] = True
    probabilistic: ClassVar[bool] = True
    variable_length: ClassVar[bool] = True
    handles_missing: ClassVar[bool] = True
    multi_factor: ClassVar[bool] = False
    falling_loss: ClassVar[bool] = True
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "spectrogram", "series")
    version: ClassVar[int] = 1

    training: Training = hyper(factory=Training)

    def build(self, spec: DataSpec) -> Network:
        """The untrained network for data of this description."""
        raise CapabilityError(f"{type(self).__name__} does not define build().")

    @property
    def code_dims(self) -> tuple[int, int]:
        """Sizes of the static and of a dynamic code: the settings of that name, unless a method says otherwise."""
        return int(getattr(self, "static_dim")), int(getattr(self, "dynamic_dim"))  # noqa: B009

    # Fitting

    def fit(
        self,
        X: Any,
        y: None = None,
        *,
        mask: Any = None,
        lengths: Any = None,
        valid: Any = None,
        out: str | Path | None = None,
        watch: Watcher | None = None,
        about: dict[str, Any] | None = None,
    ) -> Self:
        """Train from scratch on ``X``; sets ``network_``, ``spec_`` and ``history_``.

        Codes are computed where it was trained, but for Metal (on the CPU: it lacks double precision).

        Parameters
        ----------
        X
            Data, or a `SequenceDataset`, of which "train" is fitted and "valid" watched.
        y
            Ignored: methods here learn without labels.
        mask, lengths
            See `seqdis.inputs.as_sequences`.
        valid
            Sequences whose loss is logged beside; nothing is selected on them.
        out
            Run folder. The same call after a kill goes on where the last saved state was; a
            finished run of the same settings, data and seed is loaded instead of repeated.
        watch
            Called with (steps done, steps in all, epoch record or None), for progress bars.
        about
            Extra facts for ``run.json``.

        Raises
        ------
        SettingsError, DataError, RunFolderError
        """
        validate(self)
        self._forget()
        train_set, valid_set = self._parts(X, valid, mask, lengths)
        if train_set.spec.kind not in self.kinds:
            raise CapabilityError(
                f"{type(self).__name__} is for data of kind {' or '.join(self.kinds)}; {train_set.name} is of kind "
                f"{train_set.spec.kind}. See `seqdis list methods`."
            )
        self.spec_ = scaled(train_set)
        train_set = self._fitting(train_set)
        valid_set = None if valid_set is None else self._fitting(valid_set)
        network = self._fresh(self.training.seed)
        identity = {
            "method": entries.name_of(type(self)),
            "settings": signature(self),
            "data": train_set.fingerprint(),
            "seed": self.training.seed,
            **({"version": self.version} if self.version > 1 else {}),
        }
        folder = None if out is None else RunFolder(out, identity)
        with nullcontext() if folder is None or folder.finished() else folder.alone():
            if folder is not None and folder.claim(self._description(about)):
                folder.load_weights(network)
                self.history_ = folder.history()
            else:
                settings = plain(self).training
                with cpu_threads(settings, self.spec_):
                    self.history_ = train(network, train_set, settings, valid=valid_set, folder=folder, watch=watch)
                if folder is not None:
                    folder.finish(network, self._description(about))
        self.identity_ = identity
        self.network_ = self._placed(network)
        return self

    def untrained(self, seed: int = 0) -> Self:
        """The same method with random weights on the same data description: a control."""
        self._check_unchanged()
        copy = self.replace()
        copy.spec_ = self.spec_
        copy.network_ = copy._placed(copy._fresh(seed + 10_007))
        copy.history_ = []
        copy.identity_ = self.identity_ | {"untrained": seed}
        return copy

    # Codes

    def encode(self, X: Any, *, mask: Any = None, lengths: Any = None, draw: int | None = None) -> Factors:
        """Posterior means of both codes. Codes of padded windows are zero.

        Parameters
        ----------
        X, mask, lengths
            See `fit`.
        draw
            A seed: one sample of both codes instead of the means, as some published evaluations take.

        Returns
        -------
        Factors
            static (n, static_dim), dynamic (n, windows, dynamic_dim), on the CPU.
        """
        data = self._input(X, mask, lengths)
        if not self.has_encoder:
            raise CapabilityError(f"{type(self).__name__} has no encoder: it cannot code given sequences.")
        return encoded(self._network, data, None if draw is None else self._generator("encode: draw", draw))

    def decode(self, factors: Factors) -> Array:
        """Mean observations of codes: (n, windows * stride, *features), in data units.

        Raises
        ------
        DataError
            No `Factors` (of tensors or arrays), or codes of other sizes than `encode` gives.
        """
        self._check_unchanged()
        if not isinstance(factors, Factors):
            what = f"got {type(factors).__name__}; expected Factors, as encode() gives them"
            raise DataError(f"decode: {what}, or Factors(static, dynamic).")
        return decoded(self._network, as_codes(factors, self.code_dims))

    def transform(self, X: Any) -> Array:
        """Codes as one 2-D array for pipelines: static columns, then dynamic ones, time-major.

        Shorter sequences than in training give its columns, too, zero where a sequence has ended.
        """
        codes = self.encode(X)
        dynamic, windows = codes.dynamic, -(-self.spec_.length // self._network.stride)
        if dynamic.shape[1] < windows:  # as many columns as in training
            dynamic = torch.nn.functional.pad(dynamic, (0, 0, 0, windows - dynamic.shape[1]))
        return torch.cat([codes.static, dynamic.flatten(1)], dim=1).numpy()

    def inverse_transform(self, Z: Any) -> Array:
        """Observations of what `transform` returned."""
        self._check_unchanged()
        codes = torch.as_tensor(checked(Z, "inverse_transform")).float()
        static_dim, dynamic_dim = self.code_dims
        rest = codes.shape[-1] - static_dim if codes.ndim == 2 else 0
        if rest <= 0 or rest % dynamic_dim:
            raise DataError(
                f"got {tuple(codes.shape)}; transform() gives (n, {static_dim} + windows * {dynamic_dim}) columns."
            )
        return self.decode(Factors(codes[:, :static_dim], codes[:, static_dim:].unflatten(1, (-1, dynamic_dim))))

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns of `transform` at the length of the training data."""
        self._check_unchanged()
        static_dim, dynamic_dim = self.code_dims
        windows = -(-self.spec_.length // self._network.stride)
        static = [f"static{i}" for i in range(static_dim)]
        return np.array(static + [f"dynamic{w}_{i}" for w in range(windows) for i in range(dynamic_dim)], dtype=object)

    # Interventions

    def reconstruct(self, X: Any, *, mask: Any = None, lengths: Any = None) -> Array:
        """Decoded posterior means, of the shape of ``X``; NaN beyond the length of a ragged sequence."""
        data = self._input(X, mask, lengths)
        return cut(self.decode(self.encode(data)), data)

    def swap(self, static_of: Any, dynamic_of: Any) -> Array:
        """Row by row, the static code of the first with the dynamic codes of the second.

        Hybrids have the lengths of the second: NaN beyond those, if they differ.
        """
        first, second = self._input(static_of), self._input(dynamic_of)
        if len(first) != len(second):
            raise DataError(f"swap pairs rows: got {len(first)} and {len(second)} sequences.")
        dynamic = self.encode(second)
        hybrid = Factors(self.encode(first).static, dynamic.dynamic, dynamic.lengths)
        return cut(self.decode(hybrid), second)

    def sample(
        self,
        n: int | None = None,
        length: int | None = None,
        *,
        like: Any = None,
        keep: str | None = None,
        mean: bool = False,
        seed: int = 0,
    ) -> Array:
        """New sequences from the prior, or with one code of given sequences kept.

        Parameters
        ----------
        n, length
            How many, of how many steps (default: as in training). With ``like``, its own.
        like, keep
            ``keep="static"`` redraws the dynamics of ``like``, at one length for all; ``keep="dynamic"`` its static
            code, with NaN beyond the lengths of ``like``.
        mean
            Decode the prior's step means along a sampled path, as published evaluations do,
            instead of the samples.
        """
        self._check_unchanged()
        if not self.probabilistic:
            raise CapabilityError(f"{type(self).__name__} has no prior to draw codes from.")
        _check_request(n, length, like is not None, keep)
        given = None if like is None else self._input(like)
        kept = None if given is None else self.encode(given)
        if kept is not None and n not in (None, len(kept)):
            raise SettingsError(f"sample: n={n}, but `like` holds {len(kept)} sequences; leave n out.")
        steps = length or (self.spec_.length if given is None else given.x.shape[1])
        windows = -(-steps // self._network.stride)
        if keep == "dynamic" and kept is not None and windows != kept.dynamic.shape[1]:
            raise SettingsError("sample: keep='dynamic' keeps the length of `like`; do not give another.")
        generator = self._generator("sample: seed", seed)
        with torch.inference_mode():
            drawn = self._network.prior(len(kept) if kept is not None else n or 1, windows, generator, mean=mean)
        codes = drawn.to("cpu")
        if kept is not None and keep == "static":
            codes = Factors(kept.static, codes.dynamic)
        elif kept is not None:
            codes = Factors(codes.static, kept.dynamic, kept.lengths)
        made = self.decode(codes)[:, :steps]
        return cut(made, given) if given is not None and keep == "dynamic" else made

    def score(self, X: Any, y: None = None) -> float:
        """Negative mean training loss per sequence, in evaluation mode with fixed draws."""
        data = self._input(X)
        settings = plain(self).training
        # The last epoch: a loss whose weights follow a schedule is scored as it ended.
        store = Store(data, self.spec_, device_of(self._network))
        return -evaluate(self._network, store, settings, settings.max_epochs - 1)["total"]

    # Keeping

    def save(self, folder: str | Path) -> Path:
        """Write ``run.json``, ``weights.safetensors`` and the log; `seqdis.load` reads them.

        Raises
        ------
        RunFolderError
            The folder holds another run, or something that is not a run; nothing is overwritten.
        SettingsError
            Settings were changed after `fit`: the weights belong to others.
        """
        self._check_unchanged()
        target = RunFolder(folder, self.identity_)
        if not target.claim(self._description(None)):
            target.write_history(self.history_)
            target.finish(self._network, self._description(None))
        return target.path

    @classmethod
    def presets(cls) -> Presets:
        """Known settings: by preset ("paper", "reference": the released code, "ours"), then by data set or task."""
        return {}

    @classmethod
    def published(cls, dataset: str, preset: str | None = None) -> Self:
        """The setting of a preset, by default the first, for a data set or task.

        Raises
        ------
        SettingsError
            Unknown name; lists those known.
        """
        known = cls.presets()
        if not known:
            raise SettingsError(f"{cls.__name__} knows no published setting, so none for '{dataset}'.")
        preset = preset or next(iter(known))
        if preset not in known:
            raise SettingsError(unknown_name("preset", preset, known))
        if dataset not in known[preset]:
            which = f"{cls.__name__} ({preset})" if len(known) > 1 else cls.__name__
            raise SettingsError(unknown_name(f"published setting of {which}", dataset, known[preset]))
        return cls(**known[preset][dataset])

    # Inside

    @property
    def _network(self) -> Network:
        self._check_fitted()
        return self.network_

    def _generator(self, what: str, seed: int) -> torch.Generator:
        return torch.Generator(device_of(self._network)).manual_seed(whole_number(what, seed))

    def _fresh(self, seed: int) -> Network:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed GPUs, too
            return plain(self).build(self.spec_)

    def _placed(self, network: Network) -> Network:
        return network.to(coding_device(self.training.accelerator)).eval()

    def _forget(self) -> None:
        """Drop what an earlier fit left: after one that fails, the model is unfitted, not half of two."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)

    def _check_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit(X) or seqdis.load(folder).")

    def _check_unchanged(self) -> None:
        """Refuse to mix the weights of one fit with settings of another."""
        self._check_fitted()
        if signature(self) != self.identity_["settings"]:
            raise SettingsError(
                f"{type(self).__name__}: settings were changed after fit, the weights belong to the earlier ones. "
                "Call fit again, or change them in a copy: replace()."
            )

    def _parts(self, X: Any, valid: Any, mask: Any, lengths: Any) -> tuple[Sequences, Sequences | None]:
        if callable(getattr(X, "parts", None)):
            if mask is not None or lengths is not None:
                raise DataError("a data set carries its own mask and lengths: do not give others beside.")
            parts = X.parts()
            return parts["train"], parts.get("valid") if valid is None else as_sequences(valid)
        data = as_sequences(X, mask=mask, lengths=lengths)
        return data, None if valid is None else as_sequences(valid, kind=data.spec.kind)

    def _input(self, X: Any, mask: Any = None, lengths: Any = None) -> Sequences:
        self._check_unchanged()
        data = as_sequences(X, mask=mask, lengths=lengths, kind=None if isinstance(X, Sequences) else self.spec_.kind)
        return self._fitting(data)

    def _fitting(self, data: Sequences) -> Sequences:
        """The same data with columns in the order of the fit; refused if they differ in anything else."""
        cls = type(self).__name__
        given, fitted = data.spec.feature_names, self.spec_.feature_names
        if given and fitted and set(given) != set(fitted):
            lacking, other = ([c for c in a if c not in b] for a, b in ((fitted, given), (given, fitted)))
            raise DataError(
                f"{data.name}: {cls} was fitted on features {', '.join(fitted)}; "
                f"lacking here: {', '.join(lacking) or 'none'}, unknown: {', '.join(other) or 'none'}."
            )
        if given and fitted:
            data = with_features(data, fitted)
        if data.spec.shape != self.spec_.shape or data.spec.kind != self.spec_.kind:
            raise DataError(
                f"{data.name}: steps are {data.spec.kind} of shape {data.spec.shape}; "
                f"this {cls} was fitted on {self.spec_.kind} of shape {self.spec_.shape}."
            )
        if not self.variable_length and (data.x.shape[1] != self.spec_.length or data.lengths is not None):
            raise CapabilityError(f"{cls} needs sequences of exactly {self.spec_.length} steps.")
        if not self.handles_missing and data.mask is not None:
            raise CapabilityError(f"{cls} cannot use missing values: fill them in first.")
        return data

    def _description(self, about: dict[str, Any] | None) -> dict[str, Any]:
        import msgspec

        return {
            "method": entries.name_of(type(self)),
            "settings": to_dict(self),
            "spec": msgspec.to_builtins(self.spec_),
            "seed": self.training.seed,
            "versions": {"seqdis": seqdis.__version__, "torch": torch.__version__, "numpy": np.__version__},
            "about": about or {},
        }


def load(folder: str | Path) -> Disentangler:
    """The fitted method of a run folder, on the GPU where there is one and ``training.accelerator`` allows it.

    Raises
    ------
    RunFolderError
        Not a run folder; unfinished, truncated or altered.
    """
    import msgspec

    run = RunFolder(folder)
    content = run.read()
    try:
        cls = entries.find("methods", content["method"])
        if not issubclass(cls, Disentangler):
            raise RunFolderError(f"{run.path}/run.json names {content['method']}, which is not a method.")
        model: Disentangler = from_dict(cls, content["settings"])
        validate(model)
        model.spec_ = msgspec.convert(content["spec"], DataSpec)
        model.identity_ = dict(content["identity"])
    except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
        raise RunFolderError(f"{run.path}/run.json was altered or comes from another version: {error}") from error
    run.check_finished(content)  # before a network is built of settings that may have been altered
    network = model._fresh(model.training.seed)
    run.load_weights(network)
    model.network_ = model._placed(network)
    model.history_ = run.history()
    return model


def _check_request(n: int | None, length: int | None, like: bool, keep: str | None) -> None:
    """Refuse what `Disentangler.sample` has no answer to."""
    if like != (keep is not None) or keep not in (None, "static", "dynamic"):
        raise SettingsError(
            f"sample: got keep={keep!r}; give `like=` with keep='static' or keep='dynamic', or neither."
        )
    for name, value in (("n", n), ("length", length)):
        if value is not None and whole_number(f"sample: {name}", value) < 1:
            raise SettingsError(f"sample: {name}={value}; expected at least 1.")
