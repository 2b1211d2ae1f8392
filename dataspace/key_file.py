"""Wrapping keys in a file, which ``flask wrapping-keys`` changes while the service runs."""

import base64
import binascii
import datetime as dt
import os
import secrets
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from dataspace.errors import Conflict, NotFound, SettingsError
from dataspace.wrapping import NAME, SIZE, Keys, WrappingKey

# How long a key stays in the file after it wrapped last: longer than any transaction that began with it.
OVERLAP = dt.timedelta(hours=1)


class FileKeys:
    """Keys in a file, one per line, the newest first: when it was added (RFC 3339), the key as base64url.

    A process looks at the file again when it wraps, and when it meets a name that it does not know: a new key is in
    use everywhere as soon as it stands in the file.
    """

    def __init__(self, path: Path) -> None:
        """Raises SettingsError when there is no such file, or none that can be used."""
        self.path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] = ()
        self._fresh()

    def current(self) -> str:
        """The name of the first key of the file."""
        return self._fresh().current()

    def wrap(self, secret: bytes, *, identity: str) -> bytes:
        """Under the first key of the file."""
        return self._fresh().wrap(secret, identity=identity)

    def unwrap(self, wrapped: bytes, *, identity: str) -> bytes:
        """With the key that it names. Raises Unreadable."""
        keys = self._keys if wrapped[:NAME] in self._keys else self._fresh()
        return keys.unwrap(wrapped, identity=identity)

    def name_of(self, wrapped: bytes) -> str:
        """The name in front of it."""
        return self._keys.name_of(wrapped)

    def all(self) -> list[WrappingKey]:
        """The keys of the file, the one that wraps first."""
        return read(self.path)

    def add(self, now: dt.datetime) -> WrappingKey:
        """A new key, which wraps from now on."""
        key = WrappingKey(secrets.token_bytes(SIZE), now)
        write(self.path, [key, *self.all()])
        return key

    def remove(self, name: str, now: dt.datetime) -> None:
        """Forget a key: what it has wrapped opens no more, here and in every copy of the database.

        That nothing is left which it has wrapped is for the caller to know. Raises NotFound, and Conflict when it
        wraps, or wrapped until a moment ago.
        """
        keys = self.all()
        place = next((n for n, key in enumerate(keys) if key.name == name), None)
        if place is None:
            raise NotFound(f"there is no key {name} in the file")
        if place == 0:
            raise Conflict("this key wraps; rotate first")
        until = keys[place - 1].added_at  # when the next one took over
        if until is not None and now < until + OVERLAP:
            raise Conflict(f"something may still be wrapped by it; it can go from {until + OVERLAP:%Y-%m-%d %H:%M} UTC")
        write(self.path, [key for key in keys if key.name != name])

    def _fresh(self) -> Keys:
        with self._lock:
            status = _status(self.path)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._keys, self._seen = Keys(read(self.path)), seen
            return self._keys


def read(path: Path) -> list[WrappingKey]:
    """The keys of a file. Raises SettingsError that says which line is wrong, and never what stands in it."""
    keys: list[WrappingKey] = []
    if _status(path).st_mode & 0o007:
        raise SettingsError(f"{path}: others than its owner and group can read it")
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            moment, secret = line.decode("ascii").split()
            key = WrappingKey(base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)), _moment(moment))
        except (ValueError, binascii.Error):
            raise SettingsError(f"{path}: line {number} is not a moment and a key") from None
        if len(key.secret) != SIZE:
            raise SettingsError(f"{path}: the key in line {number} does not have {SIZE} bytes")
        keys.append(key)
    if not keys:
        raise SettingsError(f"{path}: there is no key in it")
    return keys


def write(path: Path, keys: Iterable[WrappingKey]) -> None:
    """Put the keys into a file whole or not at all, readable by its owner, and by its group if it was."""
    mode = path.stat().st_mode & 0o640 if path.exists() else 0o600
    lines = [f"{key.added_at:%Y-%m-%dT%H:%M:%SZ} {base64.urlsafe_b64encode(key.secret).decode()}\n" for key in keys]
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            os.fchmod(file.fileno(), mode)
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # a key that has wrapped something must not be lost with the power
    finally:
        os.close(folder)


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None


def _moment(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
