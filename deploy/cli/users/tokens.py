"""Commands on the API tokens of users: ``dicom-node users token``."""

from typing import Annotated

import typer

from core.errors import ConfigurationError
from deploy.cli.common import MOST_ID, AsJson, Config, find_user_by_name, open_database, operator_name
from deploy.terminal import print_json, print_message, print_rows

app = typer.Typer(help="Make, list and revoke API tokens of users.")

COLUMNS = ("id", "user_name", "name", "scopes", "created_by", "expires_at", "last_used_at", "revoked_at")
UserName = Annotated[str, typer.Argument(metavar="USER", help="sign-in name")]
TokenName = Annotated[str, typer.Option("--name", help="what the token is for")]
Scopes = Annotated[list[str], typer.Option("--scope", help="results, operations, audit, users, upload or verdicts; may be repeated")]
Days = Annotated[int, typer.Option("--days", help="days until it expires, 366 at most")]


@app.command("add")
def token_add(user: UserName, name: TokenName, scope: Scopes, days: Days = 90, config: Config = None, as_json: AsJson = False) -> None:
    """Make a token and print it.

    It is shown only once, and stored as a hash.
    """
    from console.auth.access import UserRole
    from console.auth.scopes import scopes_for
    from db.accounts.api_tokens import add_token

    with open_database(config) as (_, database):
        found = find_user_by_name(database, user)
        offered = scopes_for(UserRole(found.role))
        if unknown := sorted(set(scope) - set(offered)):
            message = f"{', '.join(unknown)}: no scope of the role {found.role}; scopes are {', '.join(offered)}"
            raise typer.BadParameter(message, param_hint="--scope")
        token = add_token(database, found, name=name, scopes=scope, days=days, actor=operator_name())
    if as_json:
        print_json({"user": user, "name": name, "scopes": sorted(set(scope)), "days": days, "token": token})
    else:
        print(token)


@app.command("list")
def token_list(
    user: Annotated[str | None, typer.Option("--user", help="only tokens of this user", show_default=False)] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List tokens, those that are valid first."""
    from db.accounts.api_tokens import list_tokens

    with open_database(config) as (_, database):
        tokens = list_tokens(database, None if user is None else find_user_by_name(database, user))
    rows = [{name: getattr(token, name) for name in (*COLUMNS, "valid")} for token in tokens]
    print_rows(rows, COLUMNS, title="API tokens", as_json=as_json)


@app.command("revoke")
def token_revoke(id: Annotated[int, typer.Argument(metavar="ID", max=MOST_ID, help="number of the token")], config: Config = None) -> None:
    """Revoke a token.

    The next request with it is refused.
    """
    from db.accounts.api_tokens import revoke_token

    with open_database(config) as (_, database):
        if not revoke_token(database, id, user=None, actor=operator_name()):
            raise ConfigurationError(f"there is no valid token {id}", hint="see `users token list`")
    print_message(f"revoked token {id}")
