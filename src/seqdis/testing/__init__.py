"""What every method promises, as checks that a plug-in can run on its own: `check_method`.

Each of `CONTRACTS` takes a `Case` (a method on toy data of one modality) and asserts one promise, so
that a test runner may also run them one by one.
"""

from __future__ import annotations

from seqdis.estimator import Disentangler
from seqdis.sequences import Kind
from seqdis.testing import codes, fits
from seqdis.testing.case import MODALITIES, Case, Contract

__all__ = ["CONTRACTS", "MODALITIES", "Case", "Contract", "check_method"]

CONTRACTS: tuple[Contract, ...] = (
    fits.parameters_round_trip,
    fits.unfitted_says_so,
    fits.loss_falls,
    codes.codes_have_their_shapes,
    codes.same_input_gives_the_same_codes,
    codes.swap_with_itself_is_reconstruction,
    codes.batch_mates_never_change_a_code,
    codes.chunk_borders_never_change_a_code,
    codes.padding_never_changes_a_code,
    codes.masked_values_never_change_a_code,
    fits.other_lengths_work_or_raise,
    fits.save_and_load_keep_the_codes,
    fits.seed_fixes_the_weights,
    fits.fit_starts_from_scratch,
    fits.input_is_never_modified,
    fits.last_batch_of_one_is_fitted,
    codes.transform_is_encode_in_columns,
    codes.swapping_every_mode_gives_the_other,
    fits.samples_have_their_shapes,
    fits.capability_flags_are_kept,
)


def check_method(method: Disentangler, *, modalities: tuple[Kind, ...] | None = None) -> None:
    """Check that a method keeps every promise of `Disentangler`.

    Parameters
    ----------
    method
        With small sizes and few epochs: it is fitted some fifteen times per modality, on ten
        sequences of nine steps (three features, bins or channels; frames of 8x8 pixels).
    modalities
        Kinds of data to try it on; None: all that the method is for.

    Raises
    ------
    AssertionError
        A promise is broken.
    Exception
        Any other error of the method itself, as it was raised.

    Notes
    -----
    Both carry a note that names the promise, the method and the modality.

    Examples
    --------
    >>> from seqdis.methods import DBSE
    >>> from seqdis.testing import check_method
    >>> from seqdis.training import Training
    >>> small = DBSE(static_dim=3, dynamic_dim=2, feature_dim=8, hidden_dim=8, training=Training(max_epochs=2))
    >>> check_method(small, modalities=("series",))
    """
    for kind in modalities or method.kinds:
        case = Case(method, kind)
        for contract in CONTRACTS:
            try:
                contract(case)
            except Exception as error:
                error.add_note(f"{contract.__name__}: broken by {method!r} on {kind} data. {contract.__doc__}")
                raise
