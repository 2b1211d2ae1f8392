"""The one way back to the client: every answer of the authorization endpoint leaves by :func:`go`.

At once it is a redirect, or a page whose form takes the answer along (form_post). After a form of ours it is a page in
between, with one second of what happened and where to find it again: no browser blocks that (Chromium applies
form-action to redirects). The answer is handed over to that page in the session cookie, which this browser alone holds
and which is emptied by showing the page; of a code the server keeps a digest only. An answer too long for a cookie
goes at once.
"""

from dataclasses import asdict, dataclass

from flask import Response, redirect, render_template, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from consent.oauth.response_modes import Answer
from dataspace.web.shell import allow_form_action

COOKIE_ROOM = 1800  # characters of an answer that fit into the session cookie beside what it carries already
_SLOT = "answer"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the person is told. ``outcome``: given | refused | known | stranger; ``party``: the client's name."""

    handle: str
    outcome: str
    party: str
    consent_id: str = ""


def go(answer: Answer, told: Told | None = None) -> AnyResponse:
    """Send the browser back with an answer: over the page in between when there is something to be told, else at once.

    Never 307 or 308: what a person has sent us is not sent on (RFC 9700 section 4.12).
    """
    if told is not None and len(answer.url) <= COOKIE_ROOM:
        session[_SLOT] = {"told": asdict(told), "answer": answer.to_document()}
        return redirect(url_for("consent_page.done", handle=told.handle), 303)
    if answer.by_form:
        allow_form_action(answer.origin)
        return Response(render_template("consent/form_post.html", answer=answer), mimetype="text/html")
    return redirect(answer.url, 303)


def page_between(handle: str) -> str | None:
    """The page in between of this request, once; None when there is none (any more)."""
    kept = session.pop(_SLOT, None)
    if not isinstance(kept, dict) or kept["told"]["handle"] != handle:
        return None
    return lead_on(Answer.from_document(kept["answer"]), Told(**kept["told"]), wait=1)


def lead_on(answer: Answer, told: Told, *, wait: int) -> str:
    """A page that goes on to the client by itself after ``wait`` seconds, and by a button."""
    if answer.by_form:
        allow_form_action(answer.origin)
    return render_template("consent/done.html", answer=answer, told=told, wait=wait)
