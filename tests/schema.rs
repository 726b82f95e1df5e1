//! Rows that the constraints of the schema reject, so that no code can write them.

use asset_uploads::domain::ids::{AssetUploadId, FolderId};
use rusqlite::params;

use crate::sqlite;
use crate::sqlite::fixtures::{confirm, pending_upload};
use crate::sqlite::run;

#[test]
fn the_schema_forbids_what_must_never_be() {
    let (conn, org, editor, upload) = pending_upload();
    let (outsider, elsewhere) = sqlite::outsider(&conn);
    let foreign = sqlite::folder(&conn, elsewhere, &outsider, None);
    let own = sqlite::folder(&conn, org, &editor, None);
    run(&conn, &confirm(&editor, upload)).unwrap();
    let other = sqlite::unused_upload_id();
    let insert = |id: AssetUploadId, folder: Option<FolderId>, r2_key: &str| {
        let result = conn.execute(
            "INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type,
               source_type, source_id, etag, confirmation_key, created_by, created_at, updated_at)
             VALUES (?1, ?2, ?3, 'n', ?4, 'image/png', 1, 'image', 'upload', ?1, 'e', 'k', ?5, 1, 1)",
            params![
                id.to_string(),
                org.to_string(),
                folder.map(|id| id.to_string()),
                r2_key,
                editor.user.id.to_string()
            ],
        );
        result.map_err(|error| error.to_string())
    };
    let error = |text: &str| Err(text.to_owned());
    assert_eq!(insert(other, Some(foreign), "uploads/x"), error("FOREIGN KEY constraint failed"));
    assert_eq!(insert(upload, None, "uploads/x"), error("UNIQUE constraint failed: assets.id"));
    let update = |sql: &str| conn.execute(sql, []).map_err(|error| error.to_string());
    let move_away = format!("UPDATE assets SET folder_id = '{foreign}'");
    assert_eq!(update(&move_away), error("FOREIGN KEY constraint failed"));
    let nest = format!("UPDATE folders SET parent_id = '{foreign}' WHERE id = '{own}'");
    assert_eq!(update(&nest), error("FOREIGN KEY constraint failed"));
    assert!(update("UPDATE assets SET deleted_by = created_by").unwrap_err().starts_with("CHECK"));
    assert!(update("UPDATE assets SET size_bytes = 1.5").unwrap_err().starts_with("cannot store REAL"));
    assert_eq!(sqlite::count_assets(&conn), 1);
    let equal_sibling = format!(
        "INSERT INTO folders (id, org_id, name, created_by, created_at, updated_at)
      SELECT '{other}', org_id, upper(name), created_by, 1, 1 FROM folders WHERE id = '{own}'"
    );
    assert_eq!(update(&equal_sibling), error("UNIQUE constraint failed: index 'folders_by_sibling'"));
    for table in ["assets", "folders"] {
        let sql = format!("UPDATE {table} SET deleted_with = id");
        assert!(update(&sql).unwrap_err().starts_with("CHECK"), "{table}");
    }
    // The same statement with an own folder goes through, so each error had its own reason.
    assert_eq!(insert(other, Some(own), "uploads/x"), Ok(1));
    let third = sqlite::unused_upload_id();
    assert_eq!(insert(third, None, "uploads/x"), error("UNIQUE constraint failed: assets.r2_key"));
}
