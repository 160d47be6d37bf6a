"""What a client shows to a server, and whom it trusts."""

from __future__ import annotations

import re
import ssl
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput
from tfrec.serving.local.access import is_loopback


@dataclass(frozen=True)
class Credentials:
    """Token and certificates of a client, as in `Client`.

    Args:
        address: Address of the server.
        secure: Whether it is asked with TLS.
        token: Bearer token, or None.
        ca: PEM file with the certificates to trust; None for the usual ones.
        cert: PEM files of the client's certificate and key, or None.

    Raises:
        InvalidInput: a token that would be sent in the clear or cannot be sent at all, or certificates without TLS.
    """

    address: str
    secure: bool
    token: str | None = field(default=None, repr=False)
    ca: str | Path | None = None
    cert: tuple[str | Path, str | Path] | None = None

    def __post_init__(self) -> None:
        if self.secure:
            self.ssl_context()  # refuses files that are none
        elif self.ca or self.cert:
            raise InvalidInput(
                f"Expected https:// or grpcs:// with certificates, received the address {self.address!r}."
            )
        if self.token is None:
            return
        if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", self.token):  # the message must not show it
            raise InvalidInput(
                "Expected a token of letters, digits and -._~+/ as --token-file takes, received another."
            )
        host = urllib.parse.urlsplit(self.address if "://" in self.address else f"//{self.address}").hostname or ""
        if not self.secure and not is_loopback(host):
            raise InvalidInput(
                f"Expected https:// or grpcs:// with a token, which others could read; received {self.address!r}."
            )

    @property
    def headers(self) -> dict[str, str]:
        """The headers that show the token, in lower case, as gRPC wants them."""
        return {} if self.token is None else {"authorization": f"Bearer {self.token}"}

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS of REST."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert:
                context.load_cert_chain(*self.cert, password="")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = ", ".join(map(str, filter(None, (self.ca, *(self.cert or ())))))
            raise InvalidInput(f"Expected PEM files without a password in {files}: {error}") from None
        return context

    def grpc_credentials(self) -> Any:
        """The TLS of gRPC."""
        import grpc

        certificate, key = (Path(path).read_bytes() for path in self.cert) if self.cert else (None, None)
        return grpc.ssl_channel_credentials(Path(self.ca).read_bytes() if self.ca else None, key, certificate)
