"""What is promised of codes: shapes, determinism, and that nothing beside a sequence changes its code."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.base import clone

from seqdis.errors import CapabilityError
from seqdis.factors import Factors
from seqdis.testing.case import FILLER, ROWS, STEPS, Case, close, encoding_batches_of, needs, raises, same, same_weights


@needs("has_encoder")
def codes_have_their_shapes(case: Case) -> None:
    """One static code per sequence, one dynamic code per step or window: finite float32 on the CPU."""
    codes, model = case.codes(), case.model
    windows = -(-STEPS // model.network_.stride)
    for name, code, shape in (
        ("static", codes.static, (ROWS, model.code_dims[0])),
        ("dynamic", codes.dynamic, (ROWS, windows, model.code_dims[1])),
    ):
        assert tuple(code.shape) == shape, f"{name} codes have shape {tuple(code.shape)}, not {shape}"
        assert code.dtype == torch.float32, f"{name} codes are {code.dtype}"
        assert code.device.type == "cpu", f"{name} codes are on {code.device}"
        assert torch.isfinite(code).all(), f"{name} codes are not finite"
        assert not code.requires_grad, f"{name} codes carry a gradient"
    assert codes.lengths is None, "sequences of one length were given code lengths"


@needs("has_encoder")
def same_input_gives_the_same_codes(case: Case) -> None:
    """Encoding draws nothing, and leaves the global random state alone."""
    first = case.codes()
    state = torch.random.get_rng_state()
    assert same(first, case.codes(), 0.0), "encoding twice gave different codes"
    assert torch.equal(state, torch.random.get_rng_state()), "encode() drew from the global generator"


@needs("has_encoder")
def swap_with_itself_is_reconstruction(case: Case) -> None:
    """swap(A, A) equals reconstruct(A), in the shape of A; so do decoded codes."""
    data, model = case.data(), case.model
    rebuilt = model.reconstruct(data)
    assert rebuilt.shape == data.x.shape, f"reconstruct() gave {rebuilt.shape} for {data.x.shape}"
    assert np.isfinite(rebuilt).all(), "reconstruct() gave values that are not finite"
    assert close(rebuilt, model.swap(data, data)), "swap(A, A) differs from reconstruct(A)"
    assert close(rebuilt, model.decode(model.encode(data))[:, :STEPS]), "decode(encode(A)) differs from reconstruct(A)"
    assert case.kind != "image" or 0 <= rebuilt.min() <= rebuilt.max() <= 1, "images leave [0, 1]"


@needs("has_encoder")
def batch_mates_never_change_a_code(case: Case) -> None:
    """A sequence has the same codes alone and among others; a batch of one works."""
    whole = case.codes()
    for row in (0, ROWS - 1):
        alone = case.codes(case.x[row : row + 1])
        assert same(whole[row : row + 1], alone), f"the codes of row {row} depend on its batch mates"


@needs("has_encoder")
def chunk_borders_never_change_a_code(case: Case) -> None:
    """Sets larger than one encoding batch have the codes of their parts, ragged sets too."""
    lengths = None if not case.method.variable_length else np.r_[[2] * 4, [5] * 3, [STEPS] * (ROWS - 7)]
    whole, decoded = case.codes(lengths=lengths), case.model.decode(case.codes())
    with encoding_batches_of(4):
        assert same(whole, case.codes(lengths=lengths)), "the border of an encoding batch changed a code"
        assert close(decoded, case.model.decode(case.codes())), "the border of a decoding batch changed an observation"


@needs("has_encoder", "variable_length")
def padding_never_changes_a_code(case: Case) -> None:
    """What lies beyond a sequence's length, and how much of it, changes nothing; its codes there are zero."""
    lengths = np.r_[[3] * 4, [6] * 3, [STEPS] * (ROWS - 7)]
    codes = case.codes(lengths=lengths)
    filled = np.pad(case.x, [(0, 0), (0, 4)] + [(0, 0)] * (case.x.ndim - 2))
    filled[np.arange(filled.shape[1]) >= lengths[:, None]] = FILLER
    padded = case.codes(filled, lengths=lengths)
    windows = codes.dynamic.shape[1]
    assert same(codes, Factors(padded.static, padded.dynamic[:, :windows], padded.lengths)), "padding changed a code"
    assert (padded.dynamic[~padded.valid()] == 0).all(), "dynamic codes beyond a sequence's length are not zero"
    for row, length in enumerate(lengths):
        alone = case.codes(case.x[row : row + 1, :length])
        real = alone.dynamic.shape[1]
        short = Factors(padded.static[row : row + 1], padded.dynamic[row : row + 1, :real])
        assert same(short, alone), f"row {row} of length {length} has other codes when cut than when padded"


@needs("has_encoder", "handles_missing")
def masked_values_never_change_a_code(case: Case) -> None:
    """NaN is a false mask; what stands behind a mask is never read, in fit or later."""
    draw = np.random.default_rng(1)
    seen = draw.random(case.x.shape if case.kind == "series" else case.x.shape[:2]) > 0.25
    seen[:, 1] = True
    wide = seen.reshape(*seen.shape, *[1] * (case.x.ndim - seen.ndim))
    holes = case.codes(np.where(wide, case.x, np.nan))
    for filler in (0.0, FILLER, np.nan):
        hidden = np.where(wide, case.x, filler)
        assert same(holes, case.codes(hidden, mask=seen), 0.0), f"{filler} behind the mask changed a code"
    fitted = case.fit(np.where(wide, case.x, np.nan))
    other = case.method.replace().fit(case.data(np.where(wide, case.x, FILLER), mask=seen))
    assert same_weights(fitted, other), "what stands behind the mask changed the fit"
    assert np.isfinite(fitted.score(case.data())), "a model fitted with gaps cannot score data without"


@needs("has_encoder")
def transform_is_encode_in_columns(case: Case) -> None:
    """transform: static columns, then dynamic ones time-major; it inverts, names its columns, and fills frames."""
    model, data, codes = clone(case.method).fit(case.data()), case.data(), case.codes()
    table = model.transform(data)
    assert close(table, torch.cat([codes.static, codes.dynamic.flatten(1)], dim=1).numpy()), "not the codes in order"
    assert close(model.inverse_transform(table), case.model.decode(codes)), "inverse_transform() is not decode()"
    names = model.get_feature_names_out()
    assert len(set(names)) == table.shape[1], f"{len(set(names))} names for {table.shape[1]} columns"
    frame = model.set_output(transform="pandas").transform(data)
    assert list(frame.columns) == list(names), "set_output(transform='pandas') has other column names"
    assert close(frame.to_numpy(), table), "set_output(transform='pandas') changed values"


@needs("has_encoder", "multi_factor")
def swapping_every_mode_gives_the_other(case: Case) -> None:
    """swap_modes with all modes of `spectrum` rebuilds the second set, row by row; of a set with itself, that set."""
    model, first = case.model, case.data()
    if raises(CapabilityError, model.spectrum):  # settings may take it away
        return
    second = case.data(case.x[::-1].copy())
    values, static = model.spectrum()
    assert values.shape == static.shape, f"spectrum() gave {values.shape} eigenvalues, {static.shape} flags"
    modes = range(len(values))
    assert close(model.swap_modes(first, second, modes), model.reconstruct(second), 1e-3), "all modes were not all"
    assert close(model.swap_modes(first, first, modes), model.reconstruct(first), 1e-3), "a swap with itself changed"
