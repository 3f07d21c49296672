"""Users under /api/v1, for administrators."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from console.api.description import API_ROUTES
from console.api.replies.study_resources import Resource
from console.auth.access import UserRole
from console.auth.guard import Accounts, AsViewer
from console.parameters import RowId
from core.errors import ConfigurationError
from db.accounts.invitations import VALID_S, invite_user
from db.accounts.users import LONGEST_NAME, disable_user, enable_user, find_user, get_user, list_users, set_role


class UserEntry(Resource):
    """A user of the console."""

    id: int
    name: str
    role: UserRole
    has_second_factor: bool
    created_at: datetime
    disabled_at: datetime | None


class NewUser(BaseModel):
    """A person who is invited."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[!-~]([ -~]*[!-~])?$", description="Sign-in name, ASCII")
    role: UserRole


class InvitationLink(BaseModel):
    """A link with which the invited person registers once."""

    link: str
    valid_s: int


class NewRole(BaseModel):
    """The role that a user gets."""

    role: UserRole


def build_router(accounts: Accounts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1/users", tags=["users"], **API_ROUTES)
    database = accounts.database

    def _user(user_id: int) -> UserEntry:
        found = get_user(database, user_id)
        if found is None:
            raise HTTPException(404, f"there is no user {user_id}")
        return UserEntry.model_validate(found)

    @routes.get("", summary="Users")
    def users() -> list[UserEntry]:
        """Return every user by name, disabled ones last."""
        return [UserEntry.model_validate(user) for user in list_users(database)]

    @routes.post("/invitations", status_code=201, summary="Invite a user")
    def invite(new: NewUser, viewer: AsViewer) -> InvitationLink:
        """Make a link with which a person registers; an older link for the same name is no longer valid."""
        if find_user(database, new.name) is not None:
            raise HTTPException(409, f"there is a user {new.name} already")
        token = invite_user(database, name=new.name, role=new.role, actor=viewer.actor)
        return InvitationLink(link=f"{accounts.public_url}/invitations/{token}", valid_s=VALID_S)

    @routes.put("/{user_id}/role", summary="Give a user another role")
    def change_role(user_id: RowId, new: NewRole, viewer: AsViewer) -> UserEntry:
        """Set the role; it holds from the next request of the user on."""
        _user(user_id)
        with _conflict():
            set_role(database, user_id, new.role, actor=viewer.actor)
        return _user(user_id)

    @routes.post("/{user_id}/disable", summary="Disable a user")
    def disable(user_id: RowId, viewer: AsViewer) -> UserEntry:
        """Disable a user; sessions and tokens are no longer valid."""
        _user(user_id)
        with _conflict():
            disable_user(database, user_id, actor=viewer.actor)
        return _user(user_id)

    @routes.post("/{user_id}/enable", summary="Let a disabled user sign in again")
    def enable(user_id: RowId, viewer: AsViewer) -> UserEntry:
        """Enable a user."""
        _user(user_id)
        enable_user(database, user_id, actor=viewer.actor)
        return _user(user_id)

    return routes


@contextmanager
def _conflict() -> Iterator[None]:
    """Answer 409 where the change would leave no administrator."""
    try:
        yield
    except ConfigurationError as error:
        raise HTTPException(409, str(error)) from error
