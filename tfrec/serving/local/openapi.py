"""Describes the REST routes as an OpenAPI document, generated from the signatures of the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import tensorflow as tf

from tfrec import schema
from tfrec.serving.local.inputs import Input
from tfrec.serving.local.loaded_version import LoadedVersion, Signature, as_input
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
_REFUSED: Final = {
    "400": "the request does not fit the signature",
    "401": "the request has no token that the server knows",
    "403": "the Host is not the server's",
    "404": "no such model, version or label",
}
_BUSY: Final = {
    "408": "the body does not come",
    "413": "the body exceeds the limit",
    "429": "the call needs more memory than is available",
    "503": "too many requests are waiting",
}


def openapi(models: Mapping[str, Versions]) -> Schema:
    """The OpenAPI 3.1 document of a server, from which clients in other languages can be generated.

    It is served as `GET /openapi.json`. TF Serving has no such route, but the routes described are those of TF Serving.
    The signatures are those of the newest loaded version of each model.
    """
    paths: Schema = {}
    for name, model in models.items():
        newest = model.loaded[max(model.loaded)]
        for suffix, about in _version_suffixes(model).items():
            route = f"/v1/models/{quote(name)}{suffix}"
            paths[route] = {**about, "get": _get("The versions and their states.", _STATUS)}
            paths[f"{route}/metadata"] = {**about, "get": _get("The signatures.", _METADATA)}
            paths[f"{route}:predict"] = {**about, "post": _predict(newest)}
            if schema.SIGNATURE_EXPLAIN in newest.signatures:
                paths[f"{route}:explain"] = {**about, "post": _explain(newest)}
    info = {"title": "tfrec serve", "version": "v1", "description": "TF Serving's REST routes."}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _version_suffixes(model: Versions) -> dict[str, Schema]:
    """Suffixes of a model's route that choose a version, with their path parameters."""
    version, label = {"type": "integer", "minimum": 0}, {"enum": sorted(model.labels)}
    about = {"": {}, "/versions/{version}": _parameter("version", version)}
    return about | ({"/labels/{label}": _parameter("label", label)} if model.labels else {})


def _parameter(name: str, schema: Schema) -> Schema:
    return {"parameters": [{"name": name, "in": "path", "required": True, "schema": schema}]}


def _get(summary: str, schema: Schema) -> Schema:
    return {"summary": summary, "responses": {**_responses({"200": schema}), **_responses(_REFUSED)}}


def _predict(version: LoadedVersion) -> Schema:
    needs_no_name = [schema.SIGNATURE_DEFAULT]
    return _call("Calls a signature.", version, list(version.signatures), needs_no_name)


def _explain(version: LoadedVersion) -> Schema:
    names = [schema.SIGNATURE_EXPLAIN]
    return _call("Says why items have their scores.", version, names, needs_no_name=names)


def _call(summary: str, version: LoadedVersion, names: Sequence[str], needs_no_name: Sequence[str]) -> Schema:
    """A request to one of the named signatures, and its answer."""
    requests, answers = [], []
    for name in names:
        requested, answered = _formats(version.signatures[name], version.definitions[name])
        signature_name = {"signature_name": {"const": name}}
        required = [] if name in needs_no_name else ["signature_name"]
        requests += [
            {
                "type": "object",
                "properties": {**signature_name, key: value},
                "required": [*required, key],
                "not": {"required": [other]},
            }
            for (key, value), other in zip(requested.items(), ("instances", "inputs"))
        ]
        answers += [_object({key: value}, [key]) for key, value in answered.items()]
    body = {"required": True, "content": {"application/json": {"schema": {"anyOf": requests}}}}
    responses = {**_responses({"200": {"anyOf": answers}}), **_responses(_REFUSED), **_responses(_BUSY)}
    return {"summary": summary, "requestBody": body, "responses": responses}


def _formats(signature: Signature, definition: Any) -> tuple[Schema, Schema]:
    """Schemas of `inputs` and `instances` in a request, and of `outputs` and `predictions` in an answer."""
    outputs = {key: as_input(definition.outputs[key]) for key in signature.outputs}
    requested: Schema = {"inputs": _request_schema(signature.inputs, rows=False)}
    answered: Schema = {"outputs": _answer_schema(outputs, rows=False)}
    if signature.batched:
        requested["instances"] = {"type": "array", "minItems": 1, "items": _request_schema(signature.inputs, rows=True)}
        answered["predictions"] = {"type": "array", "items": _answer_schema(outputs, rows=True)}
    return requested, answered


def _request_schema(tensors: Mapping[str, Input], *, rows: bool) -> Schema:
    """Schema of an object with all tensors; a single tensor may also be given without its name."""
    # An empty list does not show the dimensions inside it, so a column of lists needs at least one entry.
    values = {
        name: _value(about, skip=int(rows), least=int(not rows and about.shape is not None and len(about.shape) > 1))
        for name, about in tensors.items()
    }
    whole = _object(values, list(values)) | {"additionalProperties": not rows}
    return whole if len(values) > 1 else {"anyOf": [whole, *values.values()]}


def _answer_schema(tensors: Mapping[str, Input], *, rows: bool) -> Schema:
    """Schema of an object with all tensors; a single tensor is given without its name."""
    values = {name: _value(about, skip=int(rows)) for name, about in tensors.items()}
    whole = _object(values, list(values)) | {"additionalProperties": False}
    return whole if len(values) > 1 else next(iter(values.values()))


def _value(about: Input, skip: int, least: int = 0) -> Schema:
    """Schema of nested arrays with the shape of a tensor, without its first `skip` dimensions.

    Args:
        about: Dtype and shape of the tensor.
        skip: Leading dimensions to leave out.
        least: Fewest entries of the outermost array.
    """
    if about.shape is None:
        return {}
    schema = _scalar(tf.dtypes.as_dtype(about.dtype))
    for size in reversed(about.shape[skip:]):
        schema = {"type": "array", "items": schema, **({} if size is None else {"minItems": size, "maxItems": size})}
    return {**schema, "minItems": least} if least else schema


def _scalar(dtype: tf.DType) -> Schema:
    if dtype == tf.string:
        return _STRING
    if dtype.is_bool:
        return {"type": "boolean"}
    kind = "integer" if dtype.is_integer else "number"
    return {"type": kind, "minimum": float(dtype.min), "maximum": float(dtype.max)}


def _object(properties: Schema, required: list[str]) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


def _responses(contents: Mapping[str, Any]) -> Schema:
    """Responses by status.

    Args:
        contents: For each status the schema of the answer, or, for an error, its description.
    """
    described = {
        code: (content, _ERROR) if isinstance(content, str) else ("The answer.", content)
        for code, content in contents.items()
    }
    return {
        code: {"description": text, "content": {"application/json": {"schema": schema}}}
        for code, (text, schema) in described.items()
    }
