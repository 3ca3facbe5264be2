"""A node's control API over its unix socket, as holdctl speaks it: a dictionary, or None when nobody answers."""
import http.client
import json
import socket


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(path, target, method="GET", body=None, timeout=2.0):
    """(HTTP status, document), or (None, None)."""
    connection = UnixConnection(str(path), timeout)
    try:
        connection.request(method, target, body=None if body is None else json.dumps(body))
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    except (OSError, ValueError, http.client.HTTPException):
        return None, None
    finally:
        connection.close()


def get(path, target, timeout=2.0):
    status, document = ask(path, target, timeout=timeout)
    return document if status == 200 else None
