"""What schemathesis cannot know: a key makes one request recognisable, so another request needs another key."""

import re
import uuid

import schemathesis

KEY = "Idempotency-Key"


@schemathesis.hook
def before_call(context, case, kwargs):
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and re.fullmatch("[!-~]{1,64}", key):
        case.headers[KEY] = uuid.uuid4().hex
