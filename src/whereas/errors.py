"""The one expected failure of the program."""


class WhereasError(Exception):
    """Something the user can mend.

    Args:
        what: what is wrong, one line, no trailing full stop.
        fix: what to do about it, one line. Lists the valid options where there are any.

    The command line prints both lines and exits with 2. Every other exception is a bug.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(f"{what}. {fix}" if fix else what)
        self.what = what
        self.fix = fix
