"""C2SP's formats read by nobody's code but this: notes, checkpoints, tiles, proofs, policies."""

import base64
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


class Key:
    """A verifier key: `<name>+<id>+<base 64 of type and key>`."""

    def __init__(self, vkey):
        self.text = vkey
        self.name, self.id, typed = vkey.split("+", 2)
        typed = base64.b64decode(typed)
        self.kind, self.key = typed[0], typed[1:]

    @staticmethod
    def of_private(text):
        """The public half of `PRIVATE+KEY+<name>+<id>+<base 64 of type and seed>`."""
        _, _, name, key_id, typed = text.strip().split("+", 4)
        typed = base64.b64decode(typed)
        public = Ed25519PrivateKey.from_private_bytes(typed[1:]).public_key().public_bytes_raw()
        return Key(f"{name}+{key_id}+{base64.b64encode(typed[:1] + public).decode()}")

    def signed(self, note):
        """Whether one of the note's lines is by this key."""
        for name, raw in note.lines:
            if name != self.name or raw[:4].hex() != self.id:
                continue
            message, signature = note.text.encode(), raw[4:]
            if self.kind == 4:
                time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
                message = f"cosignature/v1\ntime {time}\n".encode() + message
            try:
                Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
                return True
            except InvalidSignature:
                return False
        return False


class Note:
    """A signed note that holds a checkpoint."""

    def __init__(self, text):
        body, _, lines = text.partition("\n\n")
        self.whole, self.text = text, body + "\n"
        self.lines = []
        for line in lines.splitlines():
            dash, name, encoded = line.split(" ")
            assert dash == "\u2014", line
            self.lines.append((name, base64.b64decode(encoded)))
        self.origin, size, root = body.split("\n")[:3]
        self.size, self.root = int(size), base64.b64decode(root)


class Proof:
    """A `.tlog-proof`."""

    def __init__(self, text):
        head, _, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        assert lines.pop(0) == "c2sp.org/tlog-proof@v1"
        if lines[0].startswith("extra "):
            lines.pop(0)
        self.index = int(lines.pop(0).removeprefix("index "))
        self.hashes = [base64.b64decode(line) for line in lines]
        self.note = Note(checkpoint)

    def root(self, leaf):
        """RFC 9162, section 2.1.3.2."""
        index, last, root = self.index, self.note.size - 1, leaf
        for other in self.hashes:
            assert last > 0
            if index & 1 or index == last:
                root = node_hash(other, root)
                while not index & 1 and index:
                    index, last = index >> 1, last >> 1
            else:
                root = node_hash(root, other)
            index, last = index >> 1, last >> 1
        assert last == 0
        return root


def root_of(hashes):
    """RFC 6962, section 2.1."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(root_of(hashes[:split]), root_of(hashes[split:]))


def entries(bundle):
    found = []
    while bundle:
        length = int.from_bytes(bundle[:2], "big")
        found.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return found
