"""What can go wrong, in domain words.

Each error has a stable ``code`` and one fixed public ``sentence`` (an English message id; pages translate it). The
``detail`` goes to the log beside the request id and never to the other side.
"""


class DomainError(Exception):
    """Base of every expected failure; ``status`` is the HTTP status the web side answers with."""

    code = "error"
    sentence = "Something went wrong."
    status = 400

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.sentence)
        self.detail = detail


class InvalidIdentifier(DomainError):
    code = "invalid_identifier"
    sentence = "This identifier is not valid. Check every digit."


class NotFound(DomainError):
    code = "not_found"
    sentence = "There is nothing here, or it is not yours to see."
    status = 404


class NotAllowed(DomainError):
    code = "not_allowed"
    sentence = "You may not do this."
    status = 403


class Conflict(DomainError):
    code = "conflict"
    sentence = "This has changed in the meantime. Look at it again before you decide."
    status = 409


class InvalidFile(DomainError):
    """A data file with errors; ``problems`` are lines of the form ``file: entry: field: what is wrong``."""

    code = "invalid_file"
    sentence = "The file has errors; nothing was loaded."

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SettingsError(DomainError):
    code = "invalid_settings"
    sentence = "The settings are incomplete or wrong."
    status = 500
