// Every query, prepared once: to build the two of a confirmation anew takes about 1 ms of CPU time, prepared 0.02 ms (Node 24).
import { and, eq, exists, getTableColumns, gt, isNull, or, sql } from "drizzle-orm";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import type { Bindings } from "../shared-hono/bindings.ts";
import { callerColumns, callerOf } from "./rights.ts";
import { assets, assetUploads, folders, users } from "./schema.ts";

/** A value that a request brings, as a column of a select. */
const given = (name: string) => sql`${sql.placeholder(name)}`.as(name);

function prepare(db: DrizzleD1Database) {
  const caller = callerOf(db);
  const id = sql.placeholder("id");
  const now = sql.placeholder("now");
  const folderId = sql.placeholder("folderId");
  const folder = and(eq(folders.id, folderId), eq(folders.orgId, assetUploads.orgId), isNull(folders.deletedAt));

  const checkRights = db.with(caller).select(callerColumns(caller)).from(caller);

  const insertUpload = db
    .with(caller)
    .insert(assetUploads)
    .select(
      db
        .select({
          id: given("id"),
          orgId: caller.orgId,
          filename: given("filename"),
          mimeType: given("mimeType"),
          sizeBytes: given("sizeBytes"),
          createdBy: caller.userId,
          createdAt: given("now"),
          expiresAt: given("expiresAt"),
          requestId: given("requestId"),
        })
        .from(caller)
        .where(isNull(caller.denial)),
    );

  // The guard is in the insert itself: whatever changed since the request came in is seen here.
  const insertAsset = db
    .with(caller)
    .insert(assets)
    .select(
      db
        // drizzle demands every column, in the order of the table.
        .select({
          id: assetUploads.id,
          orgId: assetUploads.orgId,
          folderId: given("folderId"),
          name: assetUploads.filename,
          r2Key: given("key"),
          mimeType: given("mimeType"),
          sizeBytes: given("sizeBytes"),
          assetType: given("assetType"),
          sourceType: sql`'upload'`.as("source_type"),
          sourceId: sql`${assetUploads.id}`.as("source_id"),
          etag: given("etag"),
          confirmationKey: given("confirmationKey"),
          createdBy: caller.userId,
          createdAt: given("now"),
          updatedAt: given("now"),
          deletedAt: sql`null`.as("deleted_at"),
          deletedBy: sql`null`.as("deleted_by"),
          requestId: given("requestId"),
          confirmedFolderId: given("folderId"),
          eventAt: given("now"),
        })
        .from(caller)
        .innerJoin(assetUploads, and(eq(assetUploads.id, id), eq(assetUploads.orgId, caller.orgId)))
        .where(
          and(
            isNull(caller.denial),
            gt(assetUploads.expiresAt, now),
            or(isNull(folderId), exists(db.select({ id: folders.id }).from(folders).where(folder))),
          ),
        ),
    )
    .onConflictDoNothing({ target: assets.id })
    .returning({ id: assets.id });

  // What decides the answer.
  const confirmState = db
    .with(caller)
    .select({
      ...callerColumns(caller),
      session: {
        expiresAt: assetUploads.expiresAt,
        mimeType: sql<string>`${assetUploads.mimeType}`.as("declared_type"),
        sizeBytes: sql<number>`${assetUploads.sizeBytes}`.as("declared_size"),
      },
      asset: getTableColumns(assets),
      creator: { email: users.email, firstName: users.firstName, lastName: users.lastName, avatarUrl: users.avatarUrl },
      folderFound: sql<number>`${folders.id} is not null`.as("folder_found"),
    })
    .from(caller)
    .leftJoin(assetUploads, and(eq(assetUploads.id, id), eq(assetUploads.orgId, caller.orgId), isNull(caller.denial)))
    .leftJoin(assets, eq(assets.id, assetUploads.id))
    .leftJoin(users, eq(users.id, assets.createdBy))
    .leftJoin(folders, folder);

  const readAsset = db
    .with(caller)
    .select({ ...callerColumns(caller), asset: getTableColumns(assets) })
    .from(caller)
    .leftJoin(assets, and(eq(assets.id, id), eq(assets.orgId, caller.orgId), isNull(assets.deletedAt), isNull(caller.denial)));

  return {
    checkRights: checkRights.prepare(),
    insertUpload: insertUpload.prepare(),
    insertAsset: insertAsset.prepare(),
    confirmState: confirmState.prepare(),
    readAsset: readAsset.prepare(),
  };
}

let queries: ReturnType<typeof prepare> | undefined;

export const queriesOf = ({ DB }: Bindings) => (queries ??= prepare(drizzle(DB)));
