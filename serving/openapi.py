"""The OpenAPI document of a running server, with an example that the live version takes."""

from __future__ import annotations

from typing import Any

from serving.engine import Engine
from serving.limits import BODY_BYTES, DEADLINE_SECONDS, LENGTH, ROWS
from serving.protocol import FORMS, Shape

ERRORS = {
    "400": "no JSON, none of the forms, nested too deep, or a foreign Host",
    "401": "the bearer token is missing or wrong",
    "408": "the body came too slowly",
    "413": f"over {BODY_BYTES} bytes or {ROWS} rows",
    "415": "the content is not application/json",
    "422": "a row that is no input; `field` and `row` say which",
    "503": f"more waits than can be answered within {DEADLINE_SECONDS:g} s; see Retry-After",
}
GETS = {
    "/v2/health/live": "The process answers.",
    "/v2/health/ready": "A version is live; also says if it is stale, what was refused and why.",
    "/v2/models/{name}": "What the model takes and gives.",
    "/ping": "As MLflow's server answers it.",
    "/version": "MLflow's version, for its clients.",
    "/metrics": "For Prometheus.",
}


def document(name: str, live: Engine | None) -> dict[str, Any]:
    """The document.

    Args:
        name: The model's.
        live: Gives columns and classes, where there is a version.
    """
    shape = live.shape if live else Shape("text", ("text",))
    paths: dict[str, Any] = {
        path.replace("{name}", name): {"get": {"summary": said, "responses": _ok("as it says")}}
        for path, said in GETS.items()
    }
    paths["/invocations"] = {"post": _operation("MLflow's scoring protocol", _request(shape), live)}
    infer = {"type": "object", "required": ["inputs"]}
    paths[f"/v2/models/{name}/infer"] = {
        "post": _operation("The open inference protocol", {"schema": infer}, live)
    }
    paths["/refresh"] = {
        "post": {
            "summary": "Look at the ledger now (a webhook's target); needs the token.",
            "responses": {"202": {"description": "looking"}},
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Nocturne: {name}",
            "version": live.version if live else "none",
            "description": f"At most {ROWS} rows a request, {LENGTH} words or steps a row.",
        },
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def example(shape: Shape) -> dict[str, Any]:
    """A request that the live version takes."""
    if shape.kind == "text":
        return {"dataframe_records": [{shape.columns[0]: "my parcel never came"}]}
    if len(shape.columns) > 1 or shape.channels == 1:
        return {"dataframe_records": [{name: [0.1, 0.2, 0.3] for name in shape.columns}]}
    step = [0.1] * shape.channels
    return {"dataframe_records": [{shape.columns[0]: [step, step]}]}


def _operation(summary: str, request: dict[str, Any], live: Engine | None) -> dict[str, Any]:
    classes = list(live.classes) if live else []
    errors = {status: {"description": said} for status, said in ERRORS.items()}
    return {
        "summary": summary,
        "description": f"Classes: {', '.join(classes) or 'none yet'}.",
        "requestBody": {"required": True, "content": {"application/json": request}},
        "responses": {**_ok("answers, with `model_version` in body and header"), **errors},
    }


def _request(shape: Shape) -> dict[str, Any]:
    forms = [{"type": "object", "required": [form], "title": form} for form in FORMS]
    return {"schema": {"oneOf": forms}, "example": example(shape)}


def _ok(said: str) -> dict[str, Any]:
    return {"200": {"description": said}}
