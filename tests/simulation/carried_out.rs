//! Storage calls as they are carried out: on the database, which is compared with the model, and on the bucket.

use asset_uploads::domain::multipart::{CompletedPart, Completion};
use asset_uploads::storage_error::StorageError;

use crate::model::Finding;
use crate::record::TaskRecord;
use crate::run::newest;
use crate::simulated::{Call, CallOutput, LateCall};
use crate::state::State;

impl State<'_> {
    /// Carries out the late call that a number means.
    pub(crate) fn carry_out_one_late(&self, call: u8) {
        let n = newest(&self.late.borrow(), call);
        if let Some(n) = n {
            let call = self.late.borrow_mut().remove(n);
            self.carry_out_late(&call);
        }
    }

    /// Carries out a call that nobody waits for any more.
    pub(crate) fn carry_out_late(&self, late: &LateCall) {
        self.count("late call");
        drop(self.carry_out(&late.caller, &late.call));
    }

    pub(crate) fn carry_out(&self, record: &TaskRecord, call: &Call) -> Result<CallOutput, StorageError> {
        Ok(match call {
            Call::Transact(statements) => CallOutput::Rows(self.transact(record, statements)?),
            Call::Head(key) => CallOutput::Object(self.bucket.borrow().head(key)),
            Call::List(prefix, after, limit) => {
                CallOutput::Page(self.bucket.borrow().list(prefix, after, *limit))
            }
            Call::Delete(keys) => {
                for key in keys.iter().filter(|key| self.bucket.borrow().head(key).is_some()) {
                    self.count("object removed");
                    self.report(self.model.borrow().may_remove(key));
                }
                self.bucket.borrow_mut().delete(keys);
                CallOutput::Deleted
            }
            Call::Owner(id) => CallOutput::Owner(self.bucket.borrow_mut().owner(id, self.clock.get())),
            Call::CreateMultipart(key, content_type) => {
                CallOutput::MultipartId(self.bucket.borrow_mut().create_multipart(key, content_type))
            }
            Call::CompleteMultipart(key, id, parts) => CallOutput::Completion(self.complete(key, id, parts)),
            Call::Nudge(nudges) => {
                self.enqueue(nudges);
                CallOutput::Deleted
            }
            Call::AbortMultipart(key, id) => {
                self.abort(record, key, id);
                CallOutput::Deleted
            }
        })
    }

    /// The parts become an object: once, and of the declared size.
    fn complete(&self, key: &str, id: &str, parts: &[CompletedPart]) -> Completion {
        let completion = self.bucket.borrow_mut().complete_multipart(key, id, parts, self.clock.get());
        self.count(format!("parts: {completion:?}"));
        if completion != Completion::Completed {
            return completion;
        }
        let size = self.bucket.borrow().head(key).map(|object| object.size_bytes);
        let model = self.model.borrow();
        let session = key.strip_prefix("uploads/").and_then(|id| model.sessions.get(id));
        let declared = session.map(|session| session.declared.size_bytes);
        // An id may come again, long after its first upload is gone.
        let upload = (key.to_owned(), session.map(|session| session.request));
        let first = self.completions.borrow_mut().insert(upload);
        if !first || size != declared {
            self.violate(format!("{key} is completed, first: {first}, {size:?} of {declared:?} bytes"));
        }
        completion
    }

    /// Only what nobody can complete any more is given up, or what the database has never had.
    fn abort(&self, record: &TaskRecord, key: &str, id: &str) {
        let mut bucket = self.bucket.borrow_mut();
        if !bucket.open_multiparts().iter().any(|open| open == id) {
            return;
        }
        self.count(if record.request.is_some() { "parts given up" } else { "parts given up by the sweeper" });
        // A request that was told no more than an error cannot know whether a call before stored its id.
        let knows = !matches!(*record.finding.borrow(), Some(Finding::Error(_)));
        if knows {
            self.report(self.model.borrow().may_abort(key, id, self.clock.get()));
        }
        bucket.abort_multipart(key, id);
    }
}
