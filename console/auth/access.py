"""Which role may use which route: one table. A route that is missing here answers nothing, and fails a test."""

from enum import StrEnum


class UserRole(StrEnum):
    """What a user of the console may do. Roles do not contain each other: each page lists the roles that may open it."""

    VIEWER = "viewer"  # reads results
    CLINICIAN = "clinician"  # reads results and gives verdicts
    OPERATOR = "operator"  # runs the node
    AUDITOR = "auditor"  # reads the audit trail
    ADMIN = "admin"  # manages users, and everything above


MEANINGS = {
    UserRole.VIEWER: "reads results",
    UserRole.CLINICIAN: "reads results, gives verdicts, uploads images",
    UserRole.OPERATOR: "reads results, uploads images, runs the node: routes, queues, deliveries, models",
    UserRole.AUDITOR: "reads results and the audit trail",
    UserRole.ADMIN: "everything, and manages users",
}
"""What a role may do, in the words of the pages."""

PUBLIC: frozenset[UserRole] = frozenset()
"""No sign-in is needed. Only pages without patient data may be public."""

ALL = frozenset(UserRole)
ADMINS = frozenset({UserRole.ADMIN})
AUDITORS = frozenset({UserRole.AUDITOR, UserRole.ADMIN})
CLINICIANS = frozenset({UserRole.CLINICIAN, UserRole.ADMIN})
OPERATORS = frozenset({UserRole.OPERATOR, UserRole.ADMIN})
UPLOADERS = frozenset({UserRole.CLINICIAN, UserRole.OPERATOR, UserRole.ADMIN})

