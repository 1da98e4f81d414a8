"""What can go wrong with a store.

StorageError (Exception): the store refused or could not do what was asked
├── NotFound: nothing stands under the key
├── AlreadyExists: `if_absent` was asked for and the key is taken
└── Unreachable: the service did not answer, also after its retries

Every message says what could not be done, where, and what to do; none holds a secret.
"""

from __future__ import annotations


class StorageError(Exception):
    """The store refused or could not do what was asked."""


class NotFound(StorageError):
    """Nothing stands under the key."""


class AlreadyExists(StorageError):
    """`if_absent` was asked for and the key is taken.

    Attributes:
        retried: True where an earlier attempt of the same write may have taken it.
    """

    retried: bool = False


class Unreachable(StorageError):
    """The service did not answer, also after its retries."""
