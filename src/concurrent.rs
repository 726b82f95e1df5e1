//! Several tasks at the same time, no more than so many.

use std::pin::Pin;

use futures_util::stream::{self, StreamExt};

/// A task; what it comes to it leaves where its maker finds it.
pub(crate) type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs tasks until all are done. One that is slow keeps no other from being begun. Not generic, so that the Worker has
/// this code once.
pub(crate) async fn run_all(tasks: Vec<Task<'_>>, at_a_time: usize) {
    stream::iter(tasks).buffer_unordered(at_a_time).collect::<()>().await;
}
