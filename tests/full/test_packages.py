"""The krew manifest and the bundle of OLM, checked by the programs of krew and OperatorHub."""

import subprocess
from pathlib import Path

from manifests import packages
from tests.docs.blocks import ROOT
from tests.judges import programs


def check(program: str, *arguments: str | Path) -> str:
    """Runs a program and returns its report."""
    done = subprocess.run(
        [programs.program(program, of="packages"), *arguments], capture_output=True, text=True
    )
    report = done.stdout + done.stderr
    assert done.returncode == 0, report
    return report


def test_krew_accepts_the_manifest_of_a_release(tmp_path: Path) -> None:
    manifest = tmp_path / "fastapi.yaml"
    manifest.write_text(packages.files(b"archive")["fastapi.yaml"])
    # It would install the archive from the page of a release.
    report = check("validate-krew-manifest", "-manifest", manifest, "-skip-install")
    assert "structural validation OK" in report
    assert "no overlapping spec.platform[].selector" in report


def test_operator_hub_finds_no_error_in_the_bundle() -> None:
    bundle = ROOT / "manifests/olm/manifests"
    options = ("--operatorhub_validate", "--object_validate")
    report = check("operator-verify", "manifests", bundle, *options)
    # It warns about kinds in the rules of roles, whose former versions Kubernetes has removed.
    assert "level=error" not in report, report
