# SPDX-License-Identifier: BSD-2-Clause
"""Frames of the management channel (docs/management.md): made, and found in whatever comes."""
import struct
import zlib
from dataclasses import dataclass

CALL, ANSWER, ANSWER_END, DATA, ACK, END, RESET = range(1, 8)
MOST = 4096                     # bytes of payload
DELIMITER, ESCAPE = b"\xc0", b"\xdb"
OPENING, CLOSING = b"\xc0lasthop\xc0", b"\xc0bye\xc0"
HEADER = struct.Struct("<BBBxI")
CRC = struct.Struct("<I")
LONGEST = 2 * (HEADER.size + MOST + CRC.size)


@dataclass
class Frame:
    kind: int
    client: int = 0
    stream: int = 0
    offset: int = 0             # modulo 2^32
    payload: bytes = b""

    def encode(self):
        body = HEADER.pack(self.kind, self.client, self.stream, self.offset & 0xFFFFFFFF) + self.payload
        body += CRC.pack(zlib.crc32(body))
        body = body.replace(ESCAPE, b"\xdb\xdd").replace(DELIMITER, b"\xdb\xdc")
        return DELIMITER + body + DELIMITER


def decode(body):
    """the frame of what was between two delimiters; None: it is none"""
    body = body.replace(b"\xdb\xdc", DELIMITER).replace(b"\xdb\xdd", ESCAPE)
    if not HEADER.size + CRC.size <= len(body) <= HEADER.size + MOST + CRC.size:
        return None
    kind, client, stream, offset = HEADER.unpack_from(body)
    if CRC.unpack(body[-CRC.size:])[0] != zlib.crc32(body[:-CRC.size]) or not CALL <= kind <= RESET:
        return None
    return Frame(kind, client, stream, offset, body[HEADER.size:-CRC.size])


class Decoder:
    """Takes bytes in pieces of any size; `text` is what was in no frame."""

    def __init__(self):
        self.text, self.dropped = b"", 0
        self._rest = b""

    def feed(self, data):
        """the frames that became complete"""
        *bodies, self._rest = (self._rest + data).split(DELIMITER)
        frames = []
        for body in bodies:
            frame = decode(body)
            if frame:
                frames.append(frame)
            elif body:
                self.text += body
                self.dropped += 1
        if len(self._rest) > LONGEST:
            self.text += self._rest
            self._rest, self.dropped = b"", self.dropped + 1
        return frames
