"""Everything Likewise raises on purpose.

    LikewiseError                  the base; never raised itself
    ├── UserError (ValueError)     the user's input or recipe; exit 2
    │   ├── RecipeError            a recipe: unknown key, bad value, a combination without effect
    │   ├── DataError              a file, a row, an item
    │   └── MissingExtra           an optional dependency is not installed
    ├── DamagedArtifact            a stored file is not what its manifest says; exit 1
    ├── TrainingFailed             not a number, diverged; exit 1
    └── Terminated                 SIGTERM or SIGINT arrived and the state was saved; exit 143

Every message is one sentence that names the file, the value and the remedy.
"""


class LikewiseError(Exception):
    """The base of all errors of this package; `exit_code` is what the command line returns."""

    exit_code = 1


class UserError(LikewiseError, ValueError):
    """Something the user can mend: the message says what and how."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe that cannot be run as written."""


class DataError(UserError):
    """A file, a row or an item that cannot be read as asked: a sentence of the form "reason; remedy."."""

    @property
    def reason(self) -> str:
        """The sentence without its remedy."""
        return self._parts[0]

    @property
    def remedy(self) -> str:
        """What the user can do; "mend it, or leave it out" where the sentence does not say."""
        return self._parts[1]

    @property
    def _parts(self) -> tuple[str, str]:
        reason, _, remedy = str(self).removesuffix(".").rpartition("; ")
        return (reason, remedy) if reason else (remedy, "mend it, or leave it out")


class MissingExtra(UserError):
    """An optional dependency that is not installed."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs an optional dependency: run pip install 'likewise[{extra}]'.")
        self.extra = extra


class DamagedArtifact(LikewiseError):
    """A stored file whose size or digest differs from its manifest."""


class TrainingFailed(LikewiseError):
    """Training that cannot go on: the loss or the weights are not finite."""


class Terminated(LikewiseError):
    """The process was asked to stop; what was whole has been saved."""

    exit_code = 143


def first_line(error: BaseException) -> str:
    """The first line of what some library says, without a full stop: part of a sentence of ours."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
