"""A type checker for jaxtyping's import hook that looks at tensor shapes only.

Typeguard 4 reads the shape strings as forward references, and would refuse wrong settings in
constructors, which are to be stored and refused by ``fit``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin

from jaxtyping import AbstractArray


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Raise TypeError where an argument or the result has not the annotated shape."""
    signature = inspect.signature(function)
    hints = [parameter.annotation for parameter in signature.parameters.values()]
    if not any(map(_has_shape, (*hints, signature.return_annotation))):
        return function

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            _check(name, value, signature.parameters[name].annotation)
        result = function(*args, **kwargs)
        _check("result", result, signature.return_annotation)
        return result

    return inner


def _check(name: str, value: Any, hint: Any) -> None:
    if get_origin(hint) is tuple:
        for number, (part, kind) in enumerate(zip(value, get_args(hint), strict=False)):
            _check(f"{name}[{number}]", part, kind)
        return
    if _has_shape(hint) and not isinstance(value, hint):
        got = tuple(value.shape) if hasattr(value, "shape") else type(value).__name__
        raise TypeError(f"{name} is {got}, not {hint}")


@functools.cache
def _has_shape(hint: Any) -> bool:
    return any(isinstance(kind, type) and issubclass(kind, AbstractArray) for kind in (hint, *get_args(hint)))
