"""What of the requests to a server is logged, and for how long."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tfrec.data.ingest.pseudonyms import parse_keys, read_keys
from tfrec.errors import InvalidInput

KEY_VARIABLE: Final = "TFREC_REQUEST_LOG_KEY"
_OPTION: Final = "--request-log-key"


@dataclass(frozen=True)
class RequestLogOptions:
    """What of the requests is logged, and for how long.

    Args:
        folder: Folder of the log. It is made if it does not exist.
        key: File of keys for the pseudonyms of users, as for `data.pseudonym_key`. None: the keys that the environment
            variable TFREC_REQUEST_LOG_KEY holds.
        rate: Share of the requests that is logged, drawn for each by itself.
        days: Days after which a line is gone.

    Raises:
        InvalidInput: There is no key, or others may read its file, the rate is not in (0, 1], a day is the least, or
            the folder cannot be written to.
    """

    folder: Path
    key: Path | None = None
    rate: float = 0.01
    days: int = 30
    _keys: list[bytes] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise InvalidInput(f"Expected a share of logged requests above 0 and up to 1, received {self.rate}.")
        if self.days < 1:
            raise InvalidInput(f"Expected request logs to be kept for at least 1 day, received {self.days}.")
        self._keys.extend(request_log_keys(self.key))
        if not self._keys:
            raise InvalidInput(
                f"Expected a key for the pseudonyms in the request log: {_OPTION} FILE, or the key in ${KEY_VARIABLE}."
            )
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"Expected a folder for the request log in {self.folder}: {error.strerror}.") from None
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise InvalidInput(f"Expected a folder for the request log that can be written to, received {self.folder}.")

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys, the oldest first."""
        return tuple(self._keys)


def request_log_keys(path: str | Path | None) -> list[bytes]:
    """The keys of request logs, the oldest first: those of a file, else those of the environment, else none."""
    if path is not None:
        return read_keys(path, _OPTION)
    text = os.environ.get(KEY_VARIABLE, "")
    return parse_keys(text, f"${KEY_VARIABLE}", _OPTION) if text else []
