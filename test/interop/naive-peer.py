"""A second peer of the protocol, written from docs/protocol.md alone: Python's standard library and the openssl command.

    naive-peer.py client PORT CERT KEY CA SKI RSA_SKI RSA_PUBLIC  asks a key server, prints what it got as JSON lines
    naive-peer.py server CERT KEY CA SITE_KEY SKI                 answers edges with one key, prints its port

The secret of ticket keys is 32 x 5a, the group "edges", the period an hour, and nobody is revoked.

Deliberately simple: one connection after the other, one request after the other.
"""

import hashlib
import hmac
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import time

ALPN = "keyless-tls/1"
RESPONSE, PING, PONG, ERROR, FUNCTION = 0xF0, 0xF1, 0xF2, 0xFF, 0x24
ORDER = [0x11, 0x12, 0x14, 0x04, 0x01, 0x03, 0x05, 0x02, 0x06, 0x13]
ECDSA_SHA256, RSA_PSS_SHA256, RSA_PKCS1_SHA256, RSA_DECRYPT = 0x15, 0x35, 0x05, 0x01
PERIOD, SECRET, GROUP = 3_600_000, b"\x5a" * 32, b"edges"


def encode(request_id, items):
    body = b"".join(bytes([tag]) + struct.pack(">H", len(items[tag])) + items[tag] for tag in ORDER if tag in items)
    used = 8 + len(body)
    if used < 1024:
        padding = max(0, 1024 - used - 3)
        body += b"\x20" + struct.pack(">H", padding) + bytes(padding)
    return struct.pack(">BBHI", 1, 0, len(body), request_id) + body


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def decode(connection):
    _, _, length, request_id = struct.unpack(">BBHI", read_exactly(connection, 8))
    body, items = read_exactly(connection, length), {}
    while body:
        tag, size = body[0], struct.unpack(">H", body[1:3])[0]
        items[tag], body = body[3 : 3 + size], body[3 + size :]
    return request_id, items


def context(purpose, cert, key, ca):
    made = ssl.create_default_context(purpose, cafile=ca)
    made.load_cert_chain(cert, key)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.set_alpn_protocols([ALPN])
    return made


def certificate_verify():
    return b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + os.urandom(32)


