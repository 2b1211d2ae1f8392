"""Names of a client by language, as RFC 7591 section 2.2 writes them: ``client_name``, ``client_name#zh-Hant``."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

MEMBER = "client_name"
# The tags that we answer with; :data:`ALIASES` are read as well. Names in other languages have no place here.
TAGS: Mapping[str, str] = MappingProxyType({"zh_hans": "zh-Hans", "zh_hant": "zh-Hant"})
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "zh": "zh_hans", "zh-hans": "zh_hans", "zh-cn": "zh_hans", "zh-hans-cn": "zh_hans", "zh-sg": "zh_hans",
        "zh-hant": "zh_hant", "zh-tw": "zh_hant", "zh-hk": "zh_hant", "zh-mo": "zh_hant",
        "zh-hant-tw": "zh_hant", "zh-hant-hk": "zh_hant", "zh-hant-mo": "zh_hant",
    }
)  # fmt: skip


def read(document: Mapping[str, Any], *, fallback: str) -> dict[str, Any]:
    """{zh_hans, zh_hant, en} from the members of a document; the name without a tag serves where one is missing.

    Values are as given: that they are texts is for the caller to check.
    """
    said: dict[str, Any] = {}
    for member, value in document.items():
        name, mark, tag = member.partition("#")
        language = "en" if tag.lower().split("-")[0] == "en" else ALIASES.get(tag.lower())
        if name == MEMBER and mark and language and value:
            said.setdefault(language, value)
    untagged = document.get(MEMBER) or next(iter(said.values()), fallback)
    plain = said.get("en") or untagged
    hans = said.get("zh_hans") or untagged
    return {"zh_hans": hans, "zh_hant": said.get("zh_hant") or hans, "en": plain}


def write(names: Mapping[str, str]) -> dict[str, str]:
    """The members for a client's names: the untagged one, and those that differ from it."""
    plain = names["en"]
    tagged = {f"{MEMBER}#{tag}": names[language] for language, tag in TAGS.items() if names[language] != plain}
    return {MEMBER: plain} | tagged
