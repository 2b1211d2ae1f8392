"""The README is true: what it tells to paste works, what it names exists.

A comment before a block says what is done with it: ``test: run`` (a shell block), ``test: save FILE``,
``test: start`` (the third party of the README, in the background), ``test: answer`` (what the last one printed, where
"…" stands for any text) and ``test: after withdrawal``. Ports and folders are replaced, nothing else.
"""

import json
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from examples.actors import Person
from tests.documents import BLOCK, DOCUMENTS, README, README_ZH, ROOT, Block, anchors, blocks, rows
from tools import demonstration, picture
from tools.demonstration import Demonstration
from tools.processes import Processes, free_port


def marked(path: Path) -> list[Block]:
    return [block for block in blocks(path) if block.mark]


# What the README tells to paste


@dataclass
class Desk:
    """Where the README's blocks are pasted. ``said``: what the last one printed; ``app``: the third party."""

    demo: Demonstration
    folder: Path
    person: Person
    said: str = ""
    app: "subprocess.Popen[str] | None" = None

    def __post_init__(self) -> None:
        self.callback = f"http://localhost:{free_port()}"
        client = ROOT / "examples/first_client.toml"
        (self.folder / "first_client.toml").write_text(self.here(client.read_text("utf-8")), "utf-8")

    def here(self, text: str) -> str:
        """``text`` with the ports and folders of this test."""
        for written, ours in {
            "http://localhost:8000": self.demo.issuer,
            "http://localhost:9000": self.callback,
            "examples/first_client.toml": str(self.folder / "first_client.toml"),
            "var/demo.env": str(self.demo.folder / "demo.env"),
            "var/my-app": str(self.folder / "my-app"),
            ".venv/bin/": f"{Path(sys.executable).parent}/",
        }.items():
            text = text.replace(written, ours)
        return text

    def do(self, block: Block) -> None:
        """Do with a block what its mark says."""
        verb, _space, argument = block.mark.partition(" ")
        if block.mark == "after withdrawal":
            self.withdraw()
            assert like(json.loads(block.text), json.loads(self.said)), self.said
        elif verb == "answer":
            assert like(json.loads(block.text), json.loads(self.said)), self.said
        elif verb == "save":
            Path(self.here(argument)).write_text(self.here(block.text), "utf-8")
        elif verb == "run":
            command = ["bash", "-euo", "pipefail", "-c", self.here(block.text)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            self.said = done.stdout
        else:
            assert verb == "start", block.mark
            self.start(shlex.split(self.here(block.text)))

    def start(self, command: list[str]) -> None:
        """Start the third party, and do the person's part in a browser."""
        self.app = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.app.stdout is not None
        address = self.app.stdout.readline().rpartition(" ")[2].strip()
        assert address.startswith(f"{self.demo.issuer}/authorize?"), address
        self.person.browser.open(address)
        self.person.enrol(self.person.page.url.partition("next=")[2].replace("%2F", "/"))
        self.person.decide()
        assert self.person.page.url.startswith(self.callback), self.person.page.text
        self.said = self.printed()

    def printed(self) -> str:
        """The JSON document that the third party prints next."""
        assert self.app is not None
        assert self.app.stdout is not None
        lines = []
        for line in self.app.stdout:
            lines.append(line)
            if line == "}\n":
                return "".join(lines[lines.index("{\n") :])
        raise AssertionError("".join(lines))

    def withdraw(self) -> None:
        """Stop the authorization as the README says, then press Enter."""
        assert self.app is not None
        assert self.app.stdin is not None
        self.person.authorization()
        self.person.stop()
        self.app.stdin.write("\n")
        self.app.stdin.flush()
        self.said = self.printed()

    def leave(self) -> int:
        """End the input of the third party; its exit status."""
        assert self.app is not None
        self.app.communicate(timeout=10)
        return self.app.returncode


def like(expected: Any, found: Any) -> bool:
    """Whether ``found`` is what was written down, where "…" stands for any text or object."""
    if expected == "…":
        return bool(found)
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and list(expected) == list(found)
            and all(like(expected[k], found[k]) for k in found)
        )
    if isinstance(expected, list):
        return isinstance(found, list) and len(expected) == len(found) and all(map(like, expected, found))
    return bool(expected == found)


@pytest.fixture
def desk(tmp_path: Path, server_url: str | None) -> Iterator[Desk]:
    """`make run` on free ports, and an empty folder."""
    if server_url is not None:
        pytest.skip("the README speaks of SQLite")
    demo = demonstration.at(tmp_path / "var", free_port(), free_port())
    demonstration.prepare(demo)
    codes = {person.name: person.code or "" for person in demonstration.people(demo)}
    with Processes(demonstration.commands(demo, workers=1), tmp_path / "processes.log"):
        desk = Desk(demo, tmp_path, Person("陈嘉怡", codes["陈嘉怡"], demo.issuer))
        yield desk
        desk.person.browser.http.close()
        if desk.app is not None:
            desk.app.kill()


@pytest.mark.skipif(not shutil.which("curl"), reason="the README uses curl")
def test_what_the_readme_tells_to_paste_works(desk: Desk) -> None:
    for block in marked(README):
        desk.do(block)
    assert desk.leave() == 0


def test_both_readmes_tell_to_paste_the_same() -> None:
    assert len(marked(README)) >= 8
    assert marked(README_ZH) == marked(README)
    commands = [b.text for b in blocks(README) if b.language == "sh"]
    assert [b.text for b in blocks(README_ZH) if b.language == "sh"] == commands


# What the documents name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = BLOCK.sub("", path.read_text("utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for target in targets:
        if re.match(r"https?://|mailto:", target):
            continue
        file, _hash, anchor = target.partition("#")
        found = (path.parent / file) if file else path
        assert found.exists(), f"{path.name}: {target}"
        assert not anchor or anchor in anchors(found), f"{path.name}: {target}"


def test_the_pictures_are_there_and_small() -> None:
    for name in picture.PICTURES.values():
        content = (ROOT / "docs/images" / name).read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", content[16:24])
        assert (width, height) == (390, 844)
        assert len(content) <= picture.MAX_BYTES


def test_the_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.M))
    for path in DOCUMENTS:
        for target in re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)`", path.read_text("utf-8")):
            assert target in targets, f"{path.name}: make {target}"


@pytest.mark.parametrize("path", [README, README_ZH], ids=lambda p: p.name)
def test_the_map_of_folders_is_whole(path: Path) -> None:
    named = set(re.findall(r"`([a-z]+)/`", path.read_text("utf-8")))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    folders = {line.partition("/")[0] for line in tracked.splitlines() if "/" in line} or {
        p.name for p in ROOT.iterdir()
    }
    assert {f for f in folders if not f.startswith(".")} <= named
    assert all((ROOT / folder).is_dir() for folder in named & folders)


def test_the_people_of_the_readmes_are_those_of_the_demonstration() -> None:
    entries = tomllib.loads((ROOT / "demonstration/people.toml").read_text("utf-8"))["holders"]
    people = {entry["name"] for entry in entries if entry["kind"] == "natural_person"}
    for path in (README, README_ZH):
        assert people >= set(rows(README, "[\u4e00-\u9fff]{2,4}")) <= set(rows(path, "[\u4e00-\u9fff]{2,4}"))
    assert len(rows(README, "[\u4e00-\u9fff]{2,4}")) >= 4


def test_a_licence_is_named_only_when_there_is_one() -> None:
    named = "licence" in {a.partition("-")[0] for a in anchors(README)}
    assert named == any(ROOT.glob("LICEN[CS]E*"))


def test_the_changelog_knows_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.M)
