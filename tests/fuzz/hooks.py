# The errors for valid data that the API must answer, and that no schema can express.
import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """False for these errors, which are no failures."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return True
    answer = response.json()
    types = {error["type"] for error in answer["errors"]}
    # The Idempotency-Key was sent before with another body ("Confirm exactly once"); a cursor is none of this list's; the
    # folders would be too deep; a key of another scope than upload has limits, or one of that scope lasts for more than a day; an upload has no
    # such parts, or none at all; a batch names an upload twice.
    stated = types <= {
        "idempotency_key_reused", "cursor", "folder_too_deep", "limits_forbidden", "out_of_range", "not_multipart",
        "parts_incomplete", "repeated",
    }
    # The stored object, which is no part of the request, must not become an asset (rule 17).
    return not (stated or answer["code"] == "UPLOAD_REJECTED")
