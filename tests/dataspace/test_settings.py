"""Settings: typed, checked at start, and the service says what is missing."""

import base64

import pytest

from dataspace.errors import SettingsError
from dataspace.settings import REQUIRED, Settings

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
GOOD = {
    "DATASPACE_ISSUER": "https://space.example",
    "DATASPACE_DATABASE_URL": "postgresql://localhost/dataspace",
    "DATASPACE_WRAPPING_KEY": KEY,
    "DATASPACE_INDEX_KEY": KEY.rstrip("="),
    "DATASPACE_SECRET_KEY": "s" * 40,
}


def test_production_starts_with_the_five_required_settings() -> None:
    settings = Settings.from_environment(GOOD)
    assert settings.mode == "production"
    assert settings.wrapping_key == b"k" * 32
    assert settings.secure


@pytest.mark.parametrize("name", REQUIRED)
def test_each_missing_setting_is_named(name: str) -> None:
    variable = f"DATASPACE_{name.upper()}"
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({k: v for k, v in GOOD.items() if k != variable})
    assert f"{variable} is missing" in error.value.detail


def test_all_missing_settings_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({})
    assert all(f"DATASPACE_{name.upper()} is missing" in error.value.detail for name in REQUIRED)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"DATASPACE_ISSUER": "http://space.example"}, "https"),
        ({"DATASPACE_ISSUER": "http://localhost:8000"}, "https"),
        ({"DATASPACE_ISSUER": "https://space.example/"}, "an origin"),
        ({"DATASPACE_ISSUER": "space.example"}, "an origin"),
        ({"DATASPACE_WRAPPING_KEY": "c2hvcnQ"}, "32 bytes"),
        ({"DATASPACE_WRAPPING_KEY": "***"}, "DATASPACE_WRAPPING_KEY"),
        ({"DATASPACE_WRAPPING_KEY": ""}, "DATASPACE_WRAPPING_KEY is missing"),
        ({"DATASPACE_WRAPPING_KEY_FILE": "/keys"}, "one is needed, and no more"),
        ({"DATASPACE_OTHER_WRAPPING_KEYS": f"{KEY},c2hvcnQ"}, "32 bytes"),
        (
            {"DATASPACE_WRAPPING_KEY": "", "DATASPACE_KEY_PROVIDER": "a:b", "DATASPACE_OTHER_WRAPPING_KEYS": KEY},
            "beside",
        ),
        ({"DATASPACE_SECRET_KEY": "short"}, "32 characters"),
        ({"DATASPACE_MODE": "debug"}, "DATASPACE_MODE"),
        ({"DATASPACE_FETCH_LOOPBACK": "true"}, "not for production"),
        ({"DATASPACE_RATE_LIMITS": "maybe"}, "true or false"),
        ({"DATASPACE_POOL_SIZE": "many"}, "DATASPACE_POOL_SIZE"),
        ({"DATASPACE_SMTP_HOST": "mail.example"}, "SMTP_SENDER"),
        ({"DATASPACE_SMTP_HOST": "mail.example", "DATASPACE_SMTP_SENDER": "nobody"}, "SMTP_SENDER"),
        ({"DATASPACE_SMTP_SECURITY": "ssl"}, "starttls, tls or none"),
        ({"DATASPACE_SMTP_HOST": "mail.example", "DATASPACE_SMTP_SECURITY": "none"}, "on this machine only"),
        ({"DATASPACE_SMTP_USER": "space"}, "go together"),
    ],
)
def test_unsafe_or_malformed_settings_are_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as error:
        Settings.from_environment(GOOD | changes)
    assert said in error.value.detail


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings.from_environment(GOOD))
    assert "kkk" not in shown
    assert "sss" not in shown
    assert "postgresql" not in shown
