#!/usr/bin/env python3
"""Verifies a Bartizan log or proof without Bartizan: the standard library and `cryptography`.

    verify.py log FOLDER|URL --policy FILE     every bundle and tile against the signed checkpoint
    verify.py proof FILE --policy FILE         one record's .tlog-proof, and a disclosed field

Exit 0: in order. 1: it is not. 3: it could not be looked at. Formats: docs/formats/tlog.md.
"""
import argparse
import base64
import hashlib
import re
import struct
import sys
import urllib.request
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:  # an older `cryptography`: such signatures are said to be unchecked
    MLDSA44PublicKey = None


class Wrong(Exception):
    """We looked, and it is not in order."""


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def leaf_hash(leaf):
    return sha(b"\0", leaf)


def node_hash(left, right):
    return sha(b"\1", left, right)


def b64(text, length=None):
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text or (length is not None and len(raw) != length):
        raise Wrong(f"not base 64 in its one spelling: {text[:60]!r}")
    return raw


def number(text):
    if not re.fullmatch(r"0|[1-9][0-9]{0,19}", text, re.ASCII):
        raise Wrong(f"not a number: {text[:60]!r}")
    return int(text)


class Key:
    """A vkey: <name>+<id>+<base 64 of type and key>."""

    def __init__(self, vkey):
        match = re.fullmatch(r"([^+\s]+)\+([0-9a-fA-F]{8})\+(\S+)", vkey)
        if not match:
            raise Wrong(f"no verifier key: {vkey[:60]!r}")
        self.name, typed = match[1], b64(match[3])
        self.id, self.kind, self.key = bytes.fromhex(match[2]), typed[0], typed[1:]
        if sha(self.name.encode(), b"\n", typed)[:4] != self.id:
            raise Wrong(f"the key's id is not that of its name and key: {self.name}")
        if self.kind not in (1, 4, 6):
            raise Wrong(f"unknown type of key: {self.name}")

    def verify(self, text, signature):
        """True, False, or None where this `cryptography` cannot check the type (ML-DSA-44)."""
        message, public = text.encode(), Ed25519PublicKey
        if self.kind != 1:
            time_s, signature = signature[:8], signature[8:]
        if self.kind == 4:
            message = b"cosignature/v1\ntime %d\n" % int.from_bytes(time_s, "big") + message
        if self.kind == 6:
            public = MLDSA44PublicKey
            origin, size, root = checkpoint(text)
            name, origin = self.name.encode(), origin.encode()
            message = b"subtree/v1\n\0" + bytes([len(name)]) + name + time_s
            message += bytes([len(origin)]) + origin + struct.pack(">QQ", 0, size) + root
        if public is None:
            return None
        try:
            public.from_public_bytes(self.key).verify(signature, message)
            return True
        except (InvalidSignature, ValueError):
            return False


class Policy:
    """tlog-policy, with our comment `#operator NAME MEMBER...`."""

    def __init__(self, text):
        self.logs, self.witnesses, self.groups, self.operators, self.quorum = [], {}, {}, {}, None
        for words in map(str.split, text.split("\n")):
            match words:
                case ["#operator", name, *members]:
                    self.operators.update(dict.fromkeys(members, name))
                case []:
                    pass
                case [word, *_] if word.startswith("#"):
                    pass
                case ["log", vkey] | ["log", vkey, _]:
                    self.logs.append(Key(vkey))
                case ["witness", name, vkey] | ["witness", name, vkey, _]:
                    self.witnesses[name] = Key(vkey)
                case ["group", name, least, *of] if of:
                    least = {"any": 1, "all": len(of)}.get(least) or number(least)
                    self.groups[name] = (least, of)
                case ["quorum", name]:
                    self.quorum = name
                case _:
                    raise Wrong(f"no line of a policy: {' '.join(words)[:60]!r}")
        if self.quorum is None:
            raise Wrong("the policy has no quorum line")

    def met(self, name, signed):
        if name in self.groups:
            least, of = self.groups[name]
            return least <= sum(self.met(member, signed) for member in of)
        return name in signed

    def judge(self, note):
        """Checks a signed note; gives origin, size, root and what there is to say."""
        text, lines = split_note(note)
        origin, size, root = checkpoint(text)
        own = self.operators.get("log", origin.split("/")[0])
        by_log, signed, notes = False, {}, []
        keys = [(None, key) for key in self.logs if key.name == origin]
        for name, key in keys + list(self.witnesses.items()):
            for _, signature in [line for line in lines if line[0] == (key.name, key.id)]:
                good = key.verify(text, signature)
                if good is False:
                    raise Wrong(f"a signature of {key.name} is wrong")
                if good is None:
                    notes.append(f"not checked: ML-DSA-44 signature of {key.name}")
                elif name is None:
                    by_log = True
                else:
                    signed[name] = self.operators.get(name, key.name.split("/")[0])
        if not by_log:
            raise Wrong("no log of the policy signed the checkpoint")
        for name, operator in signed.items():
            own_text = ", the log's own operator: availability, not trust" if operator == own else ""
            notes.append(f"witness {name} ({operator}){own_text}")
        if self.quorum != "none" and not self.met(self.quorum, signed):
            raise Wrong("too few witnesses cosigned")
        return origin, size, root, notes


