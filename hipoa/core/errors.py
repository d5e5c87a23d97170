"""What can go wrong with a user's input, in one line each.

Every error says where it is, what was found, what is needed and what to do. The command line
prints it on stderr and ends with exit code 2; any other exception is a defect of hipoa.
"""


class HipoaError(Exception):
    """A fault in the input or the settings that the user can mend.

    Args:
        where: The case, file, row or setting, never a patient's name or a DICOM identifier.
        found: What is there.
        do: What is needed and what to do about it: one sentence or two.
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
    """Rows of a table, given or made, that cannot be used: all of them in one message."""


class CtError(HipoaError, ValueError):
    """A CT that cannot be read, or holds no hip: it is refused, the other cases go on."""


class CohortError(HipoaError, ValueError):
    """A cohort that cannot be studied: too many refusals, too few hips of a grade."""


class WeightsError(HipoaError, ValueError):
    """Pre-trained weights that cannot be had or do not fit the network."""


class NetworkError(HipoaError, ValueError):
    """A network that cannot do what is asked, such as Monte Carlo dropout without dropout."""


class TrainingError(HipoaError, ValueError):
    """A training that failed: a loss that is not finite."""


class ReadingError(HipoaError, ValueError):
    """A reading, or a log of readings, that cannot be taken."""


class ResourceError(HipoaError, ValueError):
    """A machine that is too small for what is asked."""


class DiskError(OSError):
    """The disk is full. No HipoaError: it is no fault of the CT that was being written."""
