"""What schemathesis cannot know.

A key makes one request recognisable, so another request needs another key.
What was deleted with `dry_run` is still there.
"""

import re
import uuid

import schemathesis

KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(context, case, kwargs):
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and re.fullmatch("[!-~]{1,64}", key):
        case.headers[KEY] = uuid.uuid4().hex
    if case.method == "DELETE" and (case.query or {}).get("dry_run") is True:
        del case.query["dry_run"]
