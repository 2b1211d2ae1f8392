"""The import table of the house (docs/architecture.md), proved on the syntax trees of every module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("dataspace", "consent", "wsgi")
# Inside consent: who may be imported by whom, lowest floor first.
FLOORS = [
    {"consent.terms", "consent.claims", "consent.clients", "consent.keys"},
    {"consent.purposes", "consent.subjects"},
    {"consent.records"},
    {"consent.documents"},
    {"consent.lifecycle", "consent.scenarios"},
]
# Modules of consent/oauth that wire Authlib's Flask integration, or read the request for it.
OAUTH_WITH_FLASK = {"consent.oauth.server", "consent.oauth.grants"}


def modules() -> list[Path]:
    return sorted([*ROOT.glob("dataspace/**/*.py"), *ROOT.glob("consent/**/*.py"), ROOT / "wsgi.py"])


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            if node.module.split(".")[0] in OURS:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def allowed(importer: str, imported: str) -> bool:
    """The table of floors."""
    if importer == "wsgi":
        return True
    if imported == "wsgi" or imported.startswith("wsgi."):
        return False
    if within(importer, "dataspace"):
        if within(imported, "consent"):
            return False
        return within(importer, "dataspace.web") or not within(imported, "dataspace.web")
    if within(importer, "consent.web"):
        return True
    if within(imported, "dataspace.web") or within(imported, "consent.web"):
        return False
    return within(importer, "consent.oauth") or not within(imported, "consent.oauth") or importer == "consent.worker"


def may_import_flask(importer: str) -> bool:
    return (
        importer == "wsgi"
        or within(importer, "dataspace.web")
        or within(importer, "consent.web")
        or importer in OAUTH_WITH_FLASK
    )


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_only_what_its_floor_allows(path: Path) -> None:
    importer = name_of(path)
    for imported in imports(path):
        if imported.split(".")[0] in OURS:
            assert allowed(importer, imported), f"{importer} imports {imported}"
        flask = imported.split(".")[0] in ("flask", "flask_babel", "flask_wtf", "flask_migrate", "werkzeug")
        flask = flask or imported.startswith("authlib.integrations.flask")
        assert not flask or may_import_flask(importer), f"{importer} imports {imported}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_the_floors_inside_consent_point_downwards(path: Path) -> None:
    importer = name_of(path)
    height = next((n for n, floor in enumerate(FLOORS) if importer in floor), None)
    if height is None:
        return
    above = set().union(*FLOORS[height + 1 :]) if height + 1 < len(FLOORS) else set()
    for imported in imports(path):
        assert not any(within(imported, higher) for higher in above), f"{importer} imports {imported}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_import_hides_in_a_function(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            hidden = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not hidden, f"{path}:{hidden[0].lineno}"


def test_there_is_no_cycle() -> None:
    names = {name_of(p) for p in modules()}
    graph = {name_of(p): {i for i in imports(p) if i in names} for p in modules()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_only_web_oauth_and_commands_read_the_clock(path: Path) -> None:
    importer = name_of(path)
    reads = any(i in ("dataspace.clock", "dataspace.clock.now") for i in imports(path))
    if reads:
        assert ".web" in importer or ".oauth" in importer, f"{importer} reads the clock"


@pytest.mark.parametrize("package", [*ROOT.glob("dataspace/**/__init__.py"), *ROOT.glob("consent/**/__init__.py")])
def test_a_package_init_is_its_map_and_nothing_else(package: Path) -> None:
    body = ast.parse(package.read_text("utf-8")).body
    assert len(body) == 1, package
    assert isinstance(body[0], ast.Expr), package


def test_only_one_module_imports_a_jose_library() -> None:
    users = {(name_of(p), i.split(".")[0]) for p in modules() for i in imports(p)}
    users = {user for user in users if user[1] in ("jwt", "joserfc")}
    assert users == {("dataspace.jose", "jwt"), ("dataspace.jwe", "joserfc")}
    assert not any(i.startswith("authlib.jose") for p in modules() for i in imports(p))
