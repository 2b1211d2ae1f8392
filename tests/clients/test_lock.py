"""The lock file says what is installed, byte by byte, and not from where."""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parent


def test_versions_are_exact_and_locked() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text("utf-8"))["dependencies"]
    locked = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))["packages"]
    assert wanted == {name: locked[f"node_modules/{name}"]["version"] for name in wanted}
    packages = {name: entry for name, entry in locked.items() if name}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not [name for name, entry in packages.items() if "resolved" in entry]


def test_npm_is_told_of_no_registry() -> None:
    assert not re.search(r"^\S*registry\s*=", (FOLDER / ".npmrc").read_text("utf-8"), flags=re.M)
