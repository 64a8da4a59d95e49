"""A minimal HTTP/2 client (RFC 9113) that can leave a request or a response unfinished."""

import select
import socket
import ssl
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
CANCEL = 8
ACK = END_STREAM = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE = 4
DEFAULT_WINDOW = 65_535
# Of each operation, in seconds.
TIMEOUT = 5


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field without indexing (RFC 7541, section 6.2.2); both texts are short."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def indexed(name, value):
    """A header field that the receiver keeps in its dynamic table (section 6.2.1)."""
    length = len(value) - 127
    encoded = b"\x7f"
    while length > 127:
        encoded += bytes([length & 127 | 128])
        length >>= 7
    return b"\x40" + bytes([len(name)]) + name.encode() + encoded + bytes([length]) + value.encode()


# The newest field of the dynamic table (section 6.1).
NEWEST_FIELD = b"\xbe"


def grpc_headers(path):
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
              ("content-type", "application/grpc"), ("te", "trailers")]
    return b"".join(literal(name, value) for name, value in fields)


class Connection:
    """A connection whose response window is `window` bytes for each stream."""

    def __init__(self, port, window=DEFAULT_WINDOW):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
        self.connection_window = DEFAULT_WINDOW
        self.initial_window = DEFAULT_WINDOW
        self.windows = {}
        self.received = b""
        self.next_stream = 1

    def begin(self, path):
        """Sends the headers of a request; returns its stream."""
        stream = self.new_stream()
        self.windows[stream] = self.initial_window
        self.socket.sendall(frame(HEADERS, END_HEADERS, stream, grpc_headers(path)))
        return stream

    def send(self, stream, body, end):
        """Sends bytes of a body as the server's windows allow; may wait for it."""
        while body:
            room = min(self.connection_window, self.windows[stream], 16_384, len(body))
            if room <= 0:
                self.read()
                continue
            part, body = body[:room], body[room:]
            self.connection_window -= room
            self.windows[stream] -= room
            last = END_STREAM if end and not body else 0
            self.socket.sendall(frame(DATA, last, stream, part))

    def new_stream(self):
        stream = self.next_stream
        self.next_stream += 2
        return stream

    def drain(self):
        """Handles what the server has sent, without waiting."""
        while select.select([self.socket], [], [], 0)[0]:
            self.read()

    def read(self):
        """Handles what the server has sent, and waits until it has sent something."""
        received = self.socket.recv(65_536)
        if not received:
            raise ConnectionError("closed by the server")
        self.received += received
        while len(self.received) >= 9:
            length = int.from_bytes(self.received[:3], "big")
            if len(self.received) < 9 + length:
                return
            kind, flags = self.received[3], self.received[4]
            stream = int.from_bytes(self.received[5:9], "big")
            payload = self.received[9:9 + length]
            self.received = self.received[9 + length:]
            self.handle(kind, flags, stream, payload)

    def handle(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at:at + 6])
                if name == INITIAL_WINDOW_SIZE:
                    for known in self.windows:
                        self.windows[known] += value - self.initial_window
                    self.initial_window = value
            self.socket.sendall(frame(SETTINGS, ACK, 0))
        elif kind == WINDOW_UPDATE:
            increment = int.from_bytes(payload, "big")
            if stream:
                self.windows[stream] = self.windows.get(stream, self.initial_window) + increment
            else:
                self.connection_window += increment
        elif kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            raise ConnectionError("GOAWAY")


def is_open(connection):
    """Whether the server has not ended it."""
    connection = getattr(connection, "socket", connection)
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        connection.settimeout(TIMEOUT)


def silent(port):
    """A connection that says nothing."""
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)


def silent_in_handshake(port):
    """A connection that ends its TLS handshake after the first message."""
    connection = silent(port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        connection.sendall(outgoing.read())
    return connection
