//! What an event means by its numbers: the requests about parts, and batches.

use std::fmt::Write;

use asset_uploads::domain::ids::AssetUploadId;
use asset_uploads::error::ErrorCode;

use crate::client::file_of;
use crate::request::ActionModel;
use crate::run::Run;
use crate::schedule::{FolderNamed, Named, PartsNamed};

impl Run<'_> {
    /// Whether an upload in parts would start where the operator has put an object. Completed, it would replace that
    /// object, even if that has become an asset's by then.
    pub(crate) fn leads_to_foreign_object(
        &self,
        client: usize,
        organization: Named,
        key: u8,
        file: u8,
    ) -> bool {
        let in_parts = file_of(file).is_ok_and(|file| file.multipart);
        let id = self.id_for_key(client, organization, key).filter(|_| in_parts);
        id.is_some_and(|id| {
            let known = self.state.model.borrow().sessions.contains_key(&id.to_string());
            !known && self.state.bucket.borrow().head(&id.object_key()).is_some()
        })
    }

    pub(crate) fn batch(
        &self,
        items: &[Option<(u8, FolderNamed)>],
        unknown: bool,
        key: Option<u8>,
    ) -> ActionModel {
        let mut named: Vec<(AssetUploadId, FolderNamed)> = Vec::new();
        if unknown {
            named.push((self.state.unused_id(), FolderNamed::Nothing));
        }
        for (upload, folder) in items.iter().flatten() {
            let id = self.upload(*upload);
            if !named.iter().any(|(other, _)| *other == id) {
                named.push((id, *folder));
            }
        }
        let (mut found, mut error, mut bodies) = (Vec::new(), None, Vec::new());
        for (id, folder) in named {
            let (change, body) = self.change(&[], None, "folder_id", Some(folder));
            match change {
                Ok(change) => found.push((id, change.place.flatten())),
                // What is no JSON makes all of the body none.
                Err(code) => {
                    error = Some(error.filter(|code| *code == ErrorCode::BadRequest).unwrap_or(code))
                }
            }
            bodies.push(body.replacen('{', &format!("{{\"asset_upload_id\":\"{id}\","), 1));
        }
        let error = error.or_else(|| bodies.is_empty().then_some(ErrorCode::ValidationError));
        let items = error.map_or(Ok(found), Err);
        ActionModel::ConfirmBatch { items, key, body: format!("{{\"items\":[{}]}}", bodies.join(",")) }
    }

    /// The numbers of parts, and what is wrong with them whatever the upload.
    fn numbers(&self, upload: u8, parts: PartsNamed) -> Result<Vec<u64>, ErrorCode> {
        let count = self.known_upload(upload).map_or(1, |known| known.declared.parts().len().max(1));
        let count = u64::try_from(count).unwrap_or_default();
        Ok(match parts {
            PartsNamed::All => (1..=count).collect(),
            PartsNamed::First => vec![1],
            PartsNamed::Second => vec![2],
            PartsNamed::Repeated => vec![1, 1],
            PartsNamed::OneTooMany => (1..=count + 1).collect(),
            PartsNamed::Nothing => return Err(ErrorCode::ValidationError),
            PartsNamed::NoJson => return Err(ErrorCode::BadRequest),
        })
    }

    pub(crate) fn sign_parts(&self, upload: u8, parts: PartsNamed) -> ActionModel {
        let numbers = self.numbers(upload, parts);
        let body = match &numbers {
            Ok(numbers) => format!("{{\"part_numbers\":{numbers:?}}}"),
            Err(ErrorCode::BadRequest) => "nonsense".to_owned(),
            Err(_) => r#"{"part_numbers":[]}"#.to_owned(),
        };
        ActionModel::SignParts { upload: self.upload(upload), numbers, body }
    }

    /// A completion names the ETags that storage answered; the second one is left in its quotes.
    pub(crate) fn completion(&self, upload: u8, parts: PartsNamed, wrong: bool) -> ActionModel {
        let numbers = self.numbers(upload, parts);
        let known = self.known_upload(upload);
        let etag = |number: u64| {
            let part = known.as_ref().and_then(|known| known.parts.get(&number));
            let etag = part.and_then(|part| part.etag.clone()).filter(|_| !wrong || number != 1);
            etag.unwrap_or_else(|| "never-sent".to_owned())
        };
        let body = match &numbers {
            Ok(numbers) => {
                let mut list = String::new();
                for number in numbers {
                    let (comma, quote) =
                        (if list.is_empty() { "" } else { "," }, if *number == 2 { "\\\"" } else { "" });
                    let etag = etag(*number);
                    write!(list, r#"{comma}{{"part_number":{number},"etag":"{quote}{etag}{quote}"}}"#)
                        .unwrap();
                }
                format!("{{\"parts\":[{list}]}}")
            }
            Err(ErrorCode::BadRequest) => "nonsense".to_owned(),
            Err(_) => r#"{"parts":[]}"#.to_owned(),
        };
        ActionModel::Complete { upload: self.upload(upload), numbers, body }
    }
}
