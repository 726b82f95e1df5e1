//! How clients send files to storage, with one request or in parts.

use crate::bucket::PutRequest;
use crate::run::{Run, newest};
use crate::schedule::{Action, FolderNamed, HandMade, Named, PartsNamed, Tampering};
use crate::simulated::pause;

impl Run<'_> {
    pub(crate) fn upload_undisturbed(&mut self, client: u8, file: u8, folder: FolderNamed) {
        if !self.send_undisturbed(client, file) {
            return;
        }
        let others = self.under_way();
        self.request(client, Named::Nothing, 0, Action::Confirm { upload: 0, folder, key: None });
        self.finish_newest(others);
    }

    /// Whether an upload was started; then its file was sent.
    pub(crate) fn send_undisturbed(&mut self, client: u8, file: u8) -> bool {
        if !self.start_undisturbed(client, file) {
            return false;
        }
        let others = self.under_way();
        self.transfer(0, None);
        self.finish_newest(others);
        if self.send_parts(client, 3) {
            let complete = Action::Complete { upload: 0, parts: PartsNamed::All, wrong: false };
            self.request(client, Named::Nothing, 0, complete);
            self.finish_newest(others);
        }
        true
    }

    pub(crate) fn send_several(&mut self, client: u8, uploads: u8, untyped: bool) {
        for file in 0..uploads.min(3) {
            if self.start_undisturbed(client, file) {
                let others = self.under_way();
                if untyped && file == 0 {
                    self.store_by_hand(0, HandMade::Untyped);
                }
                self.transfer(0, None);
                self.finish_newest(others);
            }
        }
    }

    pub(crate) fn upload_in_parts(&mut self, client: u8, file: u8, steps: u8, twice: bool) {
        if !self.start_undisturbed(client, file) {
            return;
        }
        let in_parts = self.send_parts(client, steps.saturating_sub(1));
        let parts = PartsNamed::All;
        let next = match steps {
            0 | 1 => Action::SignParts { upload: 0, parts },
            _ => Action::Complete { upload: 0, parts, wrong: false },
        };
        for isolate in (0..2).filter(|_| in_parts && twice) {
            self.request(client, Named::Nothing, isolate, next);
        }
    }

    /// Whether an upload was started.
    fn start_undisturbed(&mut self, client: u8, file: u8) -> bool {
        let others = self.under_way();
        let known = self.state.uploads.borrow().len();
        self.request(client, Named::Nothing, 0, Action::Start { file, key: None });
        self.finish_newest(others);
        self.state.uploads.borrow().len() > known
    }

    /// Has the parts of the newest upload signed, sends the first, and sends the others: so many of these steps. Whether
    /// it is sent in parts.
    fn send_parts(&mut self, client: u8, steps: u8) -> bool {
        let others = self.under_way();
        let in_parts = self.known_upload(0).is_some_and(|upload| upload.declared.multipart);
        if in_parts && steps > 0 {
            self.request(client, Named::Nothing, 0, Action::SignParts { upload: 0, parts: PartsNamed::All });
            self.finish_newest(others);
            let parts = self.known_upload(0).map_or(0, |upload| upload.parts.len());
            let sent = if steps > 2 { parts } else { usize::from(steps > 1) };
            // They count back from the last one.
            for part in (0..parts).rev().take(sent) {
                self.transfer_part(0, u8::try_from(part).unwrap_or_default(), false);
                self.finish_newest(others);
            }
        }
        in_parts
    }

    /// A client begins to send a file: storage checks the request now, and has the file when the transfer ends.
    pub(crate) fn transfer(&mut self, upload: u8, tampering: Option<Tampering>) {
        let Some(upload) = self.known_upload(upload) else { return };
        let Some(signed) = upload.put else { return };
        let mut put = signed.request;
        match tampering {
            None => {}
            Some(Tampering::Length) => put.size_bytes += 1,
            Some(Tampering::Type) => set_header(&mut put, "content-type", "image/gif"),
            Some(Tampering::Name) => set_header(&mut put, "content-disposition", "inline"),
            Some(Tampering::Overwrite) => put.headers.retain(|(name, _)| name != "if-none-match"),
        }
        let (now, key) = (self.now(), upload.id.object_key());
        let expected = match () {
            () if tampering.is_some() || signed.expires_at <= now => Err(403),
            () if self.state.bucket.borrow().head(&key).is_some() => Err(412),
            () => Ok(key.clone()),
        };
        let authorized = self.state.bucket.borrow().authorize_put(&put, now);
        if authorized != expected {
            let text =
                format!("storage answers {authorized:?} instead of {expected:?} to {tampering:?} of {key}");
            return self.state.violate(text);
        }
        match authorized {
            Ok(key) => {
                let state = self.state;
                self.begin(None, async move {
                    pause().await;
                    let status = state.bucket.borrow_mut().finish_put(&put, &key, state.clock.get());
                    state.count(format!("PUT {status}"));
                });
            }
            Err(status) => self.state.count(format!("PUT {status}")),
        }
    }

    /// A client begins to send a part: storage checks the request now, and has the part when the transfer ends, if the
    /// multipart upload is there then.
    pub(crate) fn transfer_part(&mut self, upload: u8, part: u8, tampered: bool) {
        let Some(upload) = self.known_upload(upload) else { return };
        let numbers: Vec<u64> = upload.parts.keys().copied().collect();
        let Some(number) = newest(&numbers, part).map(|n| numbers[n]) else { return };
        let signed = upload.parts[&number].put.clone();
        let mut put = signed.request;
        put.size_bytes += u64::from(tampered);
        let (now, key) = (self.now(), upload.id.object_key());
        let expected = if tampered || signed.expires_at <= now { Err(403) } else { Ok(key) };
        let authorized = self.state.bucket.borrow().authorize_put(&put, now);
        if authorized != expected {
            return self
                .state
                .violate(format!("storage answers {authorized:?} instead of {expected:?} to part {number}"));
        }
        let state = self.state;
        match authorized {
            Ok(key) => self.begin(None, async move {
                pause().await;
                let stored = state.bucket.borrow_mut().finish_part(&put, &key);
                state.count(format!("PUT part {}", stored.as_ref().err().copied().unwrap_or(200)));
                if let Ok(etag) = stored {
                    state.learn_etag(&key, number, etag);
                }
            }),
            Err(status) => state.count(format!("PUT part {status}")),
        }
    }
}

fn set_header(put: &mut PutRequest, name: &str, value: &str) {
    for (_, old) in put.headers.iter_mut().filter(|(other, _)| other == name) {
        *old = value.to_owned();
    }
}