def split_note(note):
    if not isinstance(note, bytes) or any(byte < 32 and byte != 10 for byte in note):
        raise Wrong("the note has control characters")
    text, found, rest = note.decode().rpartition("\n\n")
    lines = []
    for line in rest.removesuffix("\n").split("\n"):
        match = re.fullmatch("\u2014 ([^ +]+) (\\S+)", line)
        raw = b64(match[2]) if match else b""
        if not found or not rest.endswith("\n") or len(raw) < 5:
            raise Wrong("no signed note")
        lines.append(((match[1], raw[:4]), raw[4:]))
    return text + "\n", lines


def checkpoint(text):
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise Wrong("no checkpoint")
    return lines[0], number(lines[1]), b64(lines[2], 32)


def tree_root(hashes):
    """Root of RFC 6962 by a stack of full subtrees."""
    stack = []
    for at, hash_ in enumerate(hashes):
        while at & 1:
            hash_, at = node_hash(stack.pop(), hash_), at >> 1
        stack.append(hash_)
    if not stack:
        return sha()
    root = stack.pop()
    while stack:
        root = node_hash(stack.pop(), root)
    return root


def inclusion_root(index, size, hash_, proof):
    """Root that an inclusion proof leads to (RFC 9162, 2.1.3.2)."""
    if index >= size:
        raise Wrong("the index lies outside the tree")
    last = size - 1
    for sibling in proof:
        if last == 0:
            raise Wrong("the proof is too long")
        if index & 1 or index == last:
            hash_ = node_hash(sibling, hash_)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, sibling)
        index, last = index >> 1, last >> 1
    if last:
        raise Wrong("the proof is too short")
    return hash_


def tile_name(kind, index, width):
    parts = [f"{index % 1000:03}"]
    while index := index // 1000:
        parts.insert(0, f"x{index % 1000:03}")
    return f"tile/{kind}/" + "/".join(parts) + (f".p/{width}" if width < 256 else "")


def entries_of(bundle, width, name):
    entries, at = [], 0
    while at < len(bundle):
        length = int.from_bytes(bundle[at : at + 2], "big")
        entries.append(bundle[at + 2 : at + 2 + length])
        at += 2 + length
    if at != len(bundle) or len(entries) != width:
        raise Wrong(f"{name} is cut, or has {len(entries)} entries and not {width}")
    return entries


