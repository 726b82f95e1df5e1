// The caller's rights, checked inside the SQL of every query.
import { and, eq, sql } from "drizzle-orm";
import type { DrizzleD1Database } from "drizzle-orm/d1";
import type { RequestContext } from "../shared-hono/context.ts";
import { ApiError, type Code } from "../shared-hono/errors.ts";
import { callers, memberships, type Permission, rolePermissions } from "./schema.ts";

/** Who asks, for which organization, when, and what for: placeholders of every query. */
export interface CallerParams extends Record<string, unknown> {
  tokenHash: string;
  organization: string | null;
  permission: Permission;
  now: number;
}

/** One row, or none for an unknown key; `denial` is null exactly when the caller may. */
export function callerOf(db: DrizzleD1Database) {
  const permission = sql.placeholder("permission");
  const orgId = sql`coalesce(${sql.placeholder("organization")}, ${callers.defaultOrgId})`;
  const denial = sql<Code | null>`case
    when ${callers.revokedAt} is not null or ${callers.expiresAt} <= ${sql.placeholder("now")} or ${callers.disabledAt} is not null then 'UNAUTHORIZED'
    when ${callers.emailVerifiedAt} is null then 'EMAIL_NOT_VERIFIED'
    when ${memberships.orgId} is null or ${callers.boundOrgId} <> ${memberships.orgId} then 'ORGANIZATION_MEMBERSHIP_REQUIRED'
    when ${memberships.role} is null then 'ROLE_UNRESOLVED'
    when ${callers.impersonatorId} is not null and ${permission} <> 'assets:read' then 'IMPERSONATION_READ_ONLY'
    when ${rolePermissions.permission} is null then 'PERMISSION_DENIED'
  end`;
  return db.$with("caller").as(
    db
      .select({ userId: callers.userId, orgId: memberships.orgId, denial: denial.as("denial") })
      .from(callers)
      .leftJoin(memberships, and(eq(memberships.userId, callers.userId), eq(memberships.orgId, orgId)))
      .leftJoin(rolePermissions, and(eq(rolePermissions.role, memberships.role), eq(rolePermissions.permission, permission)))
      .where(eq(callers.tokenHash, sql.placeholder("tokenHash"))),
  );
}

/** The caller as columns of a select. D1 gives rows of a batch as objects, so no two columns may have the same name. */
export const callerColumns = (caller: ReturnType<typeof callerOf>) => ({
  denial: caller.denial,
  userId: caller.userId,
  callerOrg: sql<string | null>`${caller.orgId}`.as("caller_org"),
});

export interface CallerRow {
  denial: Code | null;
  userId: string;
  callerOrg: string | null;
}

/** Notes who calls, and throws unless there is a caller, and it may. */
export function checkCaller<Row extends CallerRow>(row: Row | undefined, request: RequestContext): Row {
  if (!row) throw new ApiError("UNAUTHORIZED");
  request.userId = row.userId;
  request.orgId = row.callerOrg;
  if (row.denial) throw new ApiError(row.denial);
  return row;
}
