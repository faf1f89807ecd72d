"""The exceptions of this package, one hierarchy below :class:`HelionMslError`.

Each also derives from the builtin that describes it best, so that code which does not know this package can catch it.
``src/errors.h`` has the same names on the C++ side.
"""

from __future__ import annotations


class HelionMslError(Exception):
    """Base of every error that this package raises on purpose."""


class TranslationError(HelionMslError):
    """Python that cannot become Metal: where it stands, why, and what to do instead.

    ``str(error)`` is the whole report: ``file:line:column``, the source line with a caret, the cause and the remedy.

    Attributes:
        filename: the file of the Python function, or ``"<unknown>"``.
        line: the line in that file, from 1.
        column: the column in that line, from 1.
        source_line: the text of the line.
        cause: why it cannot be translated, one sentence.
        remedy: what to write instead, empty where there is none.
        callers: where the function in which it stands is called, ``file:line``, innermost first.
    """

    def __init__(
        self,
        cause: str,
        remedy: str = "",
        *,
        filename: str = "<unknown>",
        line: int = 0,
        column: int = 0,
        source_line: str = "",
    ) -> None:
        self.cause = cause
        self.remedy = remedy
        self.filename = filename
        self.line = line
        self.column = column
        self.source_line = source_line
        self.callers: list[str] = []
        super().__init__(self._report())

    def add_caller(self, filename: str, line: int) -> None:
        """Add the place that calls the function in which the error stands."""
        self.callers.append(f"{filename}:{line}")
        self.args = (self._report(),)

    def _report(self) -> str:
        report = [f"{self.filename}:{self.line}:{self.column}: error: {self.cause}"]
        if self.source_line:
            # Tabs stay tabs, so that the caret stands below its column in any viewer.
            indent = "".join("\t" if character == "\t" else " " for character in self.source_line[: self.column - 1])
            report += [f"    {self.source_line}", f"    {indent}^"]
        if self.remedy:
            report.append(f"  instead: {self.remedy}")
        report += [f"  called from {caller}" for caller in self.callers]
        return "\n".join(report)


class MetalCompileError(HelionMslError, RuntimeError):
    """MSL that does not compile; the message holds the diagnostics and the numbered source lines they name."""


class UnknownKernelError(HelionMslError, ValueError):
    """The source has no kernel of that name, or has several and none was named; the message lists those there are."""


class ArgumentError(HelionMslError, TypeError, ValueError):
    """Wrong number, kind, dtype or device of the arguments of a launch; nothing was launched."""


class LaunchError(HelionMslError, ValueError):
    """A grid or a threadgroup that cannot be dispatched; nothing was launched."""


class KernelError(HelionMslError, RuntimeError):
    """A kernel failed while it ran: a divergent barrier, a failed assertion, a GPU fault."""


class EngineUnavailableError(HelionMslError, RuntimeError):
    """No device or no compiler on this machine; the message says what to install."""


class DivergenceWarning(UserWarning):
    """A kernel has a barrier that seems to be reached by only some threads of a threadgroup.

    What the condition means is not known to the translator, so the kernel runs; on a GPU threads that miss a barrier
    which others wait at are undefined behaviour, and the host engine raises :class:`KernelError` where it happens.
    """


class PrintWarning(UserWarning):
    """A kernel prints, and the GPU's language version has no log to print to: nothing will be seen of it."""
