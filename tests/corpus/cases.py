"""Labelled valid and invalid services, by section of the spec.

Each file is a list of cases. ``stage`` is the validation that refuses the service: ``schema`` (one
field), ``rule`` (several fields), ``plan`` (derived numbers), or ``none``. ``path`` is the field
that the refusal must name. A case has ``spec``, to which ``image`` is added, or ``body``, a whole
object.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi_operator.api.documents import read_documents

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One labelled service."""

    name: str
    body: dict[str, Any]
    stage: str
    path: str

    @property
    def spec(self) -> Any:
        return self.body.get("spec")


def read(file: Path) -> list[Case]:
    (document,) = read_documents(file.read_text())
    return [_case(file.stem, entry) for entry in document.body]


def _case(section: str, entry: dict[str, Any]) -> Case:
    assert entry.keys() <= {"case", "spec", "body", "stage", "path"}, entry
    body = entry.get("body") or {
        "apiVersion": "fastapi-operator.io/v1alpha1",
        "kind": "FastAPIService",
        "metadata": {"name": "shop"},
        "spec": {"image": "registry.example.com/shop:1", **entry["spec"]},
    }
    stage = entry.get("stage", "none")
    assert (stage == "none") == ("path" not in entry), entry
    return Case(f"{section}: {entry['case']}", body, stage, entry.get("path", ""))


CASES = [case for file in sorted(HERE.glob("*.yaml")) for case in read(file)]
