"""Writes the archive of the command, and a krew manifest and a Homebrew formula with its digest.

    python -m manifests.packages FOLDER

The archive is the same for all platforms: a start script, the wheel and the locked dependencies,
which the first run installs.
"""

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from manifests.generate import documents

ROOT = Path(__file__).resolve().parents[1]
_SYSTEMS = ("linux", "darwin")
_ARCHIVE = "kubectl-fastapi.tar.gz"
_COMMAND = "kubectl-fastapi"
_FORMULA = """\
class FastapiOperator < Formula
  desc "{description}"
  homepage "{home}"
  version "{version}"
  license "Apache-2.0"
  url "{url}"
  sha256 "{digest}"

  depends_on "python@3.13"

  def install
    libexec.install Dir["*"]
    python = Formula["python@3.13"].opt_bin/"python3.13"
    ["kubectl-fastapi", "fastapi-operator"].each do |name|
      (bin/name).write_env_script libexec/"kubectl-fastapi", FASTAPI_OPERATOR_PYTHON: python
    end
  end

  test do
    assert_predicate bin/"kubectl-fastapi", :executable?
  end
end
"""


def files(archive: bytes) -> Mapping[str, str]:
    """Returns the manifest and the formula of an archive, by name."""
    chart = yaml.safe_load((ROOT / "charts/fastapi-operator/Chart.yaml").read_text())
    digest = hashlib.sha256(archive).hexdigest()
    url = f"{chart['home']}/releases/download/v{chart['version']}/{_ARCHIVE}"
    formula = _FORMULA.format(
        description=chart["description"],
        home=chart["home"],
        version=chart["version"],
        url=url,
        digest=digest,
    )
    manifest = documents.dump([_krew(chart, url, digest)])
    return {"fastapi.yaml": manifest, "fastapi-operator.rb": formula}


def archive(wheel: Path) -> bytes:
    """Returns the archive with a wheel; the same bytes for the same files."""
    _, version, _ = wheel.name.split("-", 2)
    contents = {
        _COMMAND: (ROOT / "manifests/kubectl-fastapi.sh").read_bytes(),
        "VERSION": f"{version}\n".encode(),
        "requirements.txt": (ROOT / "requirements/operator.txt").read_bytes(),
        wheel.name: wheel.read_bytes(),
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{_COMMAND}/{name}")
            member.size, member.mode = len(content), 0o755 if name == _COMMAND else 0o644
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def _krew(chart: Mapping[str, Any], url: str, digest: str) -> dict[str, Any]:
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "fastapi"},
        "spec": {
            "version": f"v{chart['version']}",
            "homepage": chart["home"],
            "shortDescription": "Deploy, explain and inspect FastAPI services",
            "description": f"{chart['description']}.\n",
            "caveats": "Needs Python 3.11 or newer. The first run installs the dependencies.\n",
            "platforms": [
                {
                    "selector": {"matchLabels": {"os": system}},
                    "uri": url,
                    "sha256": digest,
                    "files": [{"from": f"{_COMMAND}/*", "to": "."}],
                    "bin": _COMMAND,
                }
                for system in _SYSTEMS
            ],
        },
    }


def main() -> None:
    """Builds the wheel, and writes the three files."""
    folder = Path(sys.argv[1])
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(ROOT / "build")]
    subprocess.run(build, check=True, cwd=ROOT)  # noqa: S603
    (wheel,) = (ROOT / "build").glob("fastapi_operator-*.whl")
    packed = archive(wheel)
    (folder / _ARCHIVE).write_bytes(packed)
    for name, text in files(packed).items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
