"""outbound: only the public internet is reached, whatever a name says, and nothing lasts longer than it may."""

import datetime
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared import outbound
from shared.outbound import OutboundError, Reply, post
from shared.outbound.targets import may_be_reached, target_of
from shared.settings import settings
from tests.receivers import Receiver, receiving

SECONDS = 20.0
MADE_UP = {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_ANON_KEY": "anon"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings of a deployment."""
    for name, value in MADE_UP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WEBHOOK_ALLOW_PRIVATE", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the local stack."""
    monkeypatch.setenv("WEBHOOK_ALLOW_PRIVATE", "on")
    settings.cache_clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def failure_of(url: str, seconds: float = SECONDS) -> str:
    with pytest.raises(OutboundError) as failed:
        post(url, b"{}", {}, seconds)
    return failed.value.code


CLOSED = {
    "this host": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fdff::1", "fec0::1"],
    "link-local": ["169.254.0.1", "169.254.169.254", "fe80::1", "fe80::1%eth0"],
    "metadata": ["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200",
                 "192.0.0.192", "168.63.129.16"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "broadcast and reserved": ["255.255.255.255", "240.0.0.1"],
    "benchmark and documentation": ["198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "protocols": ["192.0.0.8", "192.88.99.1", "2001:20::1"],
    "IPv4 mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254"],
    "IPv4 compatible": ["::127.0.0.1", "::8.8.8.8"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1"],
    "6to4 and Teredo": ["2002:7f00:1::1", "2001::1"],
    "discard and segment routing": ["100::1", "5f00::1"],
}  # fmt: skip
OPEN = ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "198.17.0.1",
        "223.255.255.1", "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"]  # fmt: skip
CLOSED_ADDRESSES = sorted({address for addresses in CLOSED.values() for address in addresses})


@pytest.mark.parametrize("address", CLOSED_ADDRESSES)
def test_an_address_that_is_not_public_is_refused(address: str, stub: Callable[..., None]) -> None:
    assert not may_be_reached(address)
    stub([address])
    assert failure_of("https://receiver.example/") == "refused_address"
    literal = f"[{address}]" if ":" in address else address
    assert failure_of(f"https://{literal}/") == "invalid_url"


@pytest.mark.parametrize("address", OPEN)
def test_an_address_of_the_public_internet_is_not_refused(address: str) -> None:
    assert may_be_reached(address)
    assert target_of(f"https://[{address}]/" if ":" in address else f"https://{address}/")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let every name resolve to these addresses, a different list at each lookup; the last one stays."""

    def answer(*lists: list[str]) -> None:
        left = list(lists)
        monkeypatch.setattr(outbound, "_resolve", lambda *_: left.pop(0) if len(left) > 1 else left[0])

    return answer


@pytest.mark.parametrize("closed", ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1"])
def test_one_closed_address_among_open_ones_is_enough_to_refuse(closed: str, stub: Callable[..., None]) -> None:
    stub(["8.8.8.8", closed])
    assert failure_of("https://receiver.example/") == "refused_address"


def test_a_name_that_resolves_differently_a_moment_later_leads_nowhere_else(
    receiver: Receiver, stub: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        tried.append(address[0])
        raise ConnectionRefusedError

    stub(["8.8.8.8"], ["127.0.0.1"])
    monkeypatch.setattr("socket.create_connection", connect)
    assert failure_of(f"https://receiver.example:{receiver.port}/") == "connection_failed"
    assert tried == ["8.8.8.8"]
    assert receiver.connections == 0


def test_what_is_connected_to_is_the_address_that_was_checked_and_not_the_name(
    receiver: Receiver, private: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tried = socket.create_connection, []

    def connect(address: tuple[str, int], *rest: Any, **more: Any) -> socket.socket:
        tried.append(address[0])
        return real(address, *rest, **more)

    monkeypatch.setattr("socket.create_connection", connect)
    assert post(f"http://localhost:{receiver.port}/", b"{}", {}, SECONDS).status == 200
    assert tried[-1] == "127.0.0.1"
    assert receiver.received[0].headers["host"] == f"localhost:{receiver.port}"


def test_ipv4_is_tried_first_and_another_address_where_one_does_not_answer(
    receiver: Receiver, private: None, stub: Callable[..., None]
) -> None:
    stub(["::1", "127.0.0.2", "127.0.0.1"])
    assert post(f"http://receiver.example:{receiver.port}/", b"{}", {}, SECONDS).status == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/",
        "ftp://receiver.example/",
        "//receiver.example/",
        "https:receiver.example",
        "https:///path",
        "https://",
        "https://user:pass@receiver.example/",
        "https://user@receiver.example/",
        "https://8.8.8.8@127.0.0.1/",
        "https://receiver.example/#fragment",
        "https://receiver.example\\@127.0.0.1/",
        "https://receiver.example/ path",
        "https://receiver.example/\r\nHost: inner",
        "https://receiver.example:0/",
        "https://receiver.example:22/",
        "https://receiver.example:25/",
        "https://receiver.example:65536/",
        "https://receiver.example:x/",
        "https://localhost/",
        "https://intranet/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[2606:4700::1%25lo]/",
        "https://[::1/",
        "https://%6c%6f.example/",
        "https://receiver.example./",
        "https://-receiver.example/",
        "https://résumé.example/",
        "https://receiver.example/" + "x" * 2001,
        "",
    ],
)
def test_a_url_that_may_not_be_posted_to_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|Invalid"):
        target_of(url)
    assert failure_of(url) == "invalid_url"


@pytest.mark.parametrize(
    ("url", "port", "path"),
    [
        ("https://receiver.example", 443, "/"),
        ("https://receiver.example?x=1", 443, "/?x=1"),
        ("https://Receiver.Example:8443/a/b?x=%20", 8443, "/a/b?x=%20"),
        ("https://xn--rsum-bpad.example:443/", 443, "/"),
        ("https://my_bucket.receiver.example/", 443, "/"),
        ("https://[2606:4700::1]:1024/", 1024, "/"),
    ],
)
def test_a_url_is_taken_apart_once(url: str, port: int, path: str) -> None:
    found = target_of(url)
    assert (found.port, found.path) == (port, path)


@pytest.mark.parametrize("port", [22, 25, 80])
def test_low_ports_stay_closed_where_private_addresses_are_open(port: int, private: None) -> None:
    assert failure_of(f"http://127.0.0.1:{port}/") == "invalid_url"


def test_a_name_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(outbound, "_resolve", lookup)
    assert failure_of("https://receiver.example/") == "name_not_found"


def test_a_name_server_that_never_answers_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    released = receiver._stop
    monkeypatch.setattr(outbound, "_resolve", lambda *_: released.wait(60) and [])
    assert failure_of("https://receiver.example/", seconds=0.2) == "timeout"


def test_what_is_posted_arrives_and_what_is_answered_comes_back(receiver: Receiver, private: None) -> None:
    receiver.status, receiver.answer_headers = 429, {"Retry-After": "120"}
    reply = post(receiver.url, b'{"a": 1}', {"Webhook-Id": "evt_1"}, SECONDS)
    assert reply == Reply(429, "120", b"thanks")
    [request] = receiver.received
    assert request.line == "POST /hook?token=in-the-url HTTP/1.1"
    assert (request.headers["webhook-id"], request.headers["content-length"]) == ("evt_1", "8")
    assert (request.body, request.headers["host"]) == (b'{"a": 1}', f"127.0.0.1:{receiver.port}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int, receiver: Receiver, private: None) -> None:
    with receiving() as inner:
        receiver.status, receiver.answer_headers = status, {"Location": inner.url}
        assert post(receiver.url, b"{}", {}, SECONDS).status == status
        assert inner.connections == 0


@pytest.mark.parametrize("manner", ["hang", "trickle_head"])
def test_a_slow_receiver_is_waited_for_only_so_long(manner: Any, receiver: Receiver, private: None) -> None:
    receiver.manner = manner
    assert failure_of(receiver.url, seconds=1.0) == "timeout"


@pytest.mark.parametrize("manner", ["endless", "trickle_body", "cut_body"])
def test_the_status_alone_decides_whatever_becomes_of_the_body(manner: Any, receiver: Receiver, private: None) -> None:
    receiver.manner = manner
    reply = post(receiver.url, b"{}", {}, SECONDS)
    assert reply.status == 200
    assert reply.excerpt.startswith(b"thanks")
    assert len(reply.excerpt) <= 1024


def test_a_body_that_trickles_is_not_waited_for_to_the_end(receiver: Receiver, private: None) -> None:
    receiver.manner = "trickle_body"
    assert len(post(receiver.url, b"{}", {}, SECONDS).excerpt) < 200  # of 20 bytes a second


def test_a_compressed_bomb_is_not_unpacked(receiver: Receiver, private: None) -> None:
    receiver.answer_headers = {"Content-Encoding": "gzip"}
    receiver.answer_body = b"\x1f\x8b" + b"\0" * 100_000
    assert len(post(receiver.url, b"{}", {}, SECONDS).excerpt) == 1024


@pytest.mark.parametrize(("manner", "code"), [("garbage", "invalid_response"), ("die", "invalid_response")])
def test_what_is_no_answer_is_told(manner: Any, code: str, receiver: Receiver, private: None) -> None:
    receiver.manner = manner
    assert failure_of(receiver.url) in (code, "connection_failed")


def test_nobody_listening_is_told(private: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert failure_of(f"http://127.0.0.1:{port}/") == "connection_failed"


def test_proxies_of_the_environment_are_not_used(
    receiver: Receiver, private: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(receiver.url, b"{}", {}, SECONDS).status == 200
        assert proxy.connections == 0


# TLS: the certificate is judged by the name, although the address is what is connected to.


class Authority:
    """A certificate authority that nobody but these tests trusts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)  # signs certificates
        public = self._key.public_key()
        self._certificate = self._signed(self._name, public, x509.BasicConstraints(True, None), usage)
        self.trusting = ssl.create_default_context(
            cadata=self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        )

    def server(self, host: str) -> ssl.SSLContext:
        """Return the TLS settings of a server that proves to be this host."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._signed(subject, key.public_key(), x509.SubjectAlternativeName([x509.DNSName(host)]))
        path = self._folder / f"{host}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    found = Authority(tmp_path)
    monkeypatch.setattr(outbound, "_tls", lambda: found.trusting)
    return found


def test_a_certificate_for_the_name_is_taken_from_the_address(
    authority: Authority, private: None, stub: Callable[..., None]
) -> None:
    stub(["127.0.0.1"])
    with receiving(tls=authority.server("receiver.example")) as receiver:
        assert post(f"https://receiver.example:{receiver.port}/", b"{}", {}, SECONDS).status == 200


def test_a_certificate_for_another_name_is_refused(
    authority: Authority, private: None, stub: Callable[..., None]
) -> None:
    stub(["127.0.0.1"])
    with receiving(tls=authority.server("another.example")) as receiver:
        assert failure_of(f"https://receiver.example:{receiver.port}/") == "tls_failed"
        assert receiver.received == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, private: None, stub: Callable[..., None]
) -> None:
    stub(["127.0.0.1"])
    with receiving(tls=Authority(tmp_path).server("receiver.example")) as receiver:
        assert failure_of(f"https://receiver.example:{receiver.port}/") == "tls_failed"


def test_a_handshake_that_never_ends_is_waited_for_only_so_long(private: None, stub: Callable[..., None]) -> None:
    stub(["127.0.0.1"])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://receiver.example:{silent.getsockname()[1]}/"
        assert failure_of(url, seconds=0.5) == "timeout"
