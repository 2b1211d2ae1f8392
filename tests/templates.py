"""The templates that Jinja has compiled, in memory: none changes while the tests run."""

from types import CodeType

from jinja2.bccache import Bucket, BytecodeCache


class CompiledTemplates(BytecodeCache):
    """Reading compiled templates anew for each application was a twentieth of the suite's time."""

    def __init__(self) -> None:
        self._codes: dict[str, CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """What Jinja asks for a template."""
        bucket.code = self._codes.get(bucket.key)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """What Jinja has compiled."""
        self._codes[bucket.key] = bucket.code
