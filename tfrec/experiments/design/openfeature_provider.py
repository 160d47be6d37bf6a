"""An OpenFeature provider for our assignment, so that any OpenFeature client can ask for a user's arm.

Importing this module needs `openfeature-sdk`, from the `experiments` extra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from tfrec.errors import Unavailable
from tfrec.experiments.design.assignment import assign, check_exclusive
from tfrec.experiments.design.spec import ExperimentSpec

try:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.exception import FlagNotFoundError, TargetingKeyMissingError, TypeMismatchError
    from openfeature.flag_evaluation import FlagResolutionDetails, Reason
    from openfeature.provider import AbstractProvider, Metadata
except ImportError:
    raise Unavailable("OpenFeature is not installed. pip install 'tfrec-bert[experiments]'") from None


class ExperimentProvider(AbstractProvider):
    """Resolves string flags: the flag is the name of an experiment, the targeting key a user id, the value an arm.

    Users outside the experiment get the caller's default with reason DEFAULT. An unknown experiment, a missing
    targeting key and other flag types raise OpenFeature's errors, for which the client returns the default.

    Args:
        specs: The experiments.

    Raises:
        InvalidInput: Two experiments conflict (see `check_exclusive`).

    Example:
        >>> from openfeature.evaluation_context import EvaluationContext
        >>> spec = ExperimentSpec.from_dict({"name": "e", "metrics": [{"name": "m", "event": "click"}]})
        >>> details = ExperimentProvider([spec]).resolve_string_details("e", "control", EvaluationContext("u1"))
        >>> details.value == assign(spec, "u1")
        True
    """

    def __init__(self, specs: Sequence[ExperimentSpec]) -> None:
        super().__init__()
        check_exclusive(specs)
        self._specs = {spec.name: spec for spec in specs}

    def get_metadata(self) -> Metadata:
        """The name of the provider."""
        return Metadata(name="tfrec experiments")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """The arm of the user in the experiment `flag_key`."""
        if flag_key not in self._specs:
            raise FlagNotFoundError(f"{flag_key!r} is not an experiment; expected one of {', '.join(self._specs)}.")
        if evaluation_context is None or not evaluation_context.targeting_key:
            raise TargetingKeyMissingError("Expected the user's id as the targeting key, received none.")
        arm = assign(self._specs[flag_key], evaluation_context.targeting_key)
        if arm is None:
            return FlagResolutionDetails(value=default_value, reason=Reason.DEFAULT)
        return FlagResolutionDetails(value=arm, variant=arm, reason=Reason.SPLIT)

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Raises `TypeMismatchError`, as the value of an experiment is a string."""
        self._raise_type_mismatch(flag_key)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Raises `TypeMismatchError`, as the value of an experiment is a string."""
        self._raise_type_mismatch(flag_key)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Raises `TypeMismatchError`, as the value of an experiment is a string."""
        self._raise_type_mismatch(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[Any] | Mapping[str, Any],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Any]:
        """Raises `TypeMismatchError`, as the value of an experiment is a string."""
        self._raise_type_mismatch(flag_key)

    def _raise_type_mismatch(self, flag_key: str) -> NoReturn:
        raise TypeMismatchError(f"{flag_key!r} is an experiment: request a string, the name of the arm.")
