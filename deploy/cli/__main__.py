"""``python -m deploy.cli``: how ``up`` starts its roles, whatever is on PATH."""

from deploy.cli.main import main

if __name__ == "__main__":  # listener processes are spawned: they import this module again
    main()
