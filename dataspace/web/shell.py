"""What every request gets: request id, language, security headers, error pages, structured log line, health."""

import json
import logging
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    current_app,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_babel import Babel, get_locale
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError
from werkzeug.exceptions import BadHost, HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from dataspace.db import db
from dataspace.errors import DomainError
from dataspace.identifiers import BlindIndex
from dataspace.settings import Settings
from dataspace.sources.storing import Demanded
from dataspace.vault import Vault, provider

LANGUAGES = {"zh_Hans": "zh-Hans", "zh_Hant": "zh-Hant", "en": "en"}  # locale -> the lang attribute (BCP 47)
ASKED_LANGUAGE = "asked_language"  # of the session: until the next request of a third party, or signing out
MAX_BODY = 256 * 1024
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
)
log = logging.getLogger("dataspace.request")
bp = Blueprint("shell", __name__)
csrf = CSRFProtect()


@dataclass(frozen=True)
class Services:
    """What the composition root built for this application."""

    settings: Settings
    vault: Vault
    index: BlindIndex
    demanded: Demanded


def services() -> Services:
    """The services of the current application."""
    found: Services = current_app.extensions["dataspace"]
    return found


class Sessions(SecureCookieSessionInterface):
    """Flask's signed cookie; a request without cookies, as programs send them, is spared the making of a signer."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session of the request's cookie."""
        return super().open_session(app, request) if "HTTP_COOKIE" in request.environ else self.session_class()


def init_shell(app: Flask, settings: Settings, demanded: Demanded) -> None:
    """Give ``app`` its settings, services and everything that surrounds a view; ``demanded``: where cases are known."""
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_MEMORY_SIZE=MAX_BODY,
        SESSION_COOKIE_NAME="__Host-session" if settings.secure else "session",
        SESSION_COOKIE_SECURE=settings.secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # lives as long as the session: a person may read a page for long
        WTF_CSRF_SSL_STRICT=False,  # we send no Referer; SameSite and the token carry the protection
        BABEL_DEFAULT_LOCALE="zh_Hans",
        BABEL_DEFAULT_TIMEZONE="Asia/Shanghai",  # people read local times; everything stored is UTC
        BABEL_TRANSLATION_DIRECTORIES=str(app.root_path) + "/translations",
    )
    app.session_interface = Sessions()
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions["dataspace"] = Services(
        settings, Vault(provider(settings)), BlindIndex(settings.index_key), demanded
    )
    if settings.trusted_proxies:
        n = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]
    csrf.init_app(app)
    Babel(app, locale_selector=_language)
    app.before_request(_begin)
    app.after_request(_finish)
    app.context_processor(_page_context)
    app.register_error_handler(DomainError, domain_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(DBAPIError, _database_error)
    app.register_error_handler(Exception, _unexpected_error)
    app.register_blueprint(bp)


def allow_form_action(origin: str) -> None:
    """Let a form on this page end in a redirect to ``origin`` (Chromium applies form-action to redirects)."""
    g.form_action = f"'self' {origin}"


def wants_page() -> bool:
    """Whether the other side is a browser asking for a page. Programs that take anything (``*/*``) get JSON."""
    accepted = request.accept_mimetypes
    return accepted.quality("text/html") > accepted.quality("application/json")


def this_page() -> str | None:
    """Where a link or redirect comes back to what is being read; None for what was posted."""
    if request.method not in ("GET", "HEAD"):
        return None
    query = request.query_string.decode("utf-8", "replace")  # whatever bytes a stranger has put there
    return f"{request.path}?{query}" if query else request.path


def language_of(tags: Iterable[str]) -> str | None:
    """The first of these language tags (BCP 47) that we speak, as a locale of ours."""
    for tag in tags:
        lower = tag.lower()
        if lower.startswith(("zh-hant", "zh-hk", "zh-tw", "zh-mo")):
            return "zh_Hant"
        if lower.startswith("zh"):
            return "zh_Hans"
        if lower.startswith("en"):
            return "en"
    return None


def _language() -> str:
    chosen = session.get("language")
    if chosen in LANGUAGES:
        return str(chosen)
    asked = session.get(ASKED_LANGUAGE)
    if asked in LANGUAGES:
        return str(asked)
    return language_of(tag for tag, _quality in request.accept_languages) or "zh_Hans"


def ask_language(tags: str) -> None:
    """The language that a third party asks for during one visit (``ui_locales``); what the person chose goes first."""
    session.pop(ASKED_LANGUAGE, None)
    if asked := language_of(tags.split()):
        session[ASKED_LANGUAGE] = asked


def _begin() -> None:
    g.request_id = secrets.token_hex(8)
    g.started = time.perf_counter()


def _page_context() -> dict[str, object]:
    locale = str(get_locale() or "zh_Hans")
    return {
        "settings": services().settings,
        "lang": LANGUAGES.get(locale, "zh-Hans"),
        "locale": locale,
        "languages": LANGUAGES,
        "request_id": g.get("request_id", ""),
        "this_page": this_page(),
        "endpoints": current_app.view_functions,  # the navigation offers what this application has
    }


def _headers() -> Iterator[tuple[str, str]]:
    """What every answer carries unless its view has set it."""
    yield "X-Request-Id", g.get("request_id", "")
    yield "X-Content-Type-Options", "nosniff"
    yield "Referrer-Policy", "no-referrer"
    yield "Cross-Origin-Opener-Policy", "same-origin"
    yield "Permissions-Policy", "camera=(), microphone=(), geolocation=()"
    yield "Content-Security-Policy", CONTENT_POLICY.format(form_action=g.get("form_action", "'self'"))
    if services().settings.secure:
        yield "Strict-Transport-Security", "max-age=31536000; includeSubDomains"
    if request.endpoint != "static":
        yield "Cache-Control", "no-store"


def _finish(response: Response) -> Response:
    headers = response.headers
    present = {name.lower() for name, _value in headers}
    for name, value in _headers():
        if name.lower() not in present:
            headers.add(name, value)
    if log.isEnabledFor(logging.INFO):
        # The rule, not the path: paths can carry identifiers. Never the query, form, address or names.
        log.info(
            "request",
            extra={
                "request_id": g.get("request_id"),
                "method": request.method,
                "route": request.url_rule.rule if request.url_rule else None,
                "status": response.status_code,
                "ms": round((time.perf_counter() - g.started) * 1000, 1) if "started" in g else None,
            },
        )
    return response


def problem_response(code: str, sentence: str, status: int, **more: object) -> Response:
    """An answer for programs: problem+json (RFC 9457)."""
    body = {
        "type": "about:blank",
        "title": sentence,
        "status": status,
        "code": code,
        "reference": g.get("request_id"),
        **more,
    }
    return Response(json.dumps(body, ensure_ascii=False), status, mimetype="application/problem+json")


def _problem(code: str, sentence: str, status: int) -> Response:
    """A page in the reader's language, or problem+json for programs; nothing of the request is kept."""
    db.session.rollback()
    if wants_page():
        page = render_template("shell/error.html", code=code, sentence=_(sentence), status=status)
        return Response(page, status, mimetype="text/html")
    return problem_response(code, sentence, status)


def domain_error(error: DomainError) -> Response:
    """An expected failure, as a page or for programs; nothing of the request is kept."""
    log.warning("refused", extra={"request_id": g.get("request_id"), "code": error.code, "detail": error.detail})
    return _problem(error.code, error.sentence, error.status)


def _csrf_error(_error: CSRFError) -> Response:
    return _problem("form_expired", "This form is no longer valid. Go back, reload the page and try again.", 400)


HTTP_SENTENCES = {
    404: "There is nothing here, or it is not yours to see.",
    405: "This address does not accept this kind of request.",
    413: "What was sent is too large.",
    429: "Too many requests. Wait a moment and try again.",
}


def _http_error(error: HTTPException) -> Response:
    if error.code is not None and 300 <= error.code < 400:
        return error.get_response()  # type: ignore[return-value]
    if isinstance(error, BadHost):
        # No address of ours can be built for a Host like this, so there is no page with links to show.
        return problem_response("http_400", "This request cannot be understood.", 400)
    status = error.code or 500
    response = _problem(f"http_{status}", HTTP_SENTENCES.get(status, "This request cannot be understood."), status)
    if status == 405 and getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))  # type: ignore[attr-defined]
    return response


