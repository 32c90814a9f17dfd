"""What really passes a cable: every TCP segment with a payload, recorded as it goes by."""

import collections
import contextlib
import socket
import struct
import threading

from harness import now_s

Segment = collections.namedtuple("Segment", "moment source destination length head")

ALL_PROTOCOLS = 3
HEAD = 400  # bytes of a payload that are kept: a stream's first line fits


class Wiretap:
    """Of one network interface. Segments are (moment, (address, port) of both ends, length, first bytes)."""

    def __init__(self, interface):
        self.segments = []
        self._ended = False
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self._socket.bind((interface, 0))
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while not self._ended:
            with contextlib.suppress(socket.timeout):
                frame = self._socket.recv(1 << 18)
                if segment := parsed(frame):
                    self.segments.append(segment)

    def first_lines(self, door, begin):
        """What was said first on streams to a door, (address, port), where it begins like this; oldest first."""
        assert self._thread.is_alive(), "the wiretap has ended"
        return [s.head.split(b"\n")[0] for s in self.segments if s.destination == door and s.head.startswith(begin)]

    def sent_by(self, door, since):
        """What a door sent since a moment."""
        return [s for s in self.segments if s.source == door and s.moment >= since]

    def close(self):
        self._ended = True
        self._thread.join()
        self._socket.close()


def parsed(frame):
    """The Segment in an Ethernet frame; nothing if it is none with a payload."""
    if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_TCP:
        return None
    # One that the kernel has put together from many may be too long for the field that tells its length.
    packet = frame[14:14 + (struct.unpack("!H", frame[16:18])[0] or len(frame))]
    header = (packet[0] & 15) * 4
    if len(packet) < header + 20:
        return None
    source_port, destination_port = struct.unpack("!HH", packet[header:header + 4])
    payload = packet[header + (packet[header + 12] >> 4) * 4:]
    if not payload:
        return None
    return Segment(now_s(), (socket.inet_ntoa(packet[12:16]), source_port), (socket.inet_ntoa(packet[16:20]), destination_port),
                   len(payload), bytes(payload[:HEAD]))
