"""Compares our header compression with that of Python's h2.

What theirs writes (all representations, compressed or not, with changing tables) must be read as it was meant, and what ours
writes as well. Blocks that were damaged must be refused by both or by neither, and read alike up to there; fields that no
message may have are the only ones that ours leaves out.
"""

import json
import random
import re
import subprocess

import hpack

NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
VALUE = re.compile(rb"([\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")

NAMES = [b":method", b":path", b":authority", b":scheme", b"accept", b"Accept-Encoding", b"cookie", b"authorization"]
NAMES += [b"date", b"x-request-id", b"X-Switchback-Key", b"mcp-session-id", b"te", b"content-length", b"referer", b"www-authenticate"]
VALUES = [b"", b"GET", b"PUT", b"/", b"/index.html", b"/a?b=c", b"https", b"gzip, deflate", b"application/json", b"a\tb", b"\xe4\xff"]

# Mostly short codes, and some of the longest.
MIXED = b"0123456789abcdef-" * 10 + bytes(range(0x80, 0x100))


def value(rng):
    if rng.random() < 0.6:
        return rng.choice(VALUES)
    alphabet = rng.choice([b"0123456789abcdef-", bytes(range(0x21, 0x7F)), bytes(range(0x80, 0x100)), MIXED])
    return bytes(rng.choices(alphabet, k=rng.choice([1, 5, 20, 126, 127, 128, 300, 3000])))


def field(rng):
    name = rng.choice(NAMES) if rng.random() < 0.9 else b"x-" + bytes(rng.choices(b"abcdefXYZ_.~", k=rng.randint(1, 40)))
    return name, value(rng)


def connection(rng):
    """Blocks, and the fields that are in each."""
    encoder, blocks, meant = hpack.Encoder(), [], []
    for _ in range(rng.randint(1, 8)):
        if rng.random() < 0.2:
            encoder.header_table_size = rng.choice([0, 40, 100, 256, 1000, 4096])
        fields = [field(rng) for _ in range(rng.randint(0, 12))]
        fields = [(name.lower(), value) for name, value in fields]
        kinds = [rng.choice([hpack.HeaderTuple, hpack.HeaderTuple, hpack.NeverIndexedHeaderTuple]) for _ in fields]
        blocks.append(encoder.encode([kind(*pair) for kind, pair in zip(kinds, fields)], huffman=rng.random() < 0.6))
        meant.append(fields)
    return blocks, meant


def damaged(rng, blocks):
    blocks = [bytearray(block) for block in blocks]
    for _ in range(rng.choice([1, 1, 2, 5])):
        block = rng.choice(blocks)
        if not block:
            continue
        at = rng.randrange(len(block))
        match rng.randrange(5):
            case 0:
                block[at] ^= 1 << rng.randrange(8)
            case 1:
                block[at] = rng.randrange(256)
            case 2:
                del block[at]
            case 3:
                block[at:at] = rng.choice([b"\x20", b"\x3f\xe1\x1f", b"\xff", b"\x80", b"\xbe", b"\x7e\x00", b"\x00"])
            case 4:
                del block[at:]
    return [bytes(block) for block in blocks]


def theirs(blocks):
    """The fields of each block up to the first refused one, and the reason."""
    decoder, read = hpack.Decoder(max_header_list_size=1 << 24), []
    for block in blocks:
        try:
            read.append([(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)])
        except hpack.HPACKError as error:
            return read, repr(error)
    return read, None


def latin(fields):
    return [[text.decode("latin-1") for text in pair] for pair in fields]


def sound(fields):
    return [pair for pair in fields if NAME.fullmatch(pair[0]) and VALUE.fullmatch(pair[1])]


def ask(cases):
    lines = "".join(
        json.dumps({"blocks": [block.hex() for block in blocks], "fields": latin(fields)}) + "\n" for blocks, fields in cases
    )
    done = subprocess.run(
        ["target/debug/examples/blocks"], input=lines, stdout=subprocess.PIPE, text=True, check=True, timeout=300
    )
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def differs(blocks, meant, answer):
    """None, or the difference between our reading and theirs, or what was meant."""
    read, error = theirs(blocks)
    if meant is not None and (error or read != meant):
        return f"theirs does not read what it wrote: {error}"
    if answer["error"] == "an integer is too large" and len(answer["read"]) <= len(read):
        read, error = read[: len(answer["read"])], answer["error"]
    if bool(error) != bool(answer["error"]) or len(read) != len(answer["read"]):
        return f"refused after {len(answer['read'])}: {answer['error']} / after {len(read)}: {error}"
    for mine, other in zip(answer["read"], read):
        if mine["fields"] != latin(sound(other)) or bool(mine["flaw"]) != (sound(other) != other):
            return f"{mine} / {other}"
    return None


def writes(fields, answer):
    """None, or the difference between what was meant and their reading of what was written."""
    read, error = theirs([bytes.fromhex(answer["written"])])
    odd = re.compile(rb"[\x00-\x20#\x7f-\xff]")
    token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-zA-Z]+")
    rules = {b":method": token.fullmatch, b":scheme": token.fullmatch}
    rules |= dict.fromkeys([b":path", b":authority"], lambda value: value and not odd.search(value))
    meant = [(name.lower(), value) for name, value in fields if rules.get(name, lambda _: True)(value)]
    return None if not error and read == [meant] else f"written: {meant} / {read} {error}"


def check(seed):
    """The number of comparisons, and of those that failed."""
    rng = random.Random(seed)
    cases = []
    for _ in range(1500):
        blocks, meant = connection(rng)
        cases.append((blocks, [field(rng) for _ in range(rng.randint(0, 12))], meant))
        cases += [(damaged(rng, blocks), [], None) for _ in range(4)]
    problems, refused, flawed = [], 0, 0
    for (blocks, fields, meant), answer in zip(cases, ask([case[:2] for case in cases]), strict=True):
        found = [differs(blocks, meant, answer), writes(fields, answer)]
        problems += [(blocks, difference) for difference in found if difference]
        refused += bool(answer["error"])
        flawed += any(block["flaw"] for block in answer["read"])
    for blocks, difference in problems[:10]:
        print(f"UNEXPLAINED {difference[:600]}\n    {[block.hex()[:400] for block in blocks]}")
    print(f"{len(cases)} connections with header compression, {refused} refused by both, {flawed} with fields that no message may have")
    return 2 * len(cases), len(problems)
