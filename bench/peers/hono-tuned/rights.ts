// The caller's rights, judged inside the SQL of every query.
import { and, eq, sql } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import { ApiError, type Code } from "../shared-hono/errors.ts";
import { callers, memberships, type Permission, rolePermissions } from "./schema.ts";

/** Who asks, for which organization, when, and what for: placeholders of every query. */
export interface Ask extends Record<string, unknown> {
  tokenHash: string;
  organization: string | null;
  permission: Permission;
  now: number;
}

/** One row, or none for an unknown key; `refusal` is null exactly when the caller may. */
export function callerOf(db: DrizzleD1Database) {
  const permission = sql.placeholder("permission");
  const orgId = sql`coalesce(${sql.placeholder("organization")}, ${callers.defaultOrgId})`;
  const refusal = sql<Code | null>`case
    when ${callers.revokedAt} is not null or ${callers.expiresAt} <= ${sql.placeholder("now")} or ${callers.disabledAt} is not null then 'UNAUTHORIZED'
    when ${callers.emailVerifiedAt} is null then 'EMAIL_NOT_VERIFIED'
    when ${memberships.orgId} is null or ${callers.boundOrgId} <> ${memberships.orgId} then 'ORGANIZATION_MEMBERSHIP_REQUIRED'
    when ${memberships.role} is null then 'ROLE_UNRESOLVED'
    when ${callers.impersonatorId} is not null and ${permission} <> 'assets:read' then 'IMPERSONATION_READ_ONLY'
    when ${rolePermissions.permission} is null then 'PERMISSION_DENIED'
  end`;
  return db.$with("caller").as(
    db
      .select({ userId: callers.userId, orgId: memberships.orgId, refusal: refusal.as("refusal") })
      .from(callers)
      .leftJoin(memberships, and(eq(memberships.userId, callers.userId), eq(memberships.orgId, orgId)))
      .leftJoin(rolePermissions, and(eq(rolePermissions.role, memberships.role), eq(rolePermissions.permission, permission)))
      .where(eq(callers.tokenHash, sql.placeholder("tokenHash"))),
  );
}

/** Throws unless there is a caller, and it may. */
export function judge<Row extends { refusal: Code | null }>(row: Row | undefined): Row {
  if (!row) throw new ApiError("UNAUTHORIZED");
  if (row.refusal) throw new ApiError(row.refusal);
  return row;
}
