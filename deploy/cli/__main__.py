"""``python -m deploy.cli``: ``up`` starts its roles with this, so that they do not depend on PATH."""

from deploy.cli.main import main

if __name__ == "__main__":  # listener processes are spawned and import this module again
    main()
