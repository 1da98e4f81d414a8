"""The account by which MLflow's server lets in whom NOCTURNE_UP_USER names.

MLflow takes the administrator's password from the environment once, when it makes the account,
and never again: who changed the setting would still be let in by the old one.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from infra.platform.access import Access, kept_secret
from infra.platform.parts import PROBE_SECONDS

FILE = "accounts.db"


class AccountRefused(RuntimeError):
    """MLflow does not let in whom it should; the message says what to do."""


def prepared(folder: Path, access: Access) -> dict[str, str]:
    """Write the settings of the accounts; returns the variables that point to them."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = {
        "default_permission": "READ",
        "database_uri": f"sqlite:///{folder / FILE}",
        "admin_username": access.user,
        "authorization_function": "model_registry.accounts:authenticate",
        "grant_default_workspace_access": "false",
        "auth_cache_ttl_seconds": "60",  # a comparison takes half a second of processor time
    }
    written = "".join(f"{name} = {value.replace('%', '%%')}\n" for name, value in lines.items())
    file = folder / "accounts.ini"
    file.write_text(f"[mlflow]\n{written}", "utf-8")
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(file),
        "MLFLOW_AUTH_ADMIN_USERNAME": access.user,
        "MLFLOW_AUTH_ADMIN_PASSWORD": access.password.get_secret_value(),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": kept_secret(folder / "form-key"),
    }


def let_in(folder: Path, access: Access) -> None:
    """Give an account that is there already the password that is set now."""
    file = folder / FILE
    if not file.is_file():
        file.touch(mode=0o600)  # MLflow makes the rest
        return
    import sqlalchemy as sa
    from werkzeug.security import check_password_hash, generate_password_hash

    password = access.password.get_secret_value()
    engine = sa.create_engine(f"sqlite:///{file}")
    users = sa.table("users", sa.column("username"), sa.column("password_hash"))
    try:
        with engine.begin() as connection:
            if not sa.inspect(connection).has_table("users"):
                return
            mine = users.c.username == access.user
            had = connection.execute(sa.select(users.c.password_hash).where(mine)).scalar()
            if had is not None and not check_password_hash(had, password):
                made = generate_password_hash(password)
                connection.execute(sa.update(users).where(mine).values(password_hash=made))
    finally:
        engine.dispose()


def refuse_foreign(url: str, access: Access) -> None:
    """See that the server lets in whom it should, and with a password nobody else.

    Raises:
        AccountRefused: it does not.
    """
    if not access.asks:
        return
    asked = f"{url}/api/2.0/mlflow/experiments/get?experiment_id=0"
    let, foreign = (_status(asked, header) for header in (access.basic, ""))
    if let == 401 or foreign != 401:
        raise AccountRefused(
            f"MLflow at {url} answers {let} with NOCTURNE_UP_PASSWORD and {foreign} without, where "
            f"it should answer 200 and 401; look at the account {access.user!r}"
        )


def _status(url: str, authorization: str) -> int:
    headers = {"Authorization": authorization} if authorization else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=4 * PROBE_SECONDS) as answer:  # noqa: S310 - ours
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
