"""Who may ask a server: TLS, bearer tokens, client certificates, and the names under which it may be asked."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tfrec.errors import InvalidInput

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")
"""What can stand behind "Bearer" (RFC 6750), and is too long to guess."""
_SCHEME: Final = "bearer "


@dataclass(frozen=True)
class Access:
    """Who may ask a server, and how what is said is protected. The same for REST and gRPC.

    Args:
        tls_cert: PEM file with the server's certificate and those that it needs to be trusted; None for no TLS.
        tls_key: PEM file with the certificate's key, without a password.
        token_file: File with one token a line. A request must bring one of them: `Authorization: Bearer TOKEN`. With
            two lines, clients can change to a new token while the old one still works.
        client_ca: PEM file with certificates; a client must have one that they signed (mutual TLS).
        insecure: Whether to listen beyond loopback without TLS and a token or client certificates.

    The files are read at once: a server that is to take new ones is started again.

    Raises:
        InvalidInput: a certificate without a key or the reverse, `client_ca` without a certificate, or a file that
            cannot be read or holds something else; the message says which.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None
    client_ca: Path | None = None
    insecure: bool = False
    _tokens: list[bytes] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InvalidInput("Expected a TLS certificate and its key (--tls-cert, --tls-key), received only one.")
        if self.client_ca and not self.tls_cert:
            raise InvalidInput("Expected a TLS certificate (--tls-cert, --tls-key) where clients must have one too.")
        self.ssl_context()
        if self.token_file:
            self._tokens.extend(map(_digest, read_tokens(self.token_file)))

    def refuse_open(self, host: str) -> None:
        """Raises `InvalidInput` if anyone beyond this machine could ask, or read along, at this address."""
        if self.insecure or is_loopback(host) or (self.tls_cert and (self.token_file or self.client_ca)):
            return
        raise InvalidInput(
            f"Expected TLS and a token or client certificates to listen on {host}, which others can reach. Pass "
            f"--tls-cert and --tls-key, and --token-file or --client-ca; or listen on 127.0.0.1 behind a proxy; or "
            f"pass --insecure if the network keeps others away."
        )

    def allows(self, authorization: str) -> bool:
        """Whether the value of an Authorization header brings a token, compared in constant time; "" for no header."""
        if not self._tokens:
            return True
        given = authorization[len(_SCHEME) :].strip() if authorization.lower().startswith(_SCHEME) else ""
        digest = _digest(given)
        return sum(hmac.compare_digest(digest, token) for token in self._tokens) > 0  # all are compared

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS of the REST server; None without TLS."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key, password="")  # "": never ask on the terminal
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise InvalidInput(
                f"Expected a PEM certificate and its key without a password in {self.tls_cert} and {self.tls_key}: "
                f"{_reason(error)}."
            ) from None
        if self.client_ca:
            try:
                context.load_verify_locations(self.client_ca)
            except (OSError, ValueError) as error:
                raise InvalidInput(f"Expected PEM certificates in {self.client_ca}: {_reason(error)}.") from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def grpc_credentials(self) -> Any:
        """The TLS of the gRPC server; None without TLS."""
        import grpc

        if self.tls_cert is None or self.tls_key is None:
            return None
        pair = self.tls_key.read_bytes(), self.tls_cert.read_bytes()
        root = self.client_ca.read_bytes() if self.client_ca else None
        return grpc.ssl_server_credentials([pair], root_certificates=root, require_client_auth=root is not None)


def read_tokens(path: Path) -> list[str]:
    """The tokens of a file, one a line; blank lines are skipped.

    Raises:
        InvalidInput: the file cannot be read, has no token, or a line is none. No message shows a token.
    """
    try:
        tokens = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"Expected a file with a token in {path}: {_reason(error)}.") from None
    tokens = [token.strip() for token in tokens if token.strip()]
    for number, token in enumerate(tokens, 1):
        if not _TOKEN.fullmatch(token):
            raise InvalidInput(
                f"Expected a token of at least 16 letters, digits and -._~+/ on each line of {path}; the one on line "
                f"{number} is none. Make one with: openssl rand -hex 32"
            )
    if not tokens:
        raise InvalidInput(f"Expected a token in {path}, it is empty. Make one with: openssl rand -hex 32")
    return tokens


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    Example:
        >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.com")]
        [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_own_name(header: str, allowed: Sequence[str] = ()) -> bool:
    """Whether a Host header names loopback or one of `allowed`, with or without a port.

    A page in a browser can point its own name at 127.0.0.1 (DNS rebinding) and so ask a server on loopback; its
    requests then come with that name.

    Example:
        >>> [is_own_name(host) for host in ("localhost:8501", "[::1]:8501", "127.0.0.1", "evil.example:8501")]
        [True, True, True, False]
    """
    name = re.sub(r":\d+$", "", header.strip()) if not header.endswith("]") else header
    name = name.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    return is_loopback(name) or name in [other.lower() for other in allowed]


def _digest(token: str) -> bytes:
    """Of equal length for all tokens, so that a comparison does not show how long they are."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
