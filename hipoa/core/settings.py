"""What every room's settings share: frozen, bounded, and strict about unknown names."""

from pydantic import BaseModel, ConfigDict, ValidationError

from hipoa.core.errors import ConfigError


class Settings(BaseModel):
    """A section of the configuration, declared once, in the room that uses it.

    The fields give the defaults, the JSON schema, the command-line flags and their help
    (:mod:`hipoa.workflow.config`, :mod:`hipoa.cli`). Units are part of a field's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def settings_error(where: str, error: ValidationError, what_to_do: str) -> ConfigError:
    """Pydantic's findings as one line with dotted paths."""
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return ConfigError(where, "; ".join(faults), what_to_do)