def verify_log(read, policy):
    """Every bundle and tile of the checkpoint's size; says where the first difference is."""
    origin, size, root, notes = policy.judge(read("checkpoint"))
    hashes = []
    for index in range((size + 255) // 256):
        width = min(256, size - index * 256)
        name = tile_name("entries", index, width)
        hashes += map(leaf_hash, entries_of(read(name), width, name))
    level, row = 0, hashes
    while row:
        for index in range((len(row) + 255) // 256):
            part = row[index * 256 : index * 256 + 256]
            name = tile_name(level, index, len(part))
            found = read(name)
            for at, hash_ in enumerate(part):
                if found[at * 32 : at * 32 + 32] != hash_:
                    first = (index * 256 + at) << 8 * level
                    raise Wrong(f"{name}, byte {at * 32}: another hash than record {first}'s bundle")
            if len(found) != len(part) * 32:
                raise Wrong(f"{name} has {len(found)} bytes")
        row = [tree_root(row[at : at + 256]) for at in range(0, len(row) // 256 * 256, 256)]
        level += 1
    if tree_root(hashes) != root:
        raise Wrong(f"the {size} records lead to another root than the checkpoint's")
    return [f"log {origin}: {size} records lead to the signed root"] + notes


def cbor(data, at=0):
    """The part of CBOR that records use; gives a value and where it ends."""
    head, at = data[at], at + 1
    major, n = head >> 5, head & 31
    if n >= 24 and major != 7:
        length = 1 << n - 24
        n, at = int.from_bytes(data[at : at + length], "big"), at + length
    if major == 0:
        return n, at
    if major in (2, 3):
        return data[at : at + n], at + n
    if major == 4:
        items = []
        for _ in range(n):
            item, at = cbor(data, at)
            items.append(item)
        return items, at
    if major == 5:
        entries = {}
        for _ in range(n):
            key, at = cbor(data, at)
            entries[key], at = cbor(data, at)
        return entries, at
    return (None, at + 8) if n == 27 else (n == 21, at)


def disclosed(leaf, shown):
    """Holds one disclosed cell against the record's commitment to its input tensors."""
    committed = cbor(leaf[1:])[0].get(5, {}).get(12, {}).get(1)
    cell = sha(b"\x10", shown[5], struct.pack("<II", shown[6], shown[7]), shown[8])
    cells = shown[3] + cell + shown[4]
    row = sha(b"\x11", struct.pack("<IQ", len(cells) // 32, shown[0]), cells)
    rows = shown[1] + row + shown[2]
    if sha(b"\x12", struct.pack("<Q", len(rows) // 32), rows) != committed:
        raise Wrong("the disclosed value is not what the record commits to")
    if len(shown[1]) != 32 * shown[0]:
        raise Wrong("the disclosed row is another")
    return f"disclosed {shown[9].decode()!r}[{shown[7]}] of row {shown[0]}: bytes {shown[8].hex()}"


def verify_proof(data, policy):
    head, found, note = data.partition(b"\n\n")
    lines = head.decode().split("\n")
    if not found or lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Wrong("no proof of version 1")
    if not lines or not lines[0].startswith("extra "):
        raise Wrong("the proof carries no record")
    extra = b64(lines.pop(0).removeprefix("extra "))
    if extra[:1] != b"\1" or not lines or not lines[0].startswith("index "):
        raise Wrong("no proof of a record")
    index = number(lines.pop(0).removeprefix("index "))
    carried = cbor(extra[1:])[0]
    origin, size, root, notes = policy.judge(note)
    proof = [b64(line, 32) for line in lines]
    if inclusion_root(index, size, leaf_hash(carried[0]), proof) != root:
        raise Wrong("the proof leads to another root")
    if 1 in carried:
        notes.append(disclosed(carried[0], carried[1]))
    return [f"record {index} is in log {origin} of {size} records"] + notes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["log", "proof"])
    parser.add_argument("place", help="a folder or URL with a log, or a proof's file")
    parser.add_argument("--policy", required=True, type=Path)
    args = parser.parse_args()
    base = args.place.rstrip("/")

    def read(name):
        if base.startswith(("http://", "https://")):
            with urllib.request.urlopen(f"{base}/{name}", timeout=30) as answer:
                return answer.read(32 << 20)
        path = Path(base) / name
        if not path.is_file() and (Path(base) / "checkpoint").is_file():
            raise Wrong(f"{name} is missing")
        return path.read_bytes()

    try:
        policy = Policy(args.policy.read_text())
        is_log = args.what == "log"
        said = verify_log(read, policy) if is_log else verify_proof(Path(base).read_bytes(), policy)
    except OSError as error:
        print(f"could not look: {error}", file=sys.stderr)
        return 3
    except (Wrong, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        print(f"NOT IN ORDER: {error or type(error).__name__}")
        return 1
    print("\n".join(said), "in order", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