def _database_error(error: DBAPIError) -> Response:
    # The statement's parameters can hold personal data: log the kind of the error only.
    detail = type(error.orig).__name__
    log.error("database", extra={"request_id": g.get("request_id"), "detail": detail})
    if isinstance(error, DataError):
        # A value that no column can hold, such as a NUL character in an address: the request's fault, not ours.
        return _problem("invalid_request", "This request cannot be understood.", 400)
    return _problem("unavailable", "The service cannot store anything right now. Nothing was changed.", 503)


def _unexpected_error(error: Exception) -> Response:
    log.error("unexpected", exc_info=error, extra={"request_id": g.get("request_id")})
    return _problem("unexpected", "Something went wrong on our side. Nothing was changed.", 500)


@bp.post("/language")
def set_language() -> Response:
    """Remember the reader's language and go back to the page."""
    chosen = request.form.get("language", "")
    if chosen in LANGUAGES:
        session["language"] = chosen
    back = request.form.get("back", "")
    # Browsers drop tabs and line breaks and read a backslash as a slash: "/\t/evil" would become "//evil".
    local = back.startswith("/") and not back.startswith("//") and not set(back) & set("\\\t\r\n")
    return redirect(back if local else url_for("home.index"), 303)  # type: ignore[return-value]


@bp.get("/healthz")
def health() -> Response:
    """The process answers."""
    return jsonify(status="ok")


@bp.get("/readyz")
def ready() -> Response:
    """The database answers and its tables are there."""
    try:
        db.session.execute(text("SELECT 1 FROM holders LIMIT 1"))
    except DBAPIError:
        db.session.rollback()
        response = jsonify(status="unavailable", missing="database or migrations")
        response.status_code = 503
        return response
    return jsonify(status="ok")


class JsonLines(logging.Formatter):
    """One JSON object a line, with the fields that our own calls attach."""

    FIELDS = ("request_id", "method", "route", "status", "ms", "code", "detail", "count")

    def format(self, record: logging.LogRecord) -> str:
        line = {"at": self.formatTime(record), "level": record.levelname, "what": record.getMessage()}
        line |= {f: getattr(record, f) for f in self.FIELDS if getattr(record, f, None) is not None}
        if record.exc_info:
            line["where"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(settings: Settings) -> None:
    """Log as JSON lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger("dataspace")
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    root.propagate = False
