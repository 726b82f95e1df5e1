// Who calls, and whether they may: one query, before anything else is looked at.
import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { createMiddleware } from "hono/factory";
import type { AppEnv } from "../shared-hono/bindings.ts";
import { ApiError } from "../shared-hono/errors.ts";
import { organizationHeader, parse, tokenHashOf } from "../shared-hono/requests.ts";
import { callers, memberships, type Permission, rolePermissions, users } from "./schema.ts";

export const authorize = (permission: Permission) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const tokenHash = await tokenHashOf(c);
    const header = { "X-Organization-Id": c.req.header("X-Organization-Id") };
    const named = organizationHeader.safeParse(header).data?.["X-Organization-Id"];
    const db = drizzle(c.env.DB);
    const query = db
      .select({
        key: {
          impersonatorId: callers.impersonatorId,
          expiresAt: callers.expiresAt,
          revokedAt: callers.revokedAt,
          boundOrgId: callers.boundOrgId,
          disabledAt: callers.disabledAt,
          emailVerifiedAt: callers.emailVerifiedAt,
        },
        user: users,
        orgId: memberships.orgId,
        role: memberships.role,
        permission: rolePermissions.permission,
      })
      .from(callers)
      .innerJoin(users, eq(users.id, callers.userId))
      .leftJoin(memberships, and(eq(memberships.userId, callers.userId), eq(memberships.orgId, named ?? callers.defaultOrgId)))
      .leftJoin(rolePermissions, and(eq(rolePermissions.role, memberships.role), eq(rolePermissions.permission, permission)))
      .where(eq(callers.tokenHash, tokenHash));
    const caller = await c.get("request").d1(() => query.get());

    if (!caller) throw new ApiError("UNAUTHORIZED");
    const { key, user, orgId } = caller;
    c.get("request").userId = user.id;
    c.get("request").orgId = orgId;
    const expired = key.expiresAt !== null && key.expiresAt.getTime() <= Date.now();
    if (key.revokedAt || expired || key.disabledAt) throw new ApiError("UNAUTHORIZED");
    if (!key.emailVerifiedAt) throw new ApiError("EMAIL_NOT_VERIFIED");
    parse("header", organizationHeader, header);
    if (!orgId || (key.boundOrgId && key.boundOrgId !== orgId)) throw new ApiError("ORGANIZATION_MEMBERSHIP_REQUIRED");
    if (!caller.role) throw new ApiError("ROLE_UNRESOLVED");
    if (key.impersonatorId && permission !== "assets:read") throw new ApiError("IMPERSONATION_READ_ONLY");
    if (!caller.permission) throw new ApiError("PERMISSION_DENIED");

    c.set("db", db);
    c.set("user", user);
    c.set("orgId", orgId);
    await next();
  });
