"""A DNS server for tests: the addresses that a test sets, and its failures."""

import enum
import socket
import struct
import threading
from collections.abc import Sequence

_A, _TTL_SECONDS = 1, 30


class Failure(enum.IntEnum):
    """Response codes of DNS."""

    SERVER = 2
    NO_SUCH_NAME = 3


class Nameserver:
    """Responds to every question with the same addresses, unless the name has its own.

    Attributes:
        addresses: The addresses of version 4; there are none of version 6.
        of_service: The addresses of some Services, by their name; None if the name does not exist.
        failure: The code of each response, instead of addresses.
        asked: The names of the questions.
    """

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self.of_service: dict[str, Sequence[str] | None] = {}
        self.failure: Failure | None = None
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._responds = threading.Event()
        self._responds.set()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        """Its address with its port, as nginx writes it."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def responds(self) -> bool:
        """Whether questions get a response."""
        return self._responds.is_set()

    def start(self) -> None:
        """Responds from now on."""
        self._responds.set()

    def stop(self) -> None:
        """Receives questions without a response."""
        self._responds.clear()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(512)
            if self._responds.is_set():
                self._socket.sendto(self._answer(question), client)

    def _answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode())
            at += 1 + length
        self.asked.append(".".join(labels))
        (kind,) = struct.unpack_from(">H", question, at + 1)
        addresses = self.of_service.get(labels[0], self.addresses)
        failure = Failure.NO_SUCH_NAME if addresses is None else self.failure
        found = (addresses or ()) if kind == _A and failure is None else ()
        header = struct.pack(">HHHHH", 0x8180 | (failure or 0), 1, len(found), 0, 0)
        records = [
            struct.pack(">HHHIH", 0xC00C, _A, 1, _TTL_SECONDS, 4) + socket.inet_aton(address)
            for address in found
        ]
        return question[:2] + header + question[12 : at + 5] + b"".join(records)
