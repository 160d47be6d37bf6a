"""Who may ask: tokens, certificates and names, over REST and gRPC, with the client and without."""

import logging
import shutil
from pathlib import Path

import pytest

from tests.serving.certificates import Authority
from tests.serving.local.fake_model import answer, request, with_server
from tfrec.errors import InvalidInput, Unavailable
from tfrec.serving import Access, Client, LocalServer, ServerError, ServerOptions
from tfrec.serving.local.access import is_own_name, read_tokens

TOKEN, NEXT = "a" * 15 + "-_.~+/9=", "b" * 32


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of a server, of a client, and of a stranger whose certificate nobody trusts."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, theirs = Authority(folder), Authority(folder, "stranger")
    tokens = folder / "tokens"
    tokens.write_text(f"{TOKEN}\n\n{NEXT}\n")
    return {
        "ca": ours.path, "tokens": tokens, "server": ours.issue("server"), "client": ours.issue("client"),
        "other_ca": theirs.path, "stranger": theirs.issue("someone"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def protected(files, toy, tmp_path_factory):
    """A server that asks for a token and a client certificate."""
    folder = tmp_path_factory.mktemp("models") / "m"
    shutil.copytree(toy(1), folder / "1")
    access = Access(files["server"].cert, files["server"].key, files["tokens"], files["ca"])
    with LocalServer(folder, options=ServerOptions(rest_port=0, grpc_port=0, access=access)) as server:
        yield server


@pytest.fixture(params=["rest", "grpc"])
def call(request, protected, files):
    """Calls the protected server: `call(token=…)`; what is not given is right."""

    def calling(**given):
        right = {"token": TOKEN, "ca": files["ca"], "cert": (files["client"].cert, files["client"].key), "retries": 0}
        with Client(getattr(protected, request.param), "m", **{**right, "deadline": 5.0, **given}) as client:
            return client.predict({"n": [1]}, signature="one")

    return calling


def test_who_has_a_token_and_a_certificate_is_answered(call, protected):
    assert protected.rest.startswith("https://") and protected.grpc.startswith("grpcs://")
    for token in (TOKEN, NEXT):
        assert [*call(token=token).values()] == [[2]]


@pytest.mark.parametrize("token", [None, TOKEN[:-1], "a" + TOKEN, "c" * 32])
def test_who_has_no_token_is_refused(call, token):
    with pytest.raises(ServerError, match="token") as error:
        call(token=token)
    assert error.value.status in (401, "UNAUTHENTICATED")


def test_who_has_no_certificate_or_a_strangers_is_refused(call, files):
    for cert in (None, (files["stranger"].cert, files["stranger"].key)):
        with pytest.raises(Unavailable):
            call(cert=cert, deadline=1.0)


def test_a_server_that_the_client_does_not_trust_gets_no_token(call, files):
    with pytest.raises(Unavailable, match=r"not trusted|CERTIFICATE_VERIFY_FAILED|[Hh]andshake|connect"):
        call(ca=files["other_ca"], deadline=1.0)


def test_a_token_alone_is_asked_for_by_every_route(files, caplog):
    async def scenario(running):
        import asyncio

        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        statuses = []
        for path in ("/v1/models/m", "/monitoring/prometheus/metrics", "/openapi.json", "/v1/models/m:predict"):
            for shown in ("", "Bearer wrong", f"Basic {TOKEN}", f"bearer {TOKEN}"):
                line = f"Authorization: {shown}\r\n" if shown else ""
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{line}\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().split("content-length: ")[1].split()[0])
                await reader.readexactly(length)
                statuses.append(int(head.split()[1]))
                assert ("WWW-Authenticate: Bearer" in head) == (statuses[-1] == 401)
        writer.write(request([3], f"Authorization: Bearer {NEXT}"))
        return statuses, (await answer(reader)).body

    with caplog.at_level(logging.DEBUG):
        statuses, body = with_server(scenario, ServerOptions(access=Access(token_file=files["tokens"])))
    assert [s == 401 for s in statuses] == [True, True, True, False] * 4 and body == {"outputs": [6]}
    assert TOKEN not in caplog.text and TOKEN not in repr(Access(token_file=files["tokens"]))


@pytest.mark.parametrize(
    ("host", "options", "status"),
    [
        ("localhost:8501", {}, 200),
        ("[::1]", {}, 200),
        ("LOCALHOST.", {}, 200),
        ("evil.example:8501", {}, 403),
        ("localhost.evil.example", {}, 403),
        ("", {}, 403),
        ("shop.example", {"allowed_hosts": ("Shop.example",)}, 200),
        ("evil.example", {"allowed_hosts": ("Shop.example",)}, 403),
        ("anything.example", {"host": "0.0.0.0", "access": Access(insecure=True)}, 200),
    ],
)
def test_on_loopback_the_host_must_be_this_machine(host, options, status):
    async def scenario(running):
        import asyncio

        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request([3]).replace(b"Host: localhost", f"Host: {host}".encode()))
        return (await answer(reader)).status

    assert with_server(scenario, ServerOptions(**options)) == status


