//! The rules of assets and folders: what each request must be answered, and what it writes.

use asset_uploads::error::ErrorCode;

use crate::model::{AssetModel, Change, Finding, FolderModel, Model};
use crate::request::ChangeModel;
use crate::rules::{By, Found};

impl Model {
    /// A folder of the organization that is not in the trash.
    pub(crate) fn folder_of(&self, id: &str, org: usize) -> Result<&FolderModel, ErrorCode> {
        self.live_folder(id).filter(|folder| folder.org == org).ok_or(ErrorCode::FolderNotFound)
    }

    /// An asset of the organization, in the trash or not.
    fn asset_of(&self, id: &str, org: usize) -> Result<&AssetModel, ErrorCode> {
        self.assets.get(id).filter(|asset| asset.org == org).ok_or(ErrorCode::AssetNotFound)
    }

    fn live_asset_of(&self, id: &str, org: usize) -> Result<&AssetModel, ErrorCode> {
        self.asset_of(id, org)
            .and_then(|asset| if asset.deleted.is_none() { Ok(asset) } else { Err(ErrorCode::AssetNotFound) })
    }

    pub(crate) fn read_asset(&self, id: &str, org: usize) -> Found {
        self.live_asset_of(id, org).map(|_| (Finding::Asset, Vec::new()))
    }

    pub(crate) fn update_asset(&self, by: By, id: &str, change: &ChangeModel) -> Found {
        let old = self.live_asset_of(id, by.org)?;
        if let Some(Some(folder)) = &change.place {
            self.folder_of(folder, by.org)?;
        }
        let mut asset = old.clone();
        asset.name = change.name.unwrap_or(old.name);
        asset.folder = change.place.clone().unwrap_or_else(|| old.folder.clone());
        if asset == *old {
            return Ok((Finding::AssetUpdated, Vec::new()));
        }
        asset.updated_at = by.now;
        Ok((Finding::AssetUpdated, vec![(Some(id.to_owned()), Change::Asset(asset))]))
    }

    pub(crate) fn delete_asset(&self, by: By, id: &str) -> Found {
        let old = self.asset_of(id, by.org)?;
        if old.deleted.is_some() {
            return Ok((Finding::Done, Vec::new()));
        }
        let asset = AssetModel { deleted: Some((by.now, by.user)), ..old.clone() };
        Ok((Finding::Done, vec![(Some(id.to_owned()), Change::Asset(asset))]))
    }

    pub(crate) fn restore_asset(&self, id: &str, org: usize) -> Found {
        let old = self.asset_of(id, org)?;
        if old.deleted.is_none() {
            return Ok((Finding::AssetRestored, Vec::new()));
        }
        let folder = old.folder.clone().filter(|folder| self.live_folder(folder).is_some());
        let asset = AssetModel { folder, deleted: None, deleted_with: None, ..old.clone() };
        Ok((Finding::AssetRestored, vec![(Some(id.to_owned()), Change::Asset(asset))]))
    }

    /// Whether a folder may have this parent and this name.
    fn place_folder(
        &self,
        org: usize,
        id: Option<&str>,
        parent: Option<&str>,
        name: &str,
    ) -> Result<(), ErrorCode> {
        if let Some(parent) = parent {
            self.folder_of(parent, org)?;
            if id.is_some_and(|id| parent == id || self.ancestors(parent).iter().any(|other| other == id)) {
                return Err(ErrorCode::FolderCycle);
            }
        }
        let taken = self.folders.iter().any(|(other, folder)| {
            folder.org == org
                && folder.deleted_at.is_none()
                && folder.parent.as_deref() == parent
                && folder.name.eq_ignore_ascii_case(name)
                && Some(other.as_str()) != id
        });
        if taken { Err(ErrorCode::FolderNameTaken) } else { Ok(()) }
    }

    /// The folders that a folder lies in, innermost first.
    pub(crate) fn ancestors(&self, id: &str) -> Vec<String> {
        let mut ancestors = Vec::new();
        let mut next = self.folders.get(id).and_then(|folder| folder.parent.clone());
        while let Some(id) = next.take().filter(|id| !ancestors.contains(id)) {
            next = self.folders.get(&id).and_then(|folder| folder.parent.clone());
            ancestors.push(id);
        }
        ancestors
    }