def hkdf(secret, salt, info, count):
    extracted, made, block = hmac.digest(salt, secret, "sha256"), b"", b""
    while len(made) < count:
        block = hmac.digest(extracted, block + info + bytes([len(made) // 32 + 1]), "sha256")
        made += block
    return made[:count]


def ticket_key(epoch):
    info = struct.pack(">IQ", PERIOD, epoch) + hashlib.sha256(b"").digest() + GROUP
    return hkdf(SECRET, b"keyless-tls/1 ticket-keys", info, 48)


def ticket_keys(now):
    epoch = now // PERIOD
    head = struct.pack(">IIQ", PERIOD, PERIOD - now % PERIOD, epoch)
    return head + b"".join(ticket_key(epoch + offset) for offset in (1, 0, -1, -2))


def openssl(*command, given):
    return subprocess.run(["openssl", *command], input=given, capture_output=True, check=True).stdout


def questions(ski, rsa_ski, rsa_public):
    """What is asked: a name, and items. Those of a premaster come with what it is."""
    key, rsa, function, message = {0x04: bytes.fromhex(ski)}, {0x04: bytes.fromhex(rsa_ski)}, {0x11: bytes([FUNCTION])}, certificate_verify()
    premaster = b"\x03\x03" + os.urandom(46)
    encrypt = ["pkeyutl", "-encrypt", "-pubin", "-inkey", rsa_public, "-pkeyopt"]
    encrypted = openssl(*encrypt, "rsa_padding_mode:pkcs1", given=premaster)
    nothing = openssl(*encrypt, "rsa_padding_mode:none", given=b"\0" + os.urandom(255))
    ask_premaster = {**function, 0x13: b"rsa-premaster", 0x14: b"\x03\x03", **rsa}

    def sign(what, opcode=ECDSA_SHA256, selector=key):
        return {0x11: bytes([opcode]), 0x12: hashlib.sha256(what).digest(), 0x14: what, 0x02: b"www.example.org", **selector}

    return {
        "ping": {0x11: bytes([PING]), 0x12: b"hello"},
        "capabilities": {**function, 0x13: b"capabilities"},
        "signature": sign(message),
        "again": sign(message),
        "under another name": {**sign(message), 0x02: b"www.example.net"},
        "signature of RSA": sign(certificate_verify(), RSA_PSS_SHA256, rsa),
        "premaster": {**ask_premaster, 0x12: encrypted},
        "no premaster": {**ask_premaster, 0x12: nothing},
        "another version": {**ask_premaster, 0x12: encrypted, 0x14: b"\x03\x02"},
        "ticket keys": {**function, 0x13: b"ticket-keys"},
        "a contract": sign(b"a contract, not a handshake"),
        "another key": sign(certificate_verify(), selector={0x04: bytes(20)}),
        "another kind of key": sign(certificate_verify(), RSA_PSS_SHA256),
        "another digest": {**sign(certificate_verify()), 0x12: bytes(32)},
        "no message": {0x11: bytes([ECDSA_SHA256]), 0x12: bytes(32), **key},
        "no opcode": {0x12: b"hello"},
        "an unknown opcode": {0x11: b"\x99"},
        "an unknown function": {**function, 0x13: b"sign:anything", **key},
        "a function without a name": function,
        "an answer": {0x11: bytes([RESPONSE]), 0x12: b"hello"},
        "a raw decryption": {0x11: bytes([RSA_DECRYPT]), 0x12: encrypted, **rsa},
    }, premaster


def client(port, cert, key, ca, ski, rsa_ski, rsa_public):
    tls = context(ssl.Purpose.SERVER_AUTH, cert, key, ca)
    asked, premaster = questions(ski, rsa_ski, rsa_public)
    with socket.create_connection(("127.0.0.1", int(port))) as raw, tls.wrap_socket(raw, server_hostname="localhost") as connection:
        print(json.dumps({"what": "connected", "alpn": connection.selected_alpn_protocol(), "premaster": premaster.hex()}))
        for request_id, (what, items) in enumerate(asked.items(), start=7):
            before = int(time.time() * 1000)
            connection.sendall(encode(request_id, items))
            answered, answer = decode(connection)
            assert answered == request_id
            line = {"what": what, "opcode": answer[0x11][0], "payload": answer[0x12].hex(), "message": items.get(0x14, b"").hex()}
            if what == "ticket keys":
                # An epoch may have ended meanwhile. Milliseconds until it ends: not equal, but near.
                derived = [ticket_keys(now) for now in (before, int(time.time() * 1000))]
                line["derived"] = any(answer[0x12][:4] + answer[0x12][8:] == each[:4] + each[8:] for each in derived)
            print(json.dumps(line))


def openssl_sign(key, opcode, message):
    options = {ECDSA_SHA256: [], RSA_PKCS1_SHA256: [], RSA_PSS_SHA256: ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"]}
    return openssl("dgst", "-sha256", "-sign", key, *options[opcode], given=message)


def decrypt(site_key, ciphertext):
    return openssl("pkeyutl", "-decrypt", "-inkey", site_key, "-pkeyopt", "rsa_padding_mode:none", given=ciphertext)


def premaster_of(site_key, ciphertext, version):
    """Not in constant time: naive."""
    label, block = b"keyless-tls/1 implicit rejection", decrypt(site_key, ciphertext)
    secret = hkdf(decrypt(site_key, b"\0\x03" + hkdf(label, b"", b"", len(block) - 3) + b"\0"), label, b"", 32)
    rejection, other_version = (hmac.digest(secret, purpose + ciphertext, "sha384") for purpose in (b"\0", b"\1"))
    padded = block[:2] == b"\0\x02" and b"\0" not in block[2:-49] and block[-49] == 0
    premaster = block[-48:] if padded else rejection
    return premaster if premaster[:2] == version else other_version


def function_of(items, site_key, ski):
    name = items.get(0x13)
    if name == b"capabilities":
        return json.dumps({"versions": [1], "functions": ["capabilities", "rsa-premaster", "ticket-keys"]}).encode()
    if name == b"ticket-keys":
        return ticket_keys(int(time.time() * 1000))
    if name == b"rsa-premaster" and items.get(0x04) == bytes.fromhex(ski):
        return premaster_of(site_key, items[0x12], items[0x14])
    return None


def answer_to(items, site_key, ski):
    opcode = items[0x11][0]
    if opcode == PING:
        return {0x11: bytes([PONG]), **({0x12: items[0x12]} if 0x12 in items else {})}
    if opcode == FUNCTION:
        made = function_of(items, site_key, ski)
        return {0x11: bytes([ERROR]), 0x12: b"\x05"} if made is None else {0x11: bytes([RESPONSE]), 0x12: made}
    if opcode not in (ECDSA_SHA256, RSA_PSS_SHA256, RSA_PKCS1_SHA256):
        return {0x11: bytes([ERROR]), 0x12: b"\x05"}
    if items.get(0x04) != bytes.fromhex(ski):
        return {0x11: bytes([ERROR]), 0x12: b"\x02"}
    if hashlib.sha256(items[0x14]).digest() != items[0x12]:
        return {0x11: bytes([ERROR]), 0x12: b"\x07"}
    return {0x11: bytes([RESPONSE]), 0x12: openssl_sign(site_key, opcode, items[0x14])}


def server(cert, key, ca, site_key, ski):
    tls = context(ssl.Purpose.CLIENT_AUTH, cert, key, ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            raw, _ = listening.accept()
            try:
                with tls.wrap_socket(raw, server_side=True) as connection:
                    while True:
                        request_id, items = decode(connection)
                        connection.sendall(encode(request_id, answer_to(items, site_key, ski)))
            except (EOFError, OSError):
                continue


{"client": client, "server": server}[sys.argv[1]](*sys.argv[2:])
