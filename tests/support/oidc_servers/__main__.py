"""Installs the npm packages of the test providers: ``python -m tests.support.oidc_servers``."""

import sys

from tests.support.oidc_servers import install_servers

sys.stderr.write(f"providers of OpenID Connect: {install_servers()}\n")
