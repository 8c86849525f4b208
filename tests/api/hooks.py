"""What schemathesis cannot know: what was deleted with `dry_run` is still there."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.method == "DELETE" and (case.query or {}).get("dry_run") is True:
        del case.query["dry_run"]
