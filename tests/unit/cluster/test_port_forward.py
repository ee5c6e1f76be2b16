"""The HTTP response in the stream of a port; the stream itself is tested on a node."""

import asyncio

import pytest

from fastapi_operator.cluster import port_forward
from fastapi_operator.cluster.errors import ApiError


def read(*pieces: bytes) -> str:
    async def work() -> str:
        reader = asyncio.StreamReader()
        for piece in pieces:
            reader.feed_data(piece)
        reader.feed_eof()
        return await port_forward._read_response(reader)

    return asyncio.run(work())


@pytest.mark.parametrize(
    "pieces",
    [
        # The length ends the body: the stream may stay open after it.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more",),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\n",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\n", b"hel", b"lo"),
    ],
)
def test_a_body_ends_by_its_length_its_chunks_or_the_stream(pieces: tuple[bytes, ...]) -> None:
    assert read(*pieces) == "hello"


def test_another_status_is_an_error_with_the_text_of_the_page() -> None:
    with pytest.raises(ApiError) as caught:
        read(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\n\r\nbusy\n")
    assert str(caught.value) == "429 Too Many Requests: busy"


@pytest.mark.parametrize(
    "text",
    [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"],
)
def test_an_incomplete_response_is_not_a_page(text: bytes) -> None:
    with pytest.raises((asyncio.IncompleteReadError, ValueError)):
        read(text)
