"""A second peer of the protocol, written from docs/protocol.md alone: Python's standard library and the openssl command.

    naive-peer.py client PORT CERT KEY CA SKI     asks a key server, prints what it got as JSON lines
    naive-peer.py server CERT KEY CA SITE_KEY SKI  answers edges with one key, prints its port

Deliberately simple: one connection after the other, one request after the other.
"""

import hashlib
import json
import os
import socket
import ssl
import struct
import subprocess
import sys

ALPN = "keyless-tls/1"
RESPONSE, PING, PONG, ERROR = 0xF0, 0xF1, 0xF2, 0xFF
ORDER = [0x11, 0x12, 0x14, 0x04, 0x01, 0x03, 0x05, 0x02, 0x06, 0x13]
ECDSA_SHA256, RSA_PSS_SHA256, RSA_PKCS1_SHA256 = 0x15, 0x35, 0x05


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


def client(port, cert, key, ca, ski):
    tls = context(ssl.Purpose.SERVER_AUTH, cert, key, ca)
    with socket.create_connection(("127.0.0.1", int(port))) as raw, tls.wrap_socket(raw, server_hostname="localhost") as connection:
        def ask(request_id, items):
            connection.sendall(encode(request_id, items))
            answered, answer = decode(connection)
            assert answered == request_id
            return answer

        def sign(request_id, message):
            digest = hashlib.sha256(message).digest()
            answer = ask(request_id, {0x11: bytes([ECDSA_SHA256]), 0x12: digest, 0x14: message, 0x04: bytes.fromhex(ski), 0x02: b"www.example.org"})
            return {"opcode": answer[0x11][0], "payload": answer[0x12].hex(), "message": message.hex()}

        pong = ask(7, {0x11: bytes([PING]), 0x12: b"hello"})
        print(json.dumps({"opcode": pong[0x11][0], "payload": pong[0x12].hex(), "alpn": connection.selected_alpn_protocol()}))
        message = certificate_verify()
        for request_id, asked in [(8, message), (9, message), (10, b"a contract, not a handshake")]:
            print(json.dumps(sign(request_id, asked)))


def openssl_sign(key, opcode, message):
    options = {ECDSA_SHA256: [], RSA_PKCS1_SHA256: [], RSA_PSS_SHA256: ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"]}
    command = ["openssl", "dgst", "-sha256", "-sign", key, *options[opcode]]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


def answer_to(items, site_key, ski):
    opcode = items[0x11][0]
    if opcode == PING:
        return {0x11: bytes([PONG]), **({0x12: items[0x12]} if 0x12 in items else {})}
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