ACCESS: dict[tuple[str, str], frozenset[UserRole]] = {
    ("GET", "/"): PUBLIC,
    ("GET", "/status"): PUBLIC,
    ("GET", "/healthz"): PUBLIC,
    ("GET", "/readyz"): PUBLIC,
    ("GET", "/metrics"): PUBLIC,
    ("GET", "/api/v1/status"): PUBLIC,
    ("GET", "/api/v1/openapi.json"): PUBLIC,
    ("GET", "/api/v1/studies"): ALL,
    ("GET", "/api/v1/studies/{study_id}"): ALL,
    ("GET", "/api/v1/findings"): ALL,
    ("GET", "/api/v1/objects/{object_id}"): ALL,
    ("POST", "/api/v1/predict"): UPLOADERS,
    ("GET", "/api/v1/predict/{upload_id}"): UPLOADERS,
    ("GET", "/api/v1/dashboard"): ALL,
    ("GET", "/api/v1/jobs"): OPERATORS,
    ("GET", "/api/v1/jobs/{job_id}"): OPERATORS,
    ("POST", "/api/v1/jobs/{job_id}/requeue"): OPERATORS,
    ("POST", "/api/v1/jobs/{job_id}/cancel"): OPERATORS,
    ("POST", "/api/v1/jobs/{job_id}/rerun"): OPERATORS,
    ("POST", "/api/v1/jobs/{job_id}/resend"): OPERATORS,
    ("GET", "/api/v1/deliveries"): OPERATORS,
    ("POST", "/api/v1/deliveries/{delivery_id}/retry"): OPERATORS,
    ("POST", "/api/v1/deliveries/{delivery_id}/give-up"): OPERATORS,
    ("GET", "/api/v1/units/unrouted"): OPERATORS,
    ("POST", "/api/v1/units/{unit_id}/requeue"): OPERATORS,
    ("GET", "/api/v1/quarantine"): OPERATORS,
    ("POST", "/api/v1/quarantine/{item_id}/requeue"): OPERATORS,
    ("GET", "/api/v1/alerts"): OPERATORS,
    ("GET", "/api/v1/commitments"): OPERATORS,
    ("POST", "/api/v1/commitments/{report_id}/retry"): OPERATORS,
    ("POST", "/api/v1/commitments/{report_id}/give-up"): OPERATORS,
    ("GET", "/api/v1/notifications"): OPERATORS,
    ("POST", "/api/v1/notifications/{notification_id}/retry"): OPERATORS,
    ("GET", "/api/v1/routes"): OPERATORS,
    ("POST", "/api/v1/routes/pause"): OPERATORS,
    ("POST", "/api/v1/routes/resume"): OPERATORS,
    ("GET", "/api/v1/destinations"): OPERATORS,
    ("POST", "/api/v1/destinations/pause"): OPERATORS,
    ("POST", "/api/v1/destinations/resume"): OPERATORS,
    ("POST", "/api/v1/destinations/echo"): OPERATORS,
    ("GET", "/api/v1/commands"): OPERATORS,
    ("GET", "/api/v1/commands/{command_id}"): OPERATORS,
    ("GET", "/api/v1/results/{job_id}/verdicts"): ALL,
    ("POST", "/api/v1/results/{job_id}/verdicts"): CLINICIANS,
    ("POST", "/api/v1/results/{job_id}/release"): CLINICIANS,
    ("GET", "/api/v1/audit/events"): AUDITORS,
    ("GET", "/api/v1/audit/export"): AUDITORS,
    ("POST", "/api/v1/audit/verify"): AUDITORS,
    ("GET", "/api/v1/audit/verification"): AUDITORS,
    ("GET", "/api/v1/audit/patient-access"): AUDITORS,
    ("GET", "/api/v1/users"): ADMINS,
    ("POST", "/api/v1/users/invitations"): ADMINS,
    ("PUT", "/api/v1/users/{user_id}/role"): ADMINS,
    ("POST", "/api/v1/users/{user_id}/disable"): ADMINS,
    ("POST", "/api/v1/users/{user_id}/enable"): ADMINS,
    ("GET", "/sign-in"): PUBLIC,
    ("POST", "/sign-in"): PUBLIC,
    ("GET", "/sign-in/code"): PUBLIC,
    ("POST", "/sign-in/code"): PUBLIC,
    ("GET", "/sign-in/link/{token}"): PUBLIC,
    ("POST", "/sign-in/link/{token}"): PUBLIC,
    ("GET", "/sign-in/oidc"): PUBLIC,
    ("GET", "/sign-in/oidc/callback"): PUBLIC,
    ("GET", "/invitations/{token}"): PUBLIC,
    ("POST", "/invitations/{token}"): PUBLIC,
    ("GET", "/worklist"): ALL,
    ("GET", "/worklist/events"): ALL,
    ("POST", "/worklist/views"): ALL,
    ("POST", "/worklist/views/{view_id}/delete"): ALL,
    ("GET", "/studies/{study_id}"): ALL,
    ("GET", "/studies/{study_id}/state"): ALL,
    ("GET", "/objects/{object_id}"): ALL,
    ("GET", "/objects/{object_id}/view"): ALL,
    ("GET", "/objects/{object_id}/pdf"): ALL,
    ("GET", "/objects/{object_id}/{ticket}/content"): ALL,
    ("GET", "/results/{job_id}/verdicts"): ALL,
    ("POST", "/results/{job_id}/verdicts"): CLINICIANS,
    ("POST", "/results/{job_id}/release"): CLINICIANS,
    ("GET", "/viewer/{unit_id}"): ALL,
    ("GET", "/viewer/{unit_id}/{ticket}/state"): ALL,
    ("GET", "/viewer/{unit_id}/{ticket}/of-study"): ALL,
    ("GET", "/viewer/{unit_id}/{ticket}/newer"): ALL,
    ("GET", "/viewer/{unit_id}/{ticket}/meta"): ALL,
    ("GET", "/viewer/{unit_id}/{ticket}/first"): ALL,
    ("GET", "/viewer/{unit_id}/{ticket}/slices/{first}/{count}"): ALL,
    ("GET", "/viewer/{unit_id}/{ticket}/picture"): ALL,
    ("GET", "/viewer/{unit_id}/{ticket}/overlays"): ALL,
    ("GET", "/dashboard"): ALL,
    ("GET", "/upload"): UPLOADERS,
    ("POST", "/upload"): UPLOADERS,
    ("GET", "/uploads/{upload_id}"): UPLOADERS,
    ("POST", "/uploads/{upload_id}/cancel"): UPLOADERS,
    ("GET", "/uploads/{upload_id}/files/{file_id}"): UPLOADERS,
    ("POST", "/uploads/{upload_id}/files/{file_id}"): UPLOADERS,
    ("GET", "/models"): ALL,
    ("GET", "/models/{name}"): ALL,
    ("GET", "/models/commands"): ALL,
    ("POST", "/models/commands"): OPERATORS,
    ("GET", "/operations"): OPERATORS,
    ("GET", "/operations/commands"): OPERATORS,
    ("POST", "/operations/commands"): OPERATORS,
    ("POST", "/operations/route-test"): OPERATORS,
    ("GET", "/audit"): AUDITORS,
    ("POST", "/audit/verify"): AUDITORS,
    ("GET", "/audit/export"): AUDITORS,
    ("GET", "/audit/patient"): AUDITORS,
    ("GET", "/audit/views"): AUDITORS,
    ("GET", "/audit/views/export"): AUDITORS,
    ("POST", "/sign-out"): ALL,
    ("GET", "/account"): ALL,
    ("GET", "/account/session"): ALL,
    ("POST", "/account/password"): ALL,
    ("POST", "/account/second-factor"): ALL,
    ("POST", "/account/second-factor/remove"): ALL,
    ("POST", "/account/sessions/{session_id}/end"): ALL,
    ("POST", "/account/tokens"): ALL,
    ("POST", "/account/tokens/{token_id}/revoke"): ALL,
    ("GET", "/users"): ADMINS,
    ("POST", "/users/invite"): ADMINS,
    ("POST", "/users/{user_id}/role"): ADMINS,
    ("POST", "/users/{user_id}/disable"): ADMINS,
    ("POST", "/users/{user_id}/enable"): ADMINS,
    ("POST", "/users/{user_id}/second-factor/remove"): ADMINS,
}
