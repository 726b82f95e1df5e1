"""Signs uploads, parts of uploads and downloads with botocore, Amazon's own library, for src/presign.rs to be compared with.

Set up once, anywhere outside the project:

    python3 -m venv /tmp/botocore-venv
    /tmp/botocore-venv/bin/pip install botocore==1.44.5

The fixed cases, as they stand in tests/presign.rs:

    /tmp/botocore-venv/bin/python dev/presign-botocore.py

Two thousand at random, and whether the Worker's code signs all of them the same:

    /tmp/botocore-venv/bin/python dev/presign-botocore.py 2000 > /tmp/vectors
    PRESIGN_VECTORS=/tmp/vectors cargo test --test presign botocore
"""

import datetime
import json
import random
import re
import sys
import urllib.parse

import botocore.auth
import botocore.session
from botocore.config import Config

NOW = 1_795_351_867_042  # 2026-11-22T12:51:07.042Z, in milliseconds as the Worker has it
R2 = "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com"
LOCAL = "http://127.0.0.1:8787/cdn-cgi/local/r2/s3"


def disposition(mime_type, filename):
    """Content-Disposition as the contract has it, by another hand than src/domain/disposition.rs."""
    shown = mime_type in ("application/pdf", "text/plain") or re.match("(image|video|audio)/(?!.*xml$)", mime_type)
    ascii_name = re.sub(" +", " ", re.sub(r'[^\x20-\x7e]|["\\%]', "_", filename))
    encoded = urllib.parse.quote(filename, safe="")
    return f"{'inline' if shown else 'attachment'}; filename=\"{ascii_name}\"; filename*=UTF-8''{encoded}"


def sign(case):
    """Adds to a case what botocore signs: the URL up to its query, and the signature."""
    moment = datetime.datetime.fromtimestamp(case["now"] / 1000, datetime.timezone.utc)
    botocore.auth.get_current_datetime = lambda *_, **__: moment.replace(tzinfo=None)
    client = botocore.session.get_session().create_client(
        "s3",
        region_name="auto",
        endpoint_url=case["endpoint"],
        aws_access_key_id=case["access_key_id"],
        aws_secret_access_key=case["secret_access_key"],
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
        ),
    )
    params = {"Bucket": case["bucket"], "Key": case["key"]}
    upload = case["upload"]
    if upload:
        params |= {"ContentType": upload["mime_type"], "ContentLength": upload["size_bytes"]}
        params |= {"ContentDisposition": disposition(upload["mime_type"], upload["filename"])}
        params |= {"IfNoneMatch": "*"} if upload["write_once"] else {}
    part = case["part"]
    if part:
        params |= {"PartNumber": part["number"], "UploadId": part["upload_id"], "ContentLength": part["size_bytes"]}
    operation = "upload_part" if part else "put_object" if upload else "get_object"
    url = client.generate_presigned_url(operation, params, ExpiresIn=case["seconds"])
    location, query = url.split("?")
    (signature,) = (value for name, value in urllib.parse.parse_qsl(query) if name == "X-Amz-Signature")
    return case | {"location": location, "signature": signature}


def case(key, endpoint=R2, bucket="asset-uploads", upload=None, now=NOW, seconds=900, id="0" * 32, secret="f" * 64, part=None):
    keys = {"access_key_id": id, "secret_access_key": secret}
    return {"endpoint": endpoint, "bucket": bucket} | keys | {"key": key, "upload": upload, "part": part, "now": now, "seconds": seconds}


def upload(mime_type="image/png", size_bytes=640, write_once=True, filename="beach.png"):
    return {"mime_type": mime_type, "filename": filename, "size_bytes": size_bytes, "write_once": write_once}


def part(number=1, upload_id="AbC_-0.9", size_bytes=16_777_216):
    return {"number": number, "upload_id": upload_id, "size_bytes": size_bytes}


FIXED = [
    case("uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002", upload=upload()),
    case("uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002", seconds=604_800),
    case("uploads/x", LOCAL, upload=upload("image/svg+xml", 52_428_800, False, "Report  \"Q3\"; 2026 100%.svg"), id="local-development", secret="local-development-only"),
    case("a b+c%20d~e/Ünï–côdé/日本/😀.png", LOCAL, upload=upload("application/vnd.oasis.opendocument.text", 1, filename="Ünïcode–日本 😀.odt")),
    case("!\"#$&'()*,:;<=>?@[\\]^`{|}", "https://storage.example:8443/s3", "b.u-c_k.et", now=951_782_399_999),
    case("/leading//double/trailing/", seconds=1, id="id/with+odd=characters", secret="s" * 200),
    case("uploads/018f4d2e-7c4b-7a35-9c1f-0242ac120002", part=part()),
    case("uploads/x", LOCAL, part=part(10_000, "a/b+c=d e~%2F&partNumber=2", 1), seconds=604_800),
]


def at_random(dice):
    alphabet = [chr(dice.randrange(0x20, 0x7F)) for _ in range(30)] + list("äß€中😀\u2028\u00a0//..~~%%++  ")
    key = "".join(dice.choices(alphabet, k=dice.randrange(1, 40)))
    # A URL cannot hold these.
    key = "/".join("dots" if part in (".", "..") else part for part in key.split("/"))
    port = dice.choice(["", f":{dice.randrange(1024, 65536)}"])
    prefix = dice.choice(["", "/s3", "/cdn-cgi/local/r2/s3", "/~a/b.c"])
    endpoint = f"{dice.choice(['http', 'https'])}://{dice.choice(['localhost', '127.0.0.1', 'a.storage.example'])}{port}{prefix}"
    name = "".join(dice.choices(alphabet, k=dice.randrange(1, 40))).translate({ord("/"): "-", ord("\\"): "-"})
    name = "dots" if name in (".", "..") else name
    mime_type = dice.choice(["image/png", "image/svg+xml", "application/pdf", "application/vnd.a-b.c+json", "x/y", "text/plain"])
    kind = dice.choice(["get", "put", "part"])
    upload_id = "".join(dice.choices(alphabet, k=dice.randrange(1, 300)))
    return case(
        key,
        endpoint,
        dice.choice(["asset-uploads", "b.u-c-k.et", "abc"]),
        upload(mime_type, dice.randrange(1, 5 * 2**30), dice.random() < 0.5, name) if kind == "put" else None,
        dice.randrange(0, 4_102_444_800_000),
        dice.randrange(1, 604_801),
        "".join(dice.choices("0123456789abcdef/+=", k=32)),
        "".join(dice.choices("0123456789abcdefABC/+= ", k=dice.randrange(1, 100))).strip() or "s",
        part(dice.randrange(1, 10_001), upload_id, dice.randrange(1, 5 * 2**30)) if kind == "part" else None,
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    dice = random.Random()
    for one in [at_random(dice) for _ in range(count)] or FIXED:
        print(json.dumps(sign(one), ensure_ascii=False))
