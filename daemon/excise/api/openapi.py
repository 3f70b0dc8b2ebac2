"""The OpenAPI 3.1 document, built from the table of routes. Pure.

https://spec.openapis.org/oas/v3.1.0 ; its schemas are JSON Schema 2020-12, as msgspec writes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from excise import __version__
from excise.api.access import Right
from excise.api.problem import PROBLEM_JSON, Problem
from excise.api.route import Route

_REF = "#/components/schemas/{name}"
_PATTERN = re.compile(r"\{(\w+)(?::[^}]*)?\}")


def build_openapi(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document as JSON values."""
    paths: dict[str, dict[str, Any]] = {}
    for row in routes:
        operation = _operation(row)
        paths.setdefault(_PATTERN.sub(r"{\1}", row.path), {})[row.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "excise control API",
            "version": __version__,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://localhost", "description": "the control socket"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    answers = [row.answer for row in routes if not isinstance(row.answer, str)]
    _, schemas = msgspec.json.schema_components([*answers, Problem], ref_template=_REF)
    return schemas


def _operation(row: Route) -> dict[str, Any]:
    in_path = _PATTERN.findall(row.path)
    fields = [_field(field) for field in msgspec.structs.fields(row.ask)]
    operation: dict[str, Any] = {
        "summary": row.summary,
        "x-right": row.right.value,
        "parameters": [
            _parameter(name, schema, name in in_path, required)
            for name, schema, required in fields
            if name in in_path or row.method in {"GET", "DELETE"}
        ],
        "responses": _responses(row),
    }
    body = [f for f in fields if f[0] not in in_path]
    if row.method in {"PUT", "POST"} and (body or row.body != "application/json"):
        operation["requestBody"] = _body(row, body)
    if row.right is Right.NONE:
        operation["security"] = []
    else:
        operation["security"] = [{}, {"bearer": []}]
    return operation


def _field(field: msgspec.structs.FieldInfo) -> tuple[str, dict[str, Any], bool]:
    schema = msgspec.json.schema(field.type)
    if not field.required and field.default is not msgspec.NODEFAULT and field.default is not None:
        schema["default"] = field.default
    return field.encode_name, schema, field.required


def _parameter(name: str, schema: dict[str, Any], in_path: bool, required: bool) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path" if in_path else "query",
        "required": in_path or required,
        "schema": schema,
    }


def _body(row: Route, fields: list[tuple[str, dict[str, Any], bool]]) -> dict[str, Any]:
    if row.body != "application/json":
        return {"required": True, "content": {row.body: {"schema": {"type": "string"}}}}
    schema = {
        "type": "object",
        "properties": {name: schema for name, schema, _ in fields},
        "required": [name for name, _, required in fields if required],
        "additionalProperties": False,
    }
    return {
        "required": any(required for _, _, required in fields),
        "content": {"application/json": {"schema": schema}},
    }


def _responses(row: Route) -> dict[str, Any]:
    if isinstance(row.answer, str):
        content: dict[str, Any] = {row.answer: {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": _ref(row.answer)}}
    failed = {PROBLEM_JSON: {"schema": _ref(Problem)}}
    return {
        str(row.status.value): {"description": row.summary, "content": content},
        "default": {"description": "A problem document (RFC 9457)", "content": failed},
    }


def _ref(answer: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=answer.__name__)}
