"""What the composition root built for the consent side of this application."""

from flask import current_app

from consent.history import Registry


def registry() -> Registry:
    """Keys, vault and our own name, as the lifecycle needs them."""
    found: Registry = current_app.extensions["consent"]
    return found
