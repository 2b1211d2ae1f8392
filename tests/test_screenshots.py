"""What `make screenshots` photographs: addresses that exist, and every page without a variable."""

from flask import Flask

from tools import screenshots

LISTED = {**screenshots.NOBODY, **screenshots.HOLDER, **{f"admin-{k}": v for k, v in screenshots.ADMINISTRATOR.items()}}
# Pages that the people of the tool come past, or that are not for looking at.
PASSED = {
    "dashboard.reads_csv", "dashboard.reads_json", "shell.health", "shell.ready", "logout.signed_out", "static",
    "admin.export", "receipts.keys",
}  # fmt: skip


def test_every_listed_page_is_one_of_ours(app: Flask) -> None:
    adapter = app.url_map.bind("localhost")
    missing = [
        path for path in LISTED.values() if "{" not in path and not adapter.test(path.partition("?")[0], method="GET")
    ]
    assert missing == ["/no-such-page"]


def test_every_page_without_a_variable_is_photographed(app: Flask) -> None:
    paths = {path.partition("?")[0] for path in LISTED.values()}
    rules = [
        rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.arguments and rule.endpoint not in PASSED
    ]
    pages = {rule.rule for rule in rules if rule.endpoint.split(".")[0] not in ("oauth", "api", "endpoints")}
    assert {page for page in pages if not page.startswith(("/oauth/", "/.well-known/", "/api/"))} - paths == set()
