"""Every error of Tieline, named by what the caller does next.

TielineError
├─ ConfigurationError    fix the settings, the project's files or the machine; never retried
├─ ConcurrencyConflict   somebody else moved first: load again, decide again
├─ TransientError        try again, not before `retry_after_s`
│  ├─ RateLimited        the system says: too much, too fast
│  └─ VendorUnavailable  the system is down or unreachable; nothing was done
├─ OutcomeUnknown        the system may have acted: ask it before sending again
└─ PermanentError        a person decides: becomes a case
   ├─ RejectedByVendor
   ├─ AuthorizationFailed
   ├─ InvalidMessage      unreadable, unsigned, or not what its contract says
   └─ TranslationError    a mapping table could not make the document
"""

from __future__ import annotations


class TielineError(Exception):
    """Root of all errors raised on purpose. The message is a sentence for the person who must act."""


class ConfigurationError(TielineError):
    """Settings, a project file or the machine must be put right. Names the key and where it was read."""


class StoreFailed(ConfigurationError):
    """The database cannot be written: a full disk, a lock, damage. No process is to blame; the hub must stop."""


class ConcurrencyConflict(TielineError):
    """Somebody else changed the record first: load it again and decide again."""


class TransientError(TielineError):
    """Nothing was done; the same call may succeed later, not before `retry_after_s` seconds.

    `patience_s` says how long it is worth trying where that is longer than usual: somebody else has to do something.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0, patience_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s, self.patience_s = retry_after_s, patience_s


class RateLimited(TransientError):
    """The system refuses for now because of its limits; nothing was done."""


class VendorUnavailable(TransientError):
    """The system cannot be reached or says it is out of order; nothing was done."""


class OutcomeUnknown(TielineError):
    """The request left and no trustworthy answer came back: the system may have acted."""


class PermanentError(TielineError):
    """Trying again without a change cannot help: a person decides."""


class RejectedByVendor(PermanentError):
    """The system understood and refused. `vendor_code` and `request_id` are the system's own."""

    def __init__(self, message: str, *, vendor_code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.vendor_code = vendor_code
        self.request_id = request_id


class AuthorizationFailed(PermanentError):
    """The system does not accept our credentials or our rights."""


class InvalidMessage(PermanentError):
    """A message that cannot be read, is not signed as it should be, or breaks its contract."""


class TranslationError(PermanentError):
    """A mapping table could not make a document from this source."""
