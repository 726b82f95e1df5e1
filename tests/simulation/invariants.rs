//! What holds of assets and folders after every transaction, however it came about. The model has just been found equal
//! to the database.

use crate::model::Model;

type Checked = Result<(), String>;

/// Everything.
pub(crate) fn check(model: &Model) -> Checked {
    tree(model)?;
    siblings(model)?;
    assets(model)?;
    deletions(model)
}

/// Folders are a forest, and nothing lies in a deleted one but what is deleted, too.
fn tree(model: &Model) -> Checked {
    for (id, folder) in &model.folders {
        let Some(parent) = &folder.parent else { continue };
        let there = model.folders.get(parent).filter(|parent| parent.org == folder.org);
        let there = there.ok_or_else(|| format!("folder {id} lies in {parent}, which is not there"))?;
        if folder.deleted_at.is_none() && there.deleted_at.is_some() {
            return Err(format!("folder {id} is left behind in {parent}, which is deleted"));
        }
        let (mut above, mut levels) = (parent, 0);
        while let Some(parent) = model.folders.get(above).and_then(|folder| folder.parent.as_ref()) {
            (above, levels) = (parent, levels + 1);
            if levels > model.folders.len() {
                return Err(format!("folder {id} lies in a circle"));
            }
        }
    }
    Ok(())
}

/// No two siblings that are not deleted have one name.
fn siblings(model: &Model) -> Checked {
    let live = || model.folders.iter().filter(|(_, folder)| folder.deleted_at.is_none());
    for (id, folder) in live() {
        for (other, sibling) in live().filter(|(other, _)| *other > id) {
            if (folder.org, &folder.parent) == (sibling.org, &sibling.parent)
                && folder.name.eq_ignore_ascii_case(sibling.name)
            {
                return Err(format!("the folders {id} and {other} have one name in one folder"));
            }
        }
    }
    Ok(())
}

/// The folder of an asset is its organization's, and is not deleted unless the asset is.
fn assets(model: &Model) -> Checked {
    for (id, asset) in &model.assets {
        let Some(folder) = &asset.folder else { continue };
        let there = model.folders.get(folder).filter(|folder| folder.org == asset.org);
        let there = there.ok_or_else(|| format!("asset {id} lies in {folder}, which is not there"))?;
        if asset.deleted.is_none() && there.deleted_at.is_some() {
            return Err(format!("asset {id} is left behind in {folder}, which is deleted"));
        }
        if !model.sessions.contains_key(id) {
            return Err(format!("asset {id} has no session"));
        }
    }
    Ok(())
}

/// What one deletion put into the trash is there together with the folder that was deleted: a restoration brings all of
/// it back, and a purge takes all of it.
fn deletions(model: &Model) -> Checked {
    let folders =
        model.folders.iter().map(|(id, folder)| (id, folder.org, folder.deleted_at, &folder.deleted_with));
    let assets = model
        .assets
        .iter()
        .map(|(id, asset)| (id, asset.org, asset.deleted.map(|(at, _)| at), &asset.deleted_with));
    for (id, org, deleted_at, deleted_with) in folders.chain(assets) {
        let Some(root) = deleted_with else { continue };
        let whole = model.folders.get(root).is_some_and(|root| {
            root.org == org
                && root.deleted_at.is_some()
                && root.deleted_at == deleted_at
                && root.deleted_with.is_none()
        });
        if !whole {
            return Err(format!("{id} was deleted with {root}, and is in the trash without it"));
        }
    }
    Ok(())
}
