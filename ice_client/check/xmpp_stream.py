"""An XML stream of XMPP (RFC 6120 §4): elements in and out over a byte stream, bounded.

What a server sends is not trusted: there are no declarations, so no entities, and so much
text and no more.
"""

from __future__ import annotations

import codecs
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import Iterator
from typing import cast
from xml.sax.saxutils import quoteattr

import trio

from ice_client.errors import IceError

CLIENT = "jabber:client"
STREAMS = "http://etherx.jabber.org/streams"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"

LARGEST_STREAM = 256 * 1024
"""Bytes of one stream: features, a login and a list of services are a few thousand."""
_CHUNK = 8192
_LONGEST_TEXT = 200


class XmppError(IceError):
    """The XMPP server cannot be reached, refuses, or breaks the rules; the message says which."""


class ElementParser:
    """Cuts a stream into its root's children. Sans-IO."""

    def __init__(self) -> None:
        self._parser: ET.XMLPullParser[ET.Element] = ET.XMLPullParser(("start", "end"))
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._taken = 0
        self._last = ""
        self._open: list[ET.Element] = []
        self.closed = False

    def feed(self, data: bytes) -> list[ET.Element]:
        """Take bytes; return the elements that are complete by now.

        Raises:
            XmppError: this is no XML stream, or too much of it.

        """
        self._taken += len(data)
        if self._taken > LARGEST_STREAM:
            raise XmppError(f"the server sends more than {LARGEST_STREAM} bytes")
        try:
            # As text, because then no XML declaration can name another encoding (RFC 6120
            # §11.6: UTF-8 it is), in which the characters looked for here would hide.
            text = self._decode.decode(data)
            # RFC 6120 §11.1: no DTD, no comments. Only markup may have "<" at all, so this is
            # never somebody's text.
            if "<!" in self._last + text:
                raise XmppError("the server sends an XML declaration, comment or DTD")
            self._last = text[-1:] or self._last
            self._parser.feed(text)
            # Newer versions of expat put incomplete tokens off until much more has come.
            flush = getattr(self._parser, "flush", None)
            if flush is not None:
                flush()
            return self._complete()
        except (ET.ParseError, UnicodeDecodeError) as error:
            raise XmppError(f"the server sends no XML: {error}") from error

    def _complete(self) -> list[ET.Element]:
        complete = []
        for event, element in cast("Iterator[tuple[str, ET.Element]]", self._parser.read_events()):
            if event == "start":
                if not self._open and element.tag != f"{{{STREAMS}}}stream":
                    raise XmppError("the server does not speak XMPP")
                self._open.append(element)
                continue
            self._open.pop()
            if len(self._open) == 1:
                self._open[0].remove(element)
                complete.append(element)
            self.closed = self.closed or not self._open
        return complete


class XmlStream:
    """One stream, from its header to its end or to the restart that TLS or a login brings.

    Args:
        transport: the bytes; not closed by this.
        domain: whom the stream is to.

    """

    def __init__(self, transport: trio.abc.Stream, domain: str) -> None:
        self._transport = transport
        self._domain = domain
        self._parser = ElementParser()
        self._elements: deque[ET.Element] = deque()

    async def open(self) -> ET.Element:
        """Send the header; return the server's features.

        Raises:
            XmppError: see `receive`.

        """
        await self.send(
            f"<?xml version='1.0'?><stream:stream to={quoteattr(self._domain)} version='1.0'"
            f" xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>"
        )
        features = await self.receive()
        if features.tag != f"{{{STREAMS}}}features":
            raise XmppError("the server says nothing of its features")
        return features

    async def send(self, text: str) -> None:
        """Send XML.

        Raises:
            XmppError: the connection is broken.

        """
        try:
            await self._transport.send_all(text.encode())
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise XmppError("the server broke the connection") from error

    async def receive(self) -> ET.Element:
        """Return the next element.

        Raises:
            XmppError: the stream ends, is in error, or is none.

        """
        while not self._elements:
            if self._parser.closed:
                raise XmppError("the server ended the stream")
            try:
                data = await self._transport.receive_some(_CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise XmppError("the connection to the server broke") from error
            if not data:
                raise XmppError("the server closed the connection")
            self._elements.extend(self._parser.feed(bytes(data)))
        element = self._elements.popleft()
        if element.tag == f"{{{STREAMS}}}error":
            condition = condition_of(element, STREAM_ERRORS)
            if condition == "host-unknown":
                raise XmppError(f"the server does not serve {self._domain} (host-unknown)")
            raise XmppError(f"the server ended the stream: {condition}")
        return element


def condition_of(error: ET.Element, namespace: str) -> str:
    """Return an error's condition and its text, fit for a terminal.

    Args:
        error: whose children say it.
        namespace: of the condition.

    """
    condition, text = "", ""
    for child in error:
        name = child.tag.removeprefix(f"{{{namespace}}}")
        if name == "text":
            text = child.text or ""
        elif name != child.tag:
            condition = condition or name
    whole = f"{condition or 'no reason given'}: {text}" if text else condition or "no reason given"
    return "".join(each for each in whole if each.isprintable())[:_LONGEST_TEXT]
