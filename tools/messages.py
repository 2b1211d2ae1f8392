"""The texts of the pages: collect them, bring the translations up to date, say what is missing.

    python -m tools.messages            writes translations/messages.pot and translations/*/LC_MESSAGES/messages.po
    python -m tools.messages --check    writes nothing; lists what is wrong and exits 1 if anything is

Message ids are plain English, so there is no English catalogue: gettext answers with the id itself. The files carry no
dates and no line numbers, and are sorted by message: they change only when a text changes.
"""

import argparse
import ast
import io
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from babel.messages import frontend
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir, extract_python
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "translations"
LOCALES = ("zh_Hans", "zh_Hant")
HEADER = "# The texts of the pages. Collected by `make messages`; the translations are written here by hand."
# Header lines that differ from one run, one person or one version of Babel to the next, or that say nothing.
NOISE = ("Project-Id-Version", "POT-Creation-Date", "PO-Revision-Date", "Last-Translator", "Language-Team",
         "Report-Msgid-Bugs-To", "Generated-By")  # fmt: skip
KEYWORDS = DEFAULT_KEYWORDS | {"lazy_gettext": None}
PLACEHOLDER = re.compile(r"%\((\w+)\)\w|%[sd]")

Found = tuple[int, Any, Any, list[str]]  # line, function, message, comments: what a Babel extractor yields


def extract(file: BinaryIO, keywords: Any, comment_tags: Collection[str], options: Any) -> Iterator[Found]:
    """Babel extractor of our Python: gettext calls, and sentences that are translated only where they are shown."""
    yield from extract_python(file, keywords, comment_tags, options)  # type: ignore[misc]
    file.seek(0)
    yield from sentences(file.read().decode("utf-8"))


def sentences(source: str) -> Iterator[Found]:
    """``sentence = "..."`` of error classes, the values of HTTP_SENTENCES, and sentences given to ``_problem``."""
    for node in ast.walk(ast.parse(source)):
        for constant in _texts_of(node):
            yield constant.lineno, "gettext", constant.value, []


def template() -> Catalog:
    """Every message of the source, without a translation."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = frontend.parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    catalog = Catalog(header_comment=HEADER, fuzzy=False)
    for filename, line, message, comments, context in extract_from_dir(ROOT, methods, options, KEYWORDS):
        catalog.add(message, locations=[(filename, line)], auto_comments=comments, context=context)
    return catalog


def path_of(locale: str) -> Path:
    """The catalogue of one language."""
    return FOLDER / locale / "LC_MESSAGES" / "messages.po"


def read(locale: str) -> Catalog:
    """The catalogue of one language as it lies on the disk; an empty one when there is none."""
    path = path_of(locale)
    if not path.exists():
        return Catalog(locale=locale, fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def update() -> None:
    """Write the template and bring every language up to date; messages that are gone leave the catalogues."""
    found = template()
    _write(FOLDER / "messages.pot", found)
    for locale in LOCALES:
        catalog = read(locale)
        catalog.update(found, no_fuzzy_matching=True)
        catalog.header_comment = HEADER
        _write(path_of(locale), catalog)


def problems(found: Catalog, locale: str) -> list[str]:
    """What is wrong with one language, a line each: missing, fuzzy, obsolete, placeholders."""
    catalog = read(locale)
    lines = [f"{locale}: obsolete: {m.id!r}" for m in catalog.obsolete.values()]
    lines += [f"{locale}: obsolete: {m.id!r}" for m in catalog if m.id and _same(found, m) is None]
    for wanted in found:
        if wanted.id and (wrong := _wrong(wanted, _same(catalog, wanted))):
            lines.append(f"{locale}: {wrong}: {wanted.id!r}")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything is wrong")
    if not parser.parse_args(arguments).check:
        update()
    found = template()
    lines = [line for locale in LOCALES for line in problems(found, locale)]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.write(f"{len(found)} messages, {len(lines)} problems\n")
    return 1 if lines else 0


def _texts_of(node: ast.AST) -> Iterator[ast.Constant]:
    if isinstance(node, ast.ClassDef):
        for statement in node.body:
            if isinstance(statement, ast.Assign) and _named(statement, "sentence"):
                yield from _constants(statement.value)
    elif isinstance(node, ast.Assign) and _named(node, "HTTP_SENTENCES") and isinstance(node.value, ast.Dict):
        for value in node.value.values:
            yield from _constants(value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_problem":
        for sentence in node.args[1:2]:
            yield from _constants(sentence)


def _named(statement: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in statement.targets)


def _constants(value: ast.AST) -> Iterator[ast.Constant]:
    return (n for n in ast.walk(value) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def _same(catalog: Catalog, message: Message) -> Message | None:
    return catalog.get(message.id, message.context)


def _wrong(wanted: Message, present: Message | None) -> str:
    texts = _texts(present.string) if present is not None else []
    if present is None or not texts or not all(texts):
        return "missing"
    if present.fuzzy:
        return "fuzzy"
    expected = _placeholders(_texts(wanted.id)[-1])  # of a plural the form that names the number
    return "placeholders" if any(_placeholders(text) != expected for text in texts) else ""


def _texts(value: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _placeholders(text: str) -> list[str]:
    return sorted({match.group() for match in PLACEHOLDER.finditer(text.replace("%%", ""))})


def _write(path: Path, catalog: Catalog) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=120, sort_output=True, include_lineno=False, ignore_obsolete=True)
    lines = buffer.getvalue().decode("utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(tuple(f'"{n}' for n in NOISE))), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
