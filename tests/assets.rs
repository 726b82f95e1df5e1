//! Reading assets, and the URLs of their thumbnails.

use asset_uploads::domain::asset::Links;
use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::error::ApiError;
use asset_uploads::store::assets::Read;
use asset_uploads::store::rights::{Identity, Permission};
use rusqlite::params;

use crate::sqlite::fixtures::{DEADLINE, asset_of, confirm, pending_upload};
use crate::sqlite::{self, NOW, Person, run, run_with_identity};

fn read(by: &Person, id: AssetUploadId) -> Read {
    Read { caller: by.caller(Permission::AssetsRead), asset_id: id.into() }
}

#[test]
fn an_asset_is_read_with_its_creator() {
    let (conn, org, editor, upload) = pending_upload();
    let viewer = sqlite::viewer(&conn, org);
    run(&conn, &confirm(&editor, upload)).unwrap();
    let by_viewer = read(&viewer, upload);
    let (answer, identity) = run_with_identity(&conn, &by_viewer);
    assert_eq!(answer, Ok((asset_of(org, upload, &editor, None), editor.user.clone())));
    assert_eq!(identity, Identity { user_id: Some(viewer.user.id), org_id: Some(org) });

    // One who left or was disabled has made it all the same.
    conn.execute("DELETE FROM memberships WHERE user_id = ?1", [editor.user.id.to_string()]).unwrap();
    conn.execute("UPDATE users SET disabled_at = 1 WHERE id = ?1", [editor.user.id.to_string()]).unwrap();
    assert_eq!(run(&conn, &by_viewer).unwrap().1, editor.user);
}

#[test]
fn an_asset_that_is_unknown_deleted_or_another_organizations_is_not_found() {
    let (conn, org, editor, upload) = pending_upload();
    let deleted = sqlite::session(&conn, org, &editor, DEADLINE);
    let pending = sqlite::session(&conn, org, &editor, DEADLINE);
    for id in [upload, deleted] {
        run(&conn, &confirm(&editor, id)).unwrap();
    }
    conn.execute("UPDATE assets SET deleted_at = ?1 WHERE id = ?2", params![NOW.0, deleted.to_string()])
        .unwrap();
    let (outsider, _) = sqlite::outsider(&conn);
    let read_by = |person: &Person, id| run(&conn, &read(person, id)).map(drop);
    assert_eq!(read_by(&editor, upload), Ok(()));
    for (person, id) in [
        (&editor, deleted),
        (&editor, pending),
        (&editor, sqlite::unused_upload_id()),
        (&outsider, upload),
        (&outsider, deleted),
        (&outsider, pending),
    ] {
        assert_eq!(read_by(person, id), Err(ApiError::AssetNotFound));
    }
}

#[test]
fn a_url_in_the_query_of_a_thumbnail_is_encoded() {
    let (_, org, editor, upload) = pending_upload();
    let asset = asset_of(org, upload, &editor, None);
    let url = "https://b.example/uploads/x?a=1&b=c d#e";
    let encoded = "https%3A%2F%2Fb.example%2Fuploads%2Fx%3Fa%3D1%26b%3Dc%20d%23e";
    for (template, expected) in [
        ("https://t.example/?src={url}&w=1", format!("https://t.example/?src={encoded}&w=1")),
        ("https://t.example/{url}", format!("https://t.example/{url}")),
        (
            "https://t.example/{url}?again={url}&k={key}",
            format!("https://t.example/{url}?again={encoded}&k={}", asset.r2_key),
        ),
    ] {
        let links = Links { public_base_url: None, thumbnail_template: Some(template.to_owned()) };
        assert_eq!(links.thumbnail_url(&asset, Some(url)), Some(expected), "{template}");
    }
}
