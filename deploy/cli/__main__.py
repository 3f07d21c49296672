"""``python -m deploy.cli``: how ``up`` starts its roles, whatever is on PATH."""

from deploy.cli.main import main

main()
