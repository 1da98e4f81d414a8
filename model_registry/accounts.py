"""Whom MLflow's server lets in; its accounts file names `authenticate`."""

from __future__ import annotations

from typing import Any


def authenticate() -> Any:
    """MLflow's own comparison of user and password, asked only where both are there.

    MLflow 3.17 answers an Authorization header of another kind, such as a bearer token, by an
    error of its own (500); it is a request without a password, and the answer to that is 401.

    Returns:
        Flask's `Authorization` of who is let in, or the response that is sent instead.
    """
    from flask import request
    from mlflow.server import auth

    given = request.authorization
    if given is None or given.type != "basic" or not given.username:
        return auth.make_basic_auth_response()
    return auth.authenticate_request_basic_auth()
