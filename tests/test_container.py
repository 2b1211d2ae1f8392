"""What can be known of the container files without an engine to build them: paths, user, commands, settings."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click import Group
from flask import Flask
from flask.cli import FlaskGroup

from dataspace.settings import PREFIX, REQUIRED, Settings

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continuation lines joined, comments left out."""
    lines = [line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line.strip() and line[0] != "#"]
    return [(word, rest.strip()) for word, _space, rest in (line.partition(" ") for line in lines)]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage."""
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def plain_yaml(text: str) -> dict[str, Any]:
    """Reads the little YAML that compose.yaml is written in: block mappings, flow lists of JSON, one merged anchor.

    Anything else is an error, which keeps the file plain.
    """
    root: dict[str, Any] = {}
    anchors: dict[str, dict[str, Any]] = {}
    open_mappings = [(-1, root)]
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        key, value = re.fullmatch(r"\s*([\w.<-]+):(?: (.*))?", line).groups()  # type: ignore[union-attr]
        while open_mappings[-1][0] >= indent:
            open_mappings.pop()
        mapping = open_mappings[-1][1]
        if key == "<<":
            mapping.update(anchors[value.removeprefix("*")])
        elif value is None or value.startswith("&"):
            mapping[key] = {}
            open_mappings.append((indent, mapping[key]))
            if value:
                anchors[value.removeprefix("&")] = mapping[key]
        else:
            mapping[key] = json.loads(value) if value[0] in '[{"' else value
    return root


def services() -> dict[str, dict[str, Any]]:
    return plain_yaml((ROOT / "compose.yaml").read_text("utf-8"))["services"]


def ours() -> dict[str, dict[str, Any]]:
    """The services that run our image."""
    return {name: service for name, service in services().items() if "build" in service}


def commands() -> list[list[str]]:
    """Every command that either file or its comments start: exec forms, and `docker compose run` lines."""
    exec_forms = [json.loads(rest) for word, rest in instructions() if word == "CMD"]
    documented = [shlex.split(found) for found in re.findall(r"^#.*run --rm web (flask .*?)(?:  |$)", DOCKERFILE, re.M)]
    return exec_forms + documented + [service["command"] for service in ours().values() if "command" in service]


def test_the_reader_of_plain_yaml() -> None:
    text = 'x: &a\n  l: ["1"]\n  m:\n    k: v\ny:\n  <<: *a\n  # c\n  n: ""\nz: {}\n'
    inherited = {"l": ["1"], "m": {"k": "v"}}
    assert plain_yaml(text) == {"x": inherited, "y": inherited | {"n": ""}, "z": {}}


def test_every_copied_path_exists() -> None:
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    missing = [path for paths in copied for path in paths if not (ROOT / path).exists()]
    assert copied
    assert missing == []


def test_what_is_copied_is_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    copied = [
        path for word, rest in instructions() if word == "COPY" and "--from" not in rest for path in rest.split()[:-1]
    ]
    assert sorted(kept) == sorted(copied)


def test_all_that_the_application_needs_is_in_the_image(tmp_path: Path) -> None:
    """The factory works in a folder that holds only what the last stage copies."""
    for word, rest in stages()[-1]:
        if word == "COPY" and "--from" not in rest:
            (tmp_path / rest.split()[0]).symlink_to(ROOT / rest.split()[0])
    environment = {f"{PREFIX}{name.upper()}": value for name, value in example_settings().items()}
    program = "import wsgi; app = wsgi.create_app(); app.jinja_env.get_template('base.html'); print(app.root_path)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path)


def test_the_last_stage_runs_as_a_number_that_is_not_root() -> None:
    last = stages()[-1]
    users = [rest for word, rest in last if word == "USER"]
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[0])
    words = [word for word, _rest in last]
    assert words.index("USER") < words.index("CMD")
    assert "RUN" not in words  # nothing is built where it runs


def test_dependencies_are_installed_by_hash() -> None:
    runs = [rest for word, rest in stages()[0] if word == "RUN" and "pip install" in rest]
    assert len(runs) == 1
    assert "--require-hashes" in runs[0]
    assert "requirements.lock" in runs[0]


def test_commands_are_in_exec_form_and_exist(app: Flask) -> None:
    found = commands()
    assert len(found) >= 6
    for command in found:
        assert isinstance(command, list)
        if command[0] == "flask":
            assert command[1:3] == ["--app", "wsgi"]
            require_flask_command(app, command[3:])


def require_flask_command(app: Flask, words: list[str]) -> None:
    """Walk the command tree; fails when there is no such command."""
    group: Any = FlaskGroup(create_app=lambda: app)
    with group.make_context("flask", [], resilient_parsing=True) as context:
        for word in words:
            assert isinstance(group, Group), words
            found = group.get_command(context, word)
            assert found is not None, words
            group = found


def test_the_server_command_names_a_factory_and_known_options() -> None:
    command = next(c for c in commands() if c[0] == "granian")
    module, _colon, factory = command[-1].partition(":")
    assert callable(getattr(importlib.import_module(module), factory))
    options = subprocess.run([sys.executable, "-m", "granian", "--help"], capture_output=True, text=True, check=True)
    for option in (word for word in command if word.startswith("--")):
        assert option in options.stdout
    port = command[command.index("--port") + 1]
    assert ("EXPOSE", port) in instructions()


def test_the_health_check_asks_whether_the_service_is_ready(app: Flask) -> None:
    check = next(rest for word, rest in instructions() if word == "HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    compile(command[2], "HEALTHCHECK", "exec")
    assert "http://127.0.0.1:8000/readyz" in command[2]
    assert "/readyz" in {rule.rule for rule in app.url_map.iter_rules()}


def example_settings() -> dict[str, str]:
    """Settings with which a production application can be built."""
    return {
        "mode": "production",
        "issuer": "https://spaces.example",
        "database_url": "postgresql+psycopg://user:word@localhost/none",
        "wrapping_key": "A" * 43,
        "index_key": "A" * 43,
        "secret_key": "s" * 43,
    }


@pytest.mark.parametrize("name", ["web", "worker", "migrate", "keys"])
def test_each_service_gets_every_required_setting_and_no_default_secret(name: str) -> None:
    environment = ours()[name]["environment"]
    assert {f"{PREFIX}{required.upper()}" for required in REQUIRED} <= set(environment)
    for variable in ("WRAPPING_KEY", "INDEX_KEY", "SECRET_KEY", "ISSUER"):
        assert environment[PREFIX + variable] == f"${{{PREFIX}{variable}:?}}"
    unknown = {v.removeprefix(PREFIX).lower() for v in environment} - set(Settings.__dataclass_fields__)
    assert unknown == set()


def test_compose_values_make_settings_that_start() -> None:
    values = {**ours()["web"]["environment"]}
    examples = {f"{PREFIX}{name.upper()}": value for name, value in example_settings().items()}
    filled = {name: examples[name] if ":?}" in value and name in examples else value for name, value in values.items()}
    settings = Settings.from_environment(filled)
    assert settings.mode == "production"
    assert settings.trusted_proxies == 1


def test_compose_starts_in_order() -> None:
    found = services()
    assert "@database/" in found["web"]["environment"]["DATASPACE_DATABASE_URL"]
    assert found["database"]["healthcheck"]["test"][1] == "pg_isready"
    assert found["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    for name, waits_for in (("keys", "migrate"), ("web", "keys"), ("worker", "keys")):
        assert found[name]["depends_on"] == {waits_for: {"condition": "service_completed_successfully"}}
    for name in set(ours()) - {"web"}:
        assert found[name]["healthcheck"] == {"disable": "true"}  # the image's check asks a web server
