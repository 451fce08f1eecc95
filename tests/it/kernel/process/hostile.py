"""Clients that do not have the key, do not speak the protocol, say too much, or are killed in the middle of a message."""
import json
import socket
import struct
import uuid

import zmq
from client import is_in, kernel, until
from jupyter_client.session import Session

GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32
READY = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"


def raw(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=10)
    return s


def greeted(port):
    s = raw(port)
    s.sendall(GREETING + READY)
    got = b""
    while len(got) < 64 + 30:
        part = s.recv(4096)
        assert part, "the kernel greets"
        got += part
    return s


def is_closed(s):
    """Whether the kernel ends the connection by itself."""
    try:
        while s.recv(4096):
            pass
        return True
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


with kernel() as k:
    info = k.manager.get_connection_info()
    ports = [info[name + "_port"] for name in ("shell", "iopub", "stdin", "control", "hb")]
    context = zmq.Context()

    def dealer(port):
        s = context.socket(zmq.DEALER)
        s.connect(f"tcp://127.0.0.1:{port}")
        s.RCVTIMEO = 400
        return s

    def silent(s):
        try:
            s.recv_multipart()
            return False
        except zmq.Again:
            return True

    # Another key: nothing runs, nothing is answered, and it is said.
    stranger = Session(key=b"another", signature_scheme="hmac-sha256")
    for port in (info["shell_port"], info["control_port"]):
        s = dealer(port)
        stranger.send(s, "execute_request", {"code": "let intruded = 1;", "silent": False})
        stranger.send(s, "shutdown_request", {"restart": False})
        s.send_multipart([b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"])
        s.send_multipart([b"no delimiter"])
        s.send_multipart([b"<IDS|MSG>"])
        assert silent(s), "a message with a wrong signature was answered"
        s.close(0)
    # The right key, and no message.
    own = Session(key=info["key"], signature_scheme="hmac-sha256")
    s = dealer(info["shell_port"])
    for parts in ([b"[]", b"{}", b"{}", b"{}"], [b"{", b"{}", b"{}", b"{}"], [b"{}", b"{}", b"{}", b"\xff\xfe"], [b"{}"] * 4, [b"[" * 9999] * 4):
        s.send_multipart([b"<IDS|MSG>", own.sign(parts)] + parts)
    own.send(s, "no_such_request", {})
    own.send(s, "execute_request", {"code": 5, "silent": "yes", "user_expressions": [1]})
    own.send(s, "complete_request", {"code": "x", "cursor_pos": -5})
    own.send(s, "history_request", {"hist_access_type": "range", "start": "a", "n": 1e300})
    own.send(s, "inspect_request", {"code": "🙂", "cursor_pos": 10**30})
    s.close(200)
    # No ZeroMQ at all; and what is cut off anywhere.
    for port in ports:
        for text in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 64, b"\0" * 200, GREETING[:12] + b"CURVE".ljust(20, b"\0") + b"\0" * 40):
            s = raw(port)
            s.sendall(text)
            assert is_closed(s), "what does not speak ZMTP stays connected"
            s.close()
        whole = GREETING + READY + b"\x01\x03abc\x02" + struct.pack(">Q", 300) + b"y" * 100
        for n in (1, 11, 64, 70, len(GREETING + READY), len(whole) - 102, len(whole) - 1, len(whole)):
            s = raw(port)
            s.sendall(whole[:n])
            s.close()
    # A frame that is announced as larger than any message; and more parts than any message has.
    for frame in (b"\x02" + struct.pack(">Q", 1 << 60), b"\x01\x00" * 5000):
        s = greeted(info["shell_port"])
        s.sendall(frame)
        assert is_closed(s), "an oversized message was taken"
        s.close()
    # More connections than there is room for do not shut out those that are there.
    many = [raw(info["hb_port"]) for _ in range(80)]
    for s in many:
        s.close()
    # A client that is killed while its cell runs, in the middle of the next message.
    s = greeted(info["shell_port"])
    body = [p if isinstance(p, bytes) else p.encode() for p in own.serialize(own.msg("execute_request", {"code": "let from_the_dead = 1;"}))]
    wire = b"".join((b"\x01" if i + 1 < len(body) else b"\x00") + bytes([len(p)]) + p if len(p) < 256 else (b"\x03" if i + 1 < len(body) else b"\x02") + struct.pack(">Q", len(p)) + p for i, p in enumerate(body))
    s.sendall(wire + wire[: len(wire) // 2])
    s.close()

    assert k.client.is_alive() and k.process.poll() is None
    assert k.value("1 + 1") == "2"
    is_in("unknown variable `intruded`", k.value("intruded"))
    until(lambda: k.value("from_the_dead") == "1", "the whole message of the client that was killed", 10)
    log = k.said()
    is_in("its signature is wrong", log)
    is_in("larger than", log)
    is_in("does not speak ZMTP", log)
    assert "panicked" not in log, log
    context.destroy(0)
print("all well")
