"""Each file in tests/unit has the name of a module, or CONTRIBUTING.md names its subject."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "tests/unit"


def _modules(folder: str) -> set[str]:
    """Returns the names of the modules and packages in a folder of the operator."""
    found = (ROOT / "operator/fastapi_operator" / folder).rglob("*")
    return {path.stem for path in found if path.suffix == ".py" or path.is_dir()}


def _listed() -> set[str]:
    """Returns the files and folders in CONTRIBUTING's table; a name follows its folder."""
    listed: set[str] = set()
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index("| file in `tests/unit` |") :]
    for row in re.findall(r"^ *\| (`[^|]*`) \|", table, flags=re.MULTILINE):
        folder = ""
        for name in re.findall(r"`([^`]+)`", row):
            folder = folder if "/" not in name else name.rpartition("/")[0]
            path = f"{folder}/{name.rpartition('/')[2]}"
            listed.add(path.removeprefix("/"))
    return listed


def test_a_unit_test_has_the_name_of_its_module_or_is_in_contributing() -> None:
    listed = _listed()
    for path in UNIT.rglob("test_*.py"):
        folder = path.parent.relative_to(UNIT).as_posix()
        name = path.stem.removeprefix("test_")
        named = any(name == module or name.startswith(f"{module}_") for module in _modules(folder))
        assert named or {path.relative_to(UNIT).as_posix(), f"{folder}/"} & listed, (
            path.relative_to(ROOT)
        )


def test_contributing_lists_only_unit_tests_that_exist() -> None:
    assert [name for name in _listed() if not (UNIT / name).exists()] == []
