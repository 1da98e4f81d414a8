"""What can be wrong with data.

ValueError
└── DataError: rows, columns or a source that cannot be read as the pipeline says
    └── NotThere: a file or folder that was named and does not exist

Every message names the subject, the rule, the value received and what to do. Bad *rows* are no
error here: they are kept, so that validation can put them into quarantine with a reason.
"""

from __future__ import annotations


class DataError(ValueError):
    """Rows, columns or a source that cannot be read as the pipeline says.

    Attributes:
        exit_code: Of the command line: refused by what the data must be.
    """

    exit_code = 3


class NotThere(DataError):
    """A file or folder that was named and does not exist.

    Attributes:
        exit_code: Of the command line: bad usage or configuration.
    """

    exit_code = 2
