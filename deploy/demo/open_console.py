"""The end of the demo on a terminal: the console stays open on the demo's studies until Ctrl-C."""

import time
from secrets import token_urlsafe

from console.auth.access import UserRole
from console.auth.credentials.passwords import hash_password
from console.server.address import public_address
from core.settings.settings import Settings
from db.accounts.sign_in_links import make_sign_in_link
from db.accounts.users import add_user, find_user
from db.engine import Database
from deploy.demo.node import DemoNode
from deploy.local.node_lock import running_servers
from deploy.terminal import print_message

USER = "demo"
LINK_VALID_S = 8 * 3600.0
POLL_S = 0.5


def keep_console_open(node: DemoNode) -> None:
    """Print the address of the console and a link that signs in once; return after Ctrl-C, or when the node has ended."""
    servers = running_servers(node.settings.node.data_dir)
    if servers is None:
        return
    with Database.open(servers.database, pool_size=1) as database:
        token = _sign_in_token(database)
    link = f"{console_url(node.settings)}/sign-in/link/{token}"
    print_message(f"\nThe console is open on these studies: {console_url(node.settings)}")
    print_message(f"Sign in once as {USER} (administrator): {link}")
    try:
        print_message("Ctrl-C ends the demo.")
        while node.is_alive():
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        print_message("\nstopping ...")


def console_url(settings: Settings) -> str:
    """Return the address of the console."""
    return public_address(settings.console)


def _sign_in_token(database: Database) -> str:
    """Add the administrator of the demo, whose password is not known to anyone, and return the token of a sign-in link."""
    if find_user(database, USER) is None:
        add_user(database, name=USER, role=UserRole.ADMIN, password_hash=hash_password(token_urlsafe(32)), actor="demo")
    user = find_user(database, USER)
    assert user is not None
    return make_sign_in_link(database, user, actor="demo", valid_s=LINK_VALID_S)