def test_beyond_loopback_a_server_needs_tls_and_a_way_to_know_its_clients(files):
    cert, key = files["server"].cert, files["server"].key
    open_to_all = [
        Access(), Access(token_file=files["tokens"]), Access(tls_cert=cert, tls_key=key),
    ]  # fmt: skip
    for access in open_to_all:
        ServerOptions(host="127.0.0.2", access=access)
        for host in ("0.0.0.0", "::", "192.0.2.1", "shop.example"):
            with pytest.raises(InvalidInput, match="--insecure"):
                ServerOptions(host=host, access=access)
    for access in (
        Access(cert, key, token_file=files["tokens"]), Access(cert, key, client_ca=files["ca"]), Access(insecure=True),
    ):  # fmt: skip
        ServerOptions(host="0.0.0.0", access=access)


def test_files_that_are_no_certificates_keys_or_tokens_are_refused(files, tmp_path):
    cert, key, odd = files["server"].cert, files["server"].key, tmp_path / "odd"
    odd.write_text("no certificate")
    for arguments, message in [
        ({"tls_cert": cert}, "received only one"),
        ({"client_ca": cert}, "clients must have one too"),
        ({"tls_cert": cert, "tls_key": files["client"].key}, "server.pem"),
        ({"tls_cert": odd, "tls_key": key}, "odd"),
        ({"tls_cert": cert, "tls_key": tmp_path / "none"}, "No such file"),
        ({"tls_cert": cert, "tls_key": key, "client_ca": odd}, "odd"),
        ({"token_file": tmp_path}, "Is a directory"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            Access(**arguments)


@pytest.mark.parametrize("text", ["", "\n \n", "short", "has a space in it somewhere", f"{TOKEN}\nshört" + "x" * 20])
def test_a_token_file_without_good_tokens_is_refused_and_not_shown(text, tmp_path):
    path = Path(tmp_path / "tokens")
    path.write_text(text)
    with pytest.raises(InvalidInput, match=r"openssl rand|Expected a file") as error:
        read_tokens(path)
    assert not text.strip() or text.strip() not in str(error.value)


@pytest.mark.parametrize(
    ("address", "arguments"),
    [
        ("http://shop.example:8501", {"token": TOKEN}),
        ("shop.example:8500", {"token": TOKEN}),
        ("http://127.0.0.1", {"token": "a\r\nb"}),
        ("http://127.0.0.1", {"ca": "ca.pem"}),
        ("https://127.0.0.1", {"ca": "none.pem"}),
        ("grpcs://127.0.0.1", {"cert": ("none.pem", "none.key")}),
    ],
)
def test_what_a_client_cannot_send_or_trust_is_refused(address, arguments):
    with pytest.raises(InvalidInput, match="Expected") as error:
        Client(address, "m", **arguments)
    assert "a\r\nb" not in str(error.value) and TOKEN not in str(error.value)


def test_a_name_is_one_with_or_without_a_port():
    assert is_own_name("shop.example:443", ["shop.example"]) and not is_own_name("shop.example.evil", ["shop.example"])
