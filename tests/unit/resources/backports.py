"""Programs that this Debian release has among its backports alone: unpacked, not installed."""

import contextlib
import shutil
from pathlib import Path

from tests.cluster import execution
from tests.unpacked import unpacked

# One package has the programs, the other their names as servers.
VALKEY = ("valkey-tools", "valkey-server")


def valkey() -> Path:
    """The folder with Valkey's programs, of this machine or unpacked into the cache.

    Raises:
        ClusterError: The system is not Debian, or the package is not on its mirror.
    """
    installed = shutil.which("valkey-server")
    if installed:
        return Path(installed).parent
    return unpacked("valkey", _download) / "usr/bin"


def _download(folder: Path) -> None:
    """Downloads with lists of its own, from the mirror that apt uses anyhow."""
    targets = execution.output_of(
        ("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages")
    )
    mirrors = {codename: site for site, codename in map(str.split, targets.splitlines())}
    release = _codename()
    sources = folder / "sources.list"
    sources.write_text(f"deb {mirrors[release]} {release}-backports main\n")
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "archives/partial").mkdir(parents=True)
    apart = (
        f"-oDir::Etc::SourceList={sources}",
        "-oDir::Etc::SourceParts=-",
        f"-oDir::State::Lists={folder / 'lists'}",
        f"-oDir::Cache={folder}",
        "-oAPT::Sandbox::User=root",
    )
    execution.output_of(("apt-get", *apart, "update"))
    # apt-get downloads into the working directory.
    with contextlib.chdir(folder):
        execution.output_of(("apt-get", *apart, "download", *VALKEY))


def _codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)["VERSION_CODENAME"]
