r"""Lines out of text and bytes: split at ``\n`` only, never lost, never torn."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

_NEWLINE = 0x0A
_LONGEST_CHARACTER_BYTES = 4
_SPECIAL = frozenset("\\.^$*+?{}[]|()\n\ufffd")


def filter_regex(regex: str, data: Iterable[str]) -> Iterable[str]:
    """Keeps the items in which a regular expression is found (``re.search``).

    Args:
        regex: The regular expression.
        data: The items, usually lines; consumed one at a time.

    Returns:
        A lazy iterator over the items that match.

    Raises:
        re.error: If ``regex`` is malformed; raised by the call, not by the iteration.
    """
    return filter(re.compile(regex).search, data)


def split_lines(text: str) -> list[str]:
    r"""Splits text at ``\n``, and at nothing else, keeping the ``\n``.

    Args:
        text: Any text; its last line may lack the ``\n``.

    Returns:
        The lines; joined they are ``text`` again.
    """
    return io.StringIO(text, newline="\n").readlines()


def split_lines_iterator(chunks: Iterable[str]) -> Iterable[str]:
    """Splits each of several texts into lines, independently of the others.

    Args:
        chunks: The texts; a line does not continue in the next one.

    Yields:
        The lines, each with its newline if it has one.
    """
    for chunk in chunks:
        yield from split_lines(chunk)


class LineFramer:
    r"""Cuts a stream of bytes behind its newlines, whatever pieces it arrives in.

    Args:
        max_held_bytes: How much of an unfinished line is held back. Of a longer line, parts are
            handed on; they end at a character of UTF-8 and not between ``\r`` and ``\n``. ``None``
            holds any line until it is finished. At least 16.
        hands_on_redrawn: Of an unfinished line that is drawn again behind each ``\r``, as progress
            bars are, hand on all but the latest drawing.
    """

    def __init__(
        self, max_held_bytes: int | None = None, *, hands_on_redrawn: bool = False
    ) -> None:
        self.max_held_bytes = max_held_bytes
        self._hands_on_redrawn = hands_on_redrawn
        self._held = bytearray()

    def feed(self, data: bytes, *, holds_any_line: bool = False) -> bytes:
        """Takes the next bytes of the stream.

        Args:
            data: The bytes.
            holds_any_line: Hold an unfinished line this time, however long it is.

        Returns:
            What may be handed on: complete lines, or parts of a line that is too long to be held
            or has been drawn again.
        """
        end = data.rfind(b"\n") + 1
        block = data[:end]
        if end and self._held:
            block = b"".join((self._held, block))
            self._held.clear()
        self._held += data[end:]
        return block if holds_any_line else block + self._early_part(len(data) - end)

    def flush(self) -> bytes:
        """Takes the end of the stream.

        Returns:
            The last line, if it lacks a newline; else nothing.
        """
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _early_part(self, new_bytes: int) -> bytes:
        cut = 0
        if self._hands_on_redrawn:
            # Only the latest bytes are searched, and a last \r may be half of a line's end.
            start = max(0, len(self._held) - new_bytes - 1)
            cut = max(0, self._held.rfind(b"\r", start, len(self._held) - 1))
        if not cut and self.max_held_bytes is not None and len(self._held) > self.max_held_bytes:
            cut = _character_end(self._held)
        part = bytes(self._held[:cut])
        del self._held[:cut]
        return part


def _character_end(data: bytearray) -> int:
    end = len(data)
    for back in range(1, _LONGEST_CHARACTER_BYTES + 1):
        byte = data[-back]
        if byte >= 0xC0:
            end -= back
        if byte & 0xC0 != 0x80:
            break
    return end - 1 if data[end - 1] == 0x0D else end


class LineFilter:
    """Keeps the lines in which a regular expression is found, working on blocks of lines.

    Args:
        regex: The regular expression, as for :func:`filter_regex`.

    Raises:
        re.error: If it is malformed.
    """

    def __init__(self, regex: str) -> None:
        self._search = re.compile(regex).search
        self._literal = regex.encode() if _is_literal(regex) else None

    def texts(self, block: bytes) -> Iterator[str]:
        """Selects lines as text.

        Args:
            block: Whole lines.

        Returns:
            The matching lines, decoded one at a time.
        """
        if self._literal is not None:
            return decode_lines(self._with_literal(block, self._literal))
        return filter(self._search, decode_lines(block))

    def select(self, block: bytes) -> bytes:
        """Selects lines as they are.

        Args:
            block: Whole lines.

        Returns:
            The matching lines, byte for byte.
        """
        if self._literal is not None:
            return self._with_literal(block, self._literal)
        try:
            text = block.decode()
        except UnicodeDecodeError:
            lines = io.BytesIO(block).readlines()
            pairs = zip(lines, decode_lines(block), strict=True)
            return b"".join([line for line, text in pairs if self._search(text)])
        return "".join(filter(self._search, split_lines(text))).encode()

    def _with_literal(self, block: bytes, literal: bytes) -> bytes:
        return b"".join(_lines_with(block, literal))


def _lines_with(block: bytes, literal: bytes) -> Iterator[bytes]:
    found = block.find(literal)
    while found >= 0:
        start = block.rfind(b"\n", 0, found) + 1
        end = block.find(b"\n", found) + 1 or len(block)
        yield block[start:end]
        found = block.find(literal, end)


def _is_literal(regex: str) -> bool:
    return bool(regex) and _SPECIAL.isdisjoint(regex) and regex.isprintable()


def decode_lines(block: bytes) -> Iterator[str]:
    """Decodes whole lines as UTF-8; what is no UTF-8 becomes U+FFFD.

    Args:
        block: Whole lines; the last one may lack its newline.

    Returns:
        The lines, each with its newline if it has one, cut one at a time.
    """
    # No line is empty: the filter is only there because a generator that is abandoned in the
    # middle closes the file it reads from, and the rest of the lines would be gone.
    return filter(None, io.StringIO(block.decode("utf-8", "replace"), newline="\n"))
