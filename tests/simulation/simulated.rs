//! The platform of a simulation: each task has its own, on the same database, bucket and clock. Every storage call
//! waits twice, before it is carried out and before it is answered; meanwhile others go on, and the schedule may have
//! it fail. carried_out.rs has what a call does then.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use asset_uploads::domain::multipart::{CompletedPart, Completion};
use asset_uploads::domain::timestamp::Timestamp;
use asset_uploads::domain::upload::StoredObject;
use asset_uploads::domain::webhook::Nudge;
use asset_uploads::platform::{Answered, ObjectPage, Outgoing, Platform, SendError, Usage};
use asset_uploads::storage_error::{MAX_CALLS, StorageError, StorageErrorKind};
use asset_uploads::store::{Rows, Statement};

use crate::model::HeadResult;
use crate::receiver::note;
use crate::record::TaskRecord;
use crate::schedule::Fault;
use crate::state::State;

/// A storage call that nobody waits for any more.
pub(crate) struct LateCall {
    pub(crate) sent_at: Timestamp,
    pub(crate) caller: Rc<TaskRecord>,
    pub(crate) call: Call,
}

#[derive(Clone)]
pub(crate) enum Call {
    Transact(Vec<Statement>),
    Head(String),
    List(String, String, u32),
    Delete(Vec<String>),
    Owner(String),
    /// Key and content type.
    CreateMultipart(String, String),
    /// Key and multipart id.
    CompleteMultipart(String, String, Vec<CompletedPart>),
    AbortMultipart(String, String),
    Nudge(Vec<(Nudge, u64)>),
}

/// What a storage call is answered.
pub(crate) enum CallOutput {
    Rows(Rows),
    Object(Option<StoredObject>),
    Page(ObjectPage),
    /// Or aborted, or in the queue.
    Deleted,
    Owner(String),
    MultipartId(String),
    Completion(Completion),
}

/// The platform of one task.
pub(crate) struct TaskPlatform<'a> {
    pub(crate) state: &'a State<'a>,
    pub(crate) record: Rc<TaskRecord>,
}

/// A call on its way to storage. When its isolate ends, it may still arrive.
struct CallUnderWay<'a> {
    platform: &'a TaskPlatform<'a>,
    call: &'a Call,
    carried_out: Cell<bool>,
}

impl Drop for CallUnderWay<'_> {
    fn drop(&mut self) {
        if self.platform.state.isolate_ends.get() == Some(true) && !self.carried_out.get() {
            self.platform.will_be_late(self.call);
        }
    }
}

impl TaskPlatform<'_> {
    fn will_be_late(&self, call: &Call) {
        // As the task stands now: what it does afterwards is nothing to this call.
        let caller = Rc::new((*self.record).clone());
        let late = LateCall { sent_at: self.state.clock.get(), caller, call: call.clone() };
        self.state.late.borrow_mut().push(late);
    }

    /// Makes a call as the Worker does: again after a lost connection, but not for ever.
    async fn call(&self, call: Call) -> Result<CallOutput, StorageError> {
        self.record.calls.set(self.record.calls.get() + 1);
        let error = |kind, message: &str| Err(StorageError { kind, message: message.to_owned() });
        for _ in 0..MAX_CALLS {
            if let Call::Transact(statements) = &call {
                let sent = u32::try_from(statements.len()).unwrap_or(u32::MAX);
                self.record.statements.set(self.record.statements.get() + sent);
            }
            let under_way = CallUnderWay { platform: self, call: &call, carried_out: Cell::new(false) };
            pause().await;
            under_way.carried_out.set(true);
            let fault = self.state.next_fault();
            let output = match fault {
                None | Some(Fault::LostAfter | Fault::HangsAfter) => {
                    Some(self.state.carry_out(&self.record, &call)?)
                }
                Some(Fault::HangsLate) => {
                    self.will_be_late(&call);
                    None
                }
                Some(Fault::LostBefore | Fault::Overloaded | Fault::HangsBefore) => None,
            };
            pause().await;
            match (fault, output) {
                (None, Some(output)) => return Ok(output),
                (Some(Fault::LostBefore | Fault::LostAfter), _) => {}
                (Some(Fault::Overloaded), _) => return error(StorageErrorKind::Overloaded, "overloaded"),
                _ => return error(StorageErrorKind::Overloaded, "no answer within 5000 ms"),
            }
        }
        error(StorageErrorKind::Transient, "Network connection lost")
    }
}

