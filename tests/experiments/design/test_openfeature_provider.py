"""An OpenFeature client gets the arms that our assignment gives."""

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

from tfrec import InvalidInput
from tfrec.experiments import ExperimentSpec, assign
from tfrec.experiments.design.openfeature_provider import ExperimentProvider


def spec(name, **changes):
    return ExperimentSpec.from_dict({"name": name, "metrics": [{"name": "m", "event": "click"}], **changes})


def test_a_client_gets_the_arm_or_its_default():
    half = spec("half", traffic=[0, 0.5])
    api.set_provider(ExperimentProvider([half, spec("other", layer="other")]), "test")
    client = api.get_client("test")
    reasons = set()
    for user in [f"u{i}" for i in range(50)]:
        found = client.get_string_details("half", "off", EvaluationContext(user))
        assert found.value == (assign(half, user) or "off")
        reasons.add((found.reason, found.value == "off"))
    assert {(str(reason), off) for reason, off in reasons} == {("SPLIT", False), ("DEFAULT", True)}
    for flag, context in (("nonsense", EvaluationContext("u1")), ("half", EvaluationContext())):
        found = client.get_string_details(flag, "off", context)
        assert found.value == "off" and found.error_code is not None
    for ask, default in (
        (client.get_boolean_details, True),
        (client.get_integer_details, 7),
        (client.get_float_details, 0.5),
        (client.get_object_details, {}),
    ):
        found = ask("half", default, EvaluationContext("u1"))
        assert found.value == default and str(found.error_code) == "TYPE_MISMATCH"


def test_experiments_that_overlap_are_refused():
    with pytest.raises(InvalidInput, match="share"):
        ExperimentProvider([spec("a"), spec("b")])
