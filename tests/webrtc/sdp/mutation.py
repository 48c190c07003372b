"""What peers wrote, captured on this machine, and the same with random faults in it."""

from __future__ import annotations

import random
from pathlib import Path

CAPTURED = sorted((Path(__file__).parent / "captured").glob("*.sdp"))


def text_of(path: Path) -> str:
    return path.read_bytes().decode()


def mutated(source: random.Random) -> str:
    text = text_of(source.choice(CAPTURED))
    for _ in range(source.randrange(1, 8)):
        lines = text.split("\r\n")
        index = source.randrange(len(lines))
        match source.randrange(5):
            case 0:
                del lines[index]
            case 1:
                lines.insert(index, source.choice(lines))
            case 2:
                place = source.randrange(len(lines[index]) + 1)
                lines[index] = lines[index][:place]
            case 3:
                place = source.randrange(len(lines[index]) + 1)
                character = source.choice(" :;=/,~*09aZ\0\n\u2028é\U0001f600")
                lines[index] = lines[index][:place] + character + lines[index][place + 1 :]
            case 4:
                lines[index] = lines[index].replace("1", source.choice(["", "99999999999", "²"]))
        text = "\r\n".join(lines)
    return text
