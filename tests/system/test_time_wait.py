"""A connection that is over: whoever adopts what is left of it answers its last segment as the node did that ended it."""
import struct
import time

from tests.system.harness import VIRTUAL_MAC, Capture, check, limit, plan, read_pcap, wait_new_holder
from tests.system.test_forward import curl
from tests.system.test_tls import curl_words

FIN, RST, ACK = 1, 4, 16

REPLAY = """
import socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((sys.argv[1], 0))
raw.send(bytes.fromhex(sys.argv[2]))
"""


# curl closes once it has the page, which may be before the server's FIN comes; this waits for that.
GET_TO_THE_END = """
import socket, ssl, sys
vip, port, ca, name = sys.argv[1:]
plain = socket.create_connection((vip, int(port)), 20)
s = ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname=name) if ca else plain
s.sendall(b"GET / HTTP/1.1\\r\\nHost: " + name.encode() + b"\\r\\nConnection: close\\r\\n\\r\\n")
got = b""
while piece := s.recv(65536):
    got += piece
if ca:
    s = s.unwrap()
    s.recv(1)  # its FIN, behind the close_notify
sys.stdout.write(got.split(b"\\r\\n\\r\\n", 1)[1].decode())
s.close()
"""


class Segment:
    """Of an Ethernet frame with TCP over IPv4."""

    def __init__(self, frame):
        tcp = 14 + (frame[14] & 15) * 4
        self.source, self.destination, self.seq, self.ack, data, self.flags = struct.unpack_from("!HHIIBB", frame, tcp)
        self.end = self.seq + struct.unpack_from("!H", frame, 16)[0] - (tcp - 14) - (data >> 4) * 4 + (self.flags & 1)
        self.frame = frame


def segments(frames):
    return [Segment(f) for _, f in frames if f[12:14] == b"\x08\x00" and f[23] == 6]


def last_fin_again(case, mode):
    """The server closes first, so that TIME-WAIT is ours; the holder dies; the client's FIN comes again."""
    with case.lab(nodes=3, mode=mode) as lab:
        wire = Capture(lab, "c1", "front", sent_only=False, snap=2000)
        ca = str(lab.ca) if mode == "tls" else ""
        said = lab.exec("c1", ["python3", "-c", GET_TO_THE_END, plan.VIP4, str(plan.WEB_PORT), ca, plan.SERVER_NAME]).stdout
        check(said == "holdfast lab\n", f"no page: {said}")
        seen = segments(wire.stop())
        ours = [s for s in seen if s.frame[6:12] != VIRTUAL_MAC and s.flags & FIN]
        check(len({s.end for s in ours}) == 1, f"FINs of the client's to {[s.end for s in ours]}")  # perhaps sent twice
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        wire = Capture(lab, "c1", "front", sent_only=False, snap=2000)

        def answers():
            return [s for s in segments(read_pcap(wire.file)) if s.frame[6:12] == VIRTUAL_MAC and s.destination == ours[0].source]

        lab.exec("c1", ["python3", "-c", REPLAY, "front", ours[0].frame.hex()])
        lab.wait_for("an answer", lambda: bool(answers()), 5)
        time.sleep(0.1)
        check(all(s.flags & (RST | ACK) == ACK and s.ack == ours[0].end for s in answers()),
              f"{second} answered {[(s.flags, s.ack - ours[0].end) for s in answers()]}")
        again = (lab.exec("c1", curl_words(lab, plan.VIP4, plan.WEB_PORT, "/", "--local-port", str(ours[0].source))).stdout
                 if mode == "tls" else curl(lab, "--local-port", str(ours[0].source), f"http://{plan.VIP4}/"))
        check(again == "holdfast lab\n", f"no page over the same tuple: {again}")
        return f"{second} acknowledged the FIN of a connection that {first} had ended, and took a new one on its ports"


@limit(40)
def test_time_wait_proxy(case):
    """proxy: the FIN of a connection that is over is acknowledged by an adopter, and its ports serve again."""
    return last_fin_again(case, "proxy")


@limit(40)
def test_time_wait_tls(case):
    """tls: likewise."""
    return last_fin_again(case, "tls")
