"""Signs the allow-list: writes crates/scan/src/allow/names.dsse.json and maker.pub.

    python tools/allowlist/sign.py KEY_FILE     needs cryptography==50.0.2

KEY_FILE holds 64 hexadecimal digits, the seed of an Ed25519 key (`bartizan model except-key` makes
one); it never lies in the checkout. The envelope is DSSE around an in-toto statement: the list's
digest, its version (the newest `since`), how many names it has. Another key than before changes
maker.pub, which is a change that a reviewer must see.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALLOW = pathlib.Path(__file__).resolve().parents[2] / "crates/scan/src/allow"
TYPE = "application/vnd.in-toto+json"


def main(key_file):
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(pathlib.Path(key_file).read_text().strip()))
    public = "ed25519:" + key.public_key().public_bytes_raw().hex()
    names = (ALLOW / "names.tsv").read_bytes()
    lines = names.decode().splitlines()
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "names.tsv", "digest": {"sha256": hashlib.sha256(names).hexdigest()}}],
        "predicateType": "urn:bartizan:allow-list:v1",
        "predicate": {"version": max(int(line.split("\t")[4]) for line in lines), "names": len(lines)},
    }
    payload = json.dumps(statement, separators=(",", ":")).encode()
    encoded = b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE.encode(), len(payload), payload)
    envelope = {
        "payloadType": TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": public, "sig": base64.b64encode(key.sign(encoded)).decode()}],
    }
    (ALLOW / "names.dsse.json").write_text(json.dumps(envelope, indent=2) + "\n")
    (ALLOW / "maker.pub").write_text(public + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
