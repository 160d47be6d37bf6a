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
"""Marks an option as common, as in `Annotated[int, COMMON]`. Common options come first in the reference."""


class _Checked(ModelMetaclass):
    """The metaclass of sections, which makes the constructor raise `InvalidInput`.

    It is not done in `__init__`, because pydantic calls that for each nested section, and the first invalid value would
    hide all others.
    """

    if not TYPE_CHECKING:  # type checkers use the fields

        def __call__(cls, *args: Any, **values: Any) -> Any:  # noqa: N805  a metaclass's self is a class
            try:
                return super().__call__(*args, **values)
            except ValidationError as error:
                raise invalid_values(cls, error) from None


class Section(BaseModel, metaclass=_Checked):
    """A section of the configuration. It cannot be changed once made, and it refuses keys that it does not know.

    Invalid values raise `InvalidInput`, which names all of them, however the section is made.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """Like pydantic's method, but raises `InvalidInput`."""
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise invalid_values(cls, error) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Like pydantic's method, but raises `InvalidInput`."""
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
            f"A {type(self).__name__} cannot be changed, received {name} = {value!r}. Make another one, a RunConfig "
            "with `with_values`."
        )
