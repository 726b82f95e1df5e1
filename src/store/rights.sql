WITH caller AS (
  SELECT
    c.user_id,
    m.org_id,
    CASE
      WHEN c.revoked_at IS NOT NULL OR c.expires_at <= ?3 OR c.disabled_at IS NOT NULL THEN 'UNAUTHORIZED'
      WHEN c.email_verified_at IS NULL THEN 'EMAIL_NOT_VERIFIED'
      WHEN m.org_id IS NULL THEN 'ORGANIZATION_MEMBERSHIP_REQUIRED'
      WHEN m.role IS NULL THEN 'ROLE_UNRESOLVED'
      WHEN c.impersonator_id IS NOT NULL AND ?4 <> 'assets:read' THEN 'IMPERSONATION_READ_ONLY'
      WHEN p.permission IS NULL THEN 'PERMISSION_DENIED'
    END AS refusal
  FROM callers c
  LEFT JOIN memberships m
    ON m.user_id = c.user_id
    AND m.org_id = COALESCE(?2, c.default_org_id)
    AND (c.bound_org_id IS NULL OR c.bound_org_id = m.org_id)
  LEFT JOIN role_permissions p ON p.role = m.role AND p.permission = ?4
  WHERE c.token_hash = ?1
)
