"""What the REST routes take and answer, as an OpenAPI document made of the models' own signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import tensorflow as tf

from tfrec.serving.local.loaded_version import Input, LoadedVersion, Signature, as_input
from tfrec.serving.local.version_manager import Versions

Schema = dict[str, Any]

_BASE64: Final = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_STRING: Final[Schema] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"b64": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}},
            "required": ["b64"],
            "additionalProperties": False,
        },
    ]
}
_STATES: Final = ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]
_VERSION: Final[Schema] = {
    "type": "object",
    "properties": {"version": {"type": "string"}, "state": {"enum": _STATES}, "status": {"type": "object"}},
    "required": ["version", "state", "status"],
}
_STATUS: Final[Schema] = {
    "type": "object",
    "properties": {"model_version_status": {"type": "array", "items": _VERSION}},
    "required": ["model_version_status"],
}
_METADATA: Final[Schema] = {
    "type": "object",
    "properties": {"model_spec": {"type": "object"}, "metadata": {"type": "object"}},
    "required": ["model_spec", "metadata"],
}
_ERROR: Final[Schema] = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_REFUSED: Final = {"400": "not what the signature takes", "404": "no such model, version or label"}
_BUSY: Final = {
    "413": "a body above the limit",
    "429": "a call that needs more memory than there is",
    "503": "more requests wait than the server takes on",
}


def openapi(models: Mapping[str, Versions]) -> Schema:
    """The OpenAPI 3.1 document of a server: `GET /openapi.json`, from which clients in other languages can be made.

    TF Serving has no such route, but what it describes are TF Serving's own routes. The signatures are those of each
    model's newest version that is loaded.
    """
    paths: Schema = {}
    for name, model in models.items():
        found = model.loaded[max(model.loaded)]
        for which, about in _which(model).items():
            route = f"/v1/models/{quote(name)}{which}"
            paths[route] = {**about, "get": _got("Which versions there are, and their state.", _STATUS)}
            paths[f"{route}/metadata"] = {**about, "get": _got("The signatures.", _METADATA)}
            paths[f"{route}:predict"] = {**about, "post": _predict(found)}
    info = {"title": "tfrec serve", "version": "v1", "description": "TF Serving's REST routes."}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _which(model: Versions) -> dict[str, Schema]:
    """What may follow a model's name, and the parameters it has."""
    version, label = {"type": "integer", "minimum": 0}, {"enum": sorted(model.labels)}
    about = {"": {}, "/versions/{version}": _parameter("version", version)}
    return about | ({"/labels/{label}": _parameter("label", label)} if model.labels else {})


def _parameter(name: str, schema: Schema) -> Schema:
    return {"parameters": [{"name": name, "in": "path", "required": True, "schema": schema}]}


def _got(summary: str, schema: Schema) -> Schema:
    return {"summary": summary, "responses": {**_answers({"200": schema}), **_answers(_REFUSED)}}


def _predict(version: LoadedVersion) -> Schema:
    requests, answers = [], []
    for name, signature in version.signatures.items():
        asked, answered = _formats(signature, version.definitions[name])
        named = {"signature_name": {"const": name}}
        needs = [] if name == "serving_default" else ["signature_name"]
        requests += [
            {
                "type": "object",
                "properties": {**named, key: value},
                "required": [*needs, key],
                "not": {"required": [no]},
            }
            for (key, value), no in zip(asked.items(), ("instances", "inputs"))
        ]
        answers += [_object({key: value}, [key]) for key, value in answered.items()]
    body = {"required": True, "content": {"application/json": {"schema": {"anyOf": requests}}}}
    responses = {**_answers({"200": {"anyOf": answers}}), **_answers(_REFUSED), **_answers(_BUSY)}
    return {"summary": "Calls a signature.", "requestBody": body, "responses": responses}


def _formats(signature: Signature, definition: Any) -> tuple[Schema, Schema]:
    """What stands under `inputs` and `instances`, and under `outputs` and `predictions`."""
    outputs = {key: as_input(definition.outputs[key]) for key in signature.outputs}
    asked: Schema = {"inputs": _asked(signature.inputs, rows=False)}
    answered: Schema = {"outputs": _answered(outputs, rows=False)}
    if signature.batched:
        asked["instances"] = {"type": "array", "minItems": 1, "items": _asked(signature.inputs, rows=True)}
        answered["predictions"] = {"type": "array", "items": _answered(outputs, rows=True)}
    return asked, answered


def _asked(tensors: Mapping[str, Input], *, rows: bool) -> Schema:
    """An object of all tensors; one alone may stand without its name."""
    # an empty list says nothing of the dimensions inside it, so a column of lists holds one at least
    values = {
        name: _value(about, skip=int(rows), least=int(not rows and about.shape is not None and len(about.shape) > 1))
        for name, about in tensors.items()
    }
    whole = _object(values, list(values)) | {"additionalProperties": not rows}
    return whole if len(values) > 1 else {"anyOf": [whole, *values.values()]}


def _answered(tensors: Mapping[str, Input], *, rows: bool) -> Schema:
    """An object of all tensors; one alone stands without its name."""
    values = {name: _value(about, skip=int(rows)) for name, about in tensors.items()}
    whole = _object(values, list(values)) | {"additionalProperties": False}
    return whole if len(values) > 1 else next(iter(values.values()))


def _value(about: Input, skip: int, least: int = 0) -> Schema:
    """Nested arrays of the tensor's shape, without its first `skip` dimensions; the outermost holds `least`."""
    if about.shape is None:
        return {}
    schema = _number(about.dtype)
    for size in reversed(about.shape[skip:]):
        schema = {"type": "array", "items": schema, **({} if size is None else {"minItems": size, "maxItems": size})}
    return {**schema, "minItems": least} if least else schema


def _number(dtype: tf.DType) -> Schema:
    if dtype == tf.string:
        return _STRING
    if dtype.is_bool:
        return {"type": "boolean"}
    kind = "integer" if dtype.is_integer else "number"
    return {"type": kind, "minimum": float(dtype.min), "maximum": float(dtype.max)}


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


def _answers(of: Mapping[str, Any]) -> Schema:
    """Responses by status: a description alone is an error's."""
    told = {
        code: (of_code, _ERROR) if isinstance(of_code, str) else ("The answer.", of_code)
        for code, of_code in of.items()
    }
    return {
        code: {"description": text, "content": {"application/json": {"schema": schema}}}
        for code, (text, schema) in told.items()
    }
