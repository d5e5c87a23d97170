"""Errors in a user's input or settings, reported in one line.

The command line prints them on stderr and exits with code 2; any other exception is a defect of hipoa.
"""


class HipoaError(Exception):
    """An error in the input or the settings that the user can correct.

    Args:
        where: The case, file, row or setting, never a patient's name or a DICOM identifier.
        found: What was found.
        do: What is needed and what to do: one or two sentences.
    """

    def __init__(self, where: str, found: str, do: str) -> None:
        self.where, self.found, self.do = where, found, do
        super().__init__(f"{where}: {found}. {do}")

    def __reduce__(self) -> tuple[type["HipoaError"], tuple[str, str, str]]:
        """Errors are sent from process to process."""
        return type(self), (self.where, self.found, self.do)


class ConfigError(HipoaError, ValueError):
    """A setting is unknown, missing or out of bounds."""


class TableError(HipoaError, ValueError):
    """Rows of a table that cannot be used, all listed in one message."""


class CtError(HipoaError, ValueError):
    """A CT that cannot be read or shows no hip: it is refused, the other cases continue."""


class CohortError(HipoaError, ValueError):
    """A cohort that cannot be studied: too many refusals, too few hips of a grade."""


class WeightsError(HipoaError, ValueError):
    """Pre-trained weights that are not available or do not fit the network."""


class NetworkError(HipoaError, ValueError):
    """A network that lacks what is needed, such as dropout for Monte Carlo dropout."""


class TrainingError(HipoaError, ValueError):
    """A training that failed, for example by a loss that is not finite."""


class ReadingError(HipoaError, ValueError):
    """A reading, or a log of readings, that cannot be accepted."""


class ResourceError(HipoaError, ValueError):
    """Too little memory."""


class DiskError(OSError):
    """The disk is full. It is not a HipoaError, which would refuse the CT that was being written."""