    pub(crate) fn create_folder(
        &self,
        by: By,
        wanted: &(&'static str, Option<String>),
        id: Option<&str>,
    ) -> Found {
        let (name, parent) = wanted;
        let existing = id.and_then(|id| self.folders.get(id));
        if let Some(folder) = existing.filter(|folder| folder.org == by.org) {
            if folder.request == by.number {
                return Ok((Finding::FolderCreated { replayed: false }, Vec::new()));
            }
            if folder.first.as_ref() != Some(wanted) {
                return Err(ErrorCode::ValidationError);
            }
            if folder.deleted_at.is_some() {
                return Err(ErrorCode::FolderNotFound);
            }
            return Ok((Finding::FolderCreated { replayed: true }, Vec::new()));
        }
        self.place_folder(by.org, id, parent.as_deref(), name)?;
        if existing.is_some() {
            return Err(ErrorCode::ValidationError);
        }
        let folder = FolderModel {
            org: by.org,
            parent: parent.clone(),
            name,
            created_by: by.user,
            created_at: by.now,
            updated_at: by.now,
            deleted_at: None,
            deleted_with: None,
            first: Some(wanted.clone()),
            request: by.number,
        };
        let change = (id.map(str::to_owned), Change::Folder(folder));
        Ok((Finding::FolderCreated { replayed: false }, vec![change]))
    }

    pub(crate) fn read_folder(&self, id: &str, org: usize) -> Found {
        self.folder_of(id, org).map(|_| (Finding::Folder, Vec::new()))
    }

    pub(crate) fn update_folder(&self, by: By, id: &str, change: &ChangeModel) -> Found {
        let old = self.folder_of(id, by.org)?;
        let mut folder = old.clone();
        folder.name = change.name.unwrap_or(old.name);
        folder.parent = change.place.clone().unwrap_or_else(|| old.parent.clone());
        if folder == *old {
            return Ok((Finding::FolderUpdated, Vec::new()));
        }
        self.place_folder(by.org, Some(id), folder.parent.as_deref(), folder.name)?;
        folder.updated_at = by.now;
        Ok((Finding::FolderUpdated, vec![(Some(id.to_owned()), Change::Folder(folder))]))
    }

    pub(crate) fn delete_folder(&self, by: By, id: &str, recursive: bool) -> Found {
        let folder = self.folders.get(id).filter(|folder| folder.org == by.org);
        let folder = folder.ok_or(ErrorCode::FolderNotFound)?;
        if folder.deleted_at.is_some() {
            return Ok((Finding::Done, Vec::new()));
        }
        let folder = FolderModel { deleted_at: Some(by.now), ..folder.clone() };
        let mut changes = vec![(Some(id.to_owned()), Change::Folder(folder))];
        let beneath = |place: &Option<String>| {
            place
                .as_ref()
                .is_some_and(|place| place == id || self.ancestors(place).iter().any(|other| other == id))
        };
        for (other, folder) in self.folders.iter().filter(|(_, folder)| beneath(&folder.parent)) {
            if folder.deleted_at.is_none() {
                let deleted_with = Some(id.to_owned());
                let folder = FolderModel { deleted_at: Some(by.now), deleted_with, ..folder.clone() };
                changes.push((Some(other.clone()), Change::Folder(folder)));
            }
        }
        for (asset_id, asset) in self.assets.iter().filter(|(_, asset)| beneath(&asset.folder)) {
            if asset.deleted.is_none() {
                let (deleted, deleted_with) = (Some((by.now, by.user)), Some(id.to_owned()));
                let asset = AssetModel { deleted, deleted_with, ..asset.clone() };
                changes.push((Some(asset_id.clone()), Change::Asset(asset)));
            }
        }
        if changes.len() > 1 && !recursive {
            Err(ErrorCode::FolderNotEmpty)
        } else {
            Ok((Finding::Done, changes))
        }
    }

    pub(crate) fn restore_folder(&self, id: &str, org: usize) -> Found {
        let named = self.folders.get(id).filter(|folder| folder.org == org);
        let named = named.ok_or(ErrorCode::FolderNotFound)?;
        if named.deleted_at.is_none() {
            return Ok((Finding::FolderRestored, Vec::new()));
        }
        // All of the deletion that put it into the trash.
        let root = named.deleted_with.as_deref().unwrap_or(id);
        let deleted = self.folders.get(root).ok_or(ErrorCode::InternalError)?;
        let parent = deleted.parent.clone().filter(|parent| self.live_folder(parent).is_some());
        self.place_folder(org, Some(root), parent.as_deref(), deleted.name)?;
        let folder = FolderModel { parent, deleted_at: None, ..deleted.clone() };
        let mut changes = vec![(Some(root.to_owned()), Change::Folder(folder))];
        let with_it = |deleted_with: &Option<String>| deleted_with.as_deref() == Some(root);
        for (other, folder) in self.folders.iter().filter(|(_, folder)| with_it(&folder.deleted_with)) {
            let folder = FolderModel { deleted_at: None, deleted_with: None, ..folder.clone() };
            changes.push((Some(other.clone()), Change::Folder(folder)));
        }
        for (asset_id, asset) in self.assets.iter().filter(|(_, asset)| with_it(&asset.deleted_with)) {
            let asset = AssetModel { deleted: None, deleted_with: None, ..asset.clone() };
            changes.push((Some(asset_id.clone()), Change::Asset(asset)));
        }
        Ok((Finding::FolderRestored, changes))
    }
}