/// A call was answered with what another asks for: cannot be.
fn mixed_up() -> StorageError {
    StorageError { kind: StorageErrorKind::Unexpected, message: "answers mixed up".to_owned() }
}

impl Platform for TaskPlatform<'_> {
    async fn transact(&self, statements: &[Statement]) -> Result<Rows, StorageError> {
        self.record.begin_transaction();
        let output = self.call(Call::Transact(statements.to_vec())).await;
        self.record.database_failed.set(output.is_err());
        match output? {
            CallOutput::Rows(rows) => {
                self.record.learn();
                Ok(rows)
            }
            _ => Err(mixed_up()),
        }
    }

    async fn head_object(&self, key: &str) -> Result<Option<StoredObject>, StorageError> {
        let output = self.call(Call::Head(key.to_owned())).await;
        let result = match &output {
            Ok(CallOutput::Object(Some(object))) => HeadResult::Object(object.clone()),
            Ok(_) => HeadResult::Missing,
            Err(_) => HeadResult::Failed,
        };
        self.record.heads.borrow_mut().insert(key.to_owned(), result);
        match output? {
            CallOutput::Object(object) => Ok(object),
            _ => Err(mixed_up()),
        }
    }

    async fn list_objects(&self, prefix: &str, after: &str, limit: u32) -> Result<ObjectPage, StorageError> {
        match self.call(Call::List(prefix.to_owned(), after.to_owned(), limit)).await? {
            CallOutput::Page(page) => Ok(page),
            _ => Err(mixed_up()),
        }
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<(), StorageError> {
        let output = self.call(Call::Delete(keys.to_vec())).await;
        self.record.removal_failed.set(self.record.removal_failed.get() || output.is_err());
        output.map(drop)
    }

    async fn create_multipart(&self, key: &str, content_type: &str, _: &str) -> Result<String, StorageError> {
        match self.call(Call::CreateMultipart(key.to_owned(), content_type.to_owned())).await? {
            CallOutput::MultipartId(id) => {
                self.record.multipart_id.replace(Some(id.clone()));
                Ok(id)
            }
            _ => Err(mixed_up()),
        }
    }

    async fn complete_multipart(
        &self,
        key: &str,
        multipart_id: &str,
        parts: &[CompletedPart],
    ) -> Result<Completion, StorageError> {
        let call = Call::CompleteMultipart(key.to_owned(), multipart_id.to_owned(), parts.to_vec());
        match self.call(call).await? {
            CallOutput::Completion(completion) => {
                self.record.completion.replace(Some(completion.clone()));
                Ok(completion)
            }
            _ => Err(mixed_up()),
        }
    }

    async fn abort_multipart(&self, key: &str, multipart_id: &str) -> Result<(), StorageError> {
        let output = self.call(Call::AbortMultipart(key.to_owned(), multipart_id.to_owned())).await;
        self.record.removal_failed.set(self.record.removal_failed.get() || output.is_err());
        output.map(drop)
    }

    async fn bucket_owner(&self, database_id: &str) -> Result<String, StorageError> {
        match self.call(Call::Owner(database_id.to_owned())).await? {
            CallOutput::Owner(id) => Ok(id),
            _ => Err(mixed_up()),
        }
    }

    async fn post(&self, request: Outgoing<'_>) -> Result<Answered, SendError> {
        pause().await;
        let (answer, delivery) = self.state.arrive(request);
        pause().await;
        if let Some(delivery) = delivery {
            let taken = answer.as_ref().is_ok_and(|answer| (200..300).contains(&answer.status));
            note(&self.record, delivery, taken, self.state.clock.get());
        }
        answer
    }

    async fn send_nudges(&self, nudges: &[(Nudge, u64)]) -> Result<bool, StorageError> {
        if self.state.has_queue {
            self.call(Call::Nudge(nudges.to_vec())).await?;
        }
        Ok(self.state.has_queue)
    }

    fn now(&self) -> Timestamp {
        self.state.clock.get()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), String> {
        for chunk in bytes.chunks_mut(8) {
            chunk.iter_mut().zip(self.state.random().to_le_bytes()).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }

    fn usage(&self) -> Usage {
        Usage { statements: self.record.statements.get(), ..Usage::default() }
    }
}

/// Lets others act. What waits for several calls at once asks only those that woke it.
pub(crate) async fn pause() {
    let mut paused = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
