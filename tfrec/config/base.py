"""The base class of every section of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tfrec.config.invalid_values import invalid_values
from tfrec.errors import InvalidInput

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


COMMON: Final = "common"
"""Marks an option that most people use, as in `Annotated[int, COMMON]`: these stand first in the reference."""


class _Checked(ModelMetaclass):
    """The class of sections: a call of one raises `InvalidInput`.

    Not `__init__`: pydantic would call that for each nested section, and the first bad value would hide all others.
    """

    if not TYPE_CHECKING:  # type checkers go by the fields

        def __call__(cls, *args: Any, **values: Any) -> Any:  # noqa: N805  a metaclass's self is a class
            try:
                return super().__call__(*args, **values)
            except ValidationError as error:
                raise invalid_values(cls, error) from None


class Section(BaseModel, metaclass=_Checked):
    """A section of the configuration. It cannot be changed once made, and it refuses keys that it does not know.

    Whatever way it is made, values that it does not take raise `InvalidInput`, which names each of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As pydantic's, but it raises `InvalidInput`."""
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise invalid_values(cls, error) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """As pydantic's, but it raises `InvalidInput`."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            raise invalid_values(cls, error) from None

    if not TYPE_CHECKING:  # type checkers know that it is frozen

        def __setattr__(self, name: str, value: Any) -> None:
            self._refuse_change(name, value)

        def __delattr__(self, name: str) -> None:
            self._refuse_change(name, None)

    def _refuse_change(self, name: str, value: Any) -> NoReturn:
        raise InvalidInput(
            f"A {type(self).__name__} does not change, received {name} = {value!r}. Make another one; a RunConfig does "
            "it with `with_values`."
        )
