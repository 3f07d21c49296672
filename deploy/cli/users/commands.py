"""Commands on the users of the console."""

import sys
from typing import Annotated

import typer

from core.errors import ConfigurationError
from deploy.cli.common import AsJson, Config, find_user_by_name, open_database, operator_name
from deploy.cli.users import tokens
from deploy.terminal import print_json, print_message, print_rows

app = typer.Typer(help="Add, invite, list and disable users of the console.")
app.add_typer(tokens.app, name="token")

COLUMNS = ("name", "role", "second_factor", "created_at", "disabled_at")
Name = Annotated[str, typer.Argument(metavar="NAME", help="sign-in name")]
RoleOption = Annotated[str, typer.Option("--role", help="viewer, clinician, operator, auditor or admin")]
FromInput = Annotated[bool, typer.Option("--password-stdin", help="read the password from standard input instead of asking for it")]


def _checked_role(role: str) -> str:
    from console.auth.access import UserRole

    if role not in set(UserRole):
        raise typer.BadParameter(f"{role!r} is not a role; roles are {', '.join(UserRole)}", param_hint="--role")
    return role


def _password(from_input: bool) -> str:
    from console.auth.credentials.passwords import SHORTEST

    if from_input:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise ConfigurationError("there is no terminal to ask for the password", hint="run it on a terminal, or add --password-stdin")
    return str(typer.prompt(f"Password ({SHORTEST} characters or more)", hide_input=True, confirmation_prompt=True, err=True))


@app.command("add")
def users_add(name: Name, role: RoleOption, config: Config = None, password_stdin: FromInput = False) -> None:
    """Add a user.

    The password is read from the terminal.
    """
    from console.auth.credentials.passwords import hash_password
    from db.accounts.users import add_user, check_name

    role = _checked_role(role)
    check_name(name)
    with open_database(config) as (_, database):
        hashed = hash_password(_password(password_stdin))
        add_user(database, name=name, role=role, password_hash=hashed, actor=operator_name())
    print_message(f"added {name} ({role})")


@app.command("invite")
def users_invite(name: Name, role: RoleOption, config: Config = None, as_json: AsJson = False) -> None:
    """Create a link for the registration of a user.

    It can be used once within three days.
    """
    from console.server.address import public_address
    from db.accounts.invitations import invite_user

    role = _checked_role(role)
    with open_database(config) as (settings, database):
        token = invite_user(database, name=name, role=role, actor=operator_name())
        link = f"{public_address(settings.console)}/invitations/{token}"
    if as_json:
        print_json({"name": name, "role": role, "link": link})
    else:
        print(link)


@app.command("link")
def users_link(name: Name, config: Config = None, as_json: AsJson = False) -> None:
    """Create a link that signs a user in once.

    It needs no password and is valid for 15 minutes. A second factor is still asked for.
    """
    from console.server.address import public_address
    from db.accounts.sign_in_links import make_sign_in_link

    with open_database(config) as (settings, database):
        token = make_sign_in_link(database, find_user_by_name(database, name), actor=operator_name())
        link = f"{public_address(settings.console)}/sign-in/link/{token}"
    if as_json:
        print_json({"name": name, "link": link})
    else:
        print(link)


@app.command("list")
def users_list(config: Config = None, as_json: AsJson = False) -> None:
    """List the users."""
    from db.accounts.users import list_users

    with open_database(config) as (_, database):
        users = list_users(database)
    rows = [
        {
            "name": user.name,
            "role": user.role,
            "second_factor": user.has_second_factor,
            "created_at": user.created_at.isoformat(),
            "disabled_at": None if user.disabled_at is None else user.disabled_at.isoformat(),
        }
        for user in users
    ]
    print_rows(rows, COLUMNS, title="users", as_json=as_json)


@app.command("disable")
def users_disable(name: Name, config: Config = None) -> None:
    """Disable a user.

    The sessions, sign-in links and API tokens of the user end immediately.
    """
    from db.accounts.users import disable_user

    with open_database(config) as (_, database):
        disable_user(database, find_user_by_name(database, name).id, actor=operator_name())
    print_message(f"disabled {name}")


@app.command("password")
def users_password(name: Name, config: Config = None, password_stdin: FromInput = False) -> None:
    """Set a new password.

    The sessions, sign-in links and API tokens of the user end immediately.
    """
    from console.auth.credentials.passwords import hash_password
    from db.accounts.users import set_password

    with open_database(config) as (_, database):
        id = find_user_by_name(database, name).id
        set_password(database, id, hash_password(_password(password_stdin)), actor=operator_name())
    print_message(f"password of {name} set")


@app.command("remove-second-factor")
def users_remove_second_factor(name: Name, config: Config = None) -> None:
    """Remove the second factor of a user who has lost it.

    The user signs in with the password alone until a new one is set up on the account page.
    """
    from db.accounts.users import remove_second_factor

    with open_database(config) as (_, database):
        remove_second_factor(database, find_user_by_name(database, name).id, actor=operator_name())
    print_message(f"second factor of {name} removed")
