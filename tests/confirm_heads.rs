//! The HEADs of a batch of confirmations: at most six at a time, and none waits for a slower one before it.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use asset_uploads::domain::ids::AssetUploadId;
use serde_json::{Value, json};

use crate::platform::client::{TestAnswer, TestRequest};
use crate::platform::fixtures::Api;
use crate::sqlite::fixtures::DEADLINE;
use crate::sqlite::{self, Person};

/// Twenty-five uploads whose files are there, and the request that confirms them.
fn batch(api: &Api) -> (Vec<AssetUploadId>, TestRequest) {
    let person = Person { user: api.editor.clone(), key: sqlite::unused_key() };
    let upload = || {
        let id = sqlite::session(&api.platform.conn, api.org, &person, DEADLINE);
        api.platform.put(&id.object_key(), 640, Some("image/png"));
        id
    };
    let ids: Vec<AssetUploadId> = std::iter::repeat_with(upload).take(25).collect();
    let items: Vec<Value> = ids.iter().map(|id| json!({"asset_upload_id": id})).collect();
    let request = TestRequest::new("POST", "/v1/asset-upload-confirmations").token(&api.token);
    (ids, request.json(&json!({"items": items}).to_string()))
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn keys(ids: &[AssetUploadId]) -> Vec<String> {
    ids.iter().map(AssetUploadId::object_key).collect()
}

/// Every upload has become its asset, in the order of the request.
fn assert_confirmed(answer: Poll<TestAnswer>, ids: &[AssetUploadId]) {
    let Poll::Ready(answer) = answer else { panic!("nothing is held back any more") };
    let outcome = |item: &Value| json!([item["asset_upload_id"], item["status"], item["asset"]["id"]]);
    let outcomes: Vec<Value> = answer.body()["items"].as_array().unwrap().iter().map(outcome).collect();
    assert_eq!(outcomes, ids.iter().map(|id| json!([id, 201, id])).collect::<Vec<_>>());
}

#[test]
fn a_slow_head_keeps_no_other_from_being_sent() {
    let api = Api::new(&[]);
    let (ids, request) = batch(&api);
    let heads = &api.platform.heads;
    heads.hold([ids[0].object_key()]);
    let mut answer = pin!(api.platform.answer(&request, &api.config));
    assert!(poll(answer.as_mut()).is_pending());
    assert_eq!(*heads.sent.borrow(), keys(&ids));
    heads.hold([]);
    assert_confirmed(poll(answer.as_mut()), &ids);
}

#[test]
fn at_most_six_are_under_way() {
    let api = Api::new(&[]);
    let (ids, request) = batch(&api);
    let heads = &api.platform.heads;
    heads.hold(keys(&ids));
    let mut answer = pin!(api.platform.answer(&request, &api.config));
    // Each that is answered makes room for one more; the last of them are answered first.
    for answered in 0..=19 {
        assert!(poll(answer.as_mut()).is_pending());
        assert_eq!(*heads.sent.borrow(), keys(&ids[..6 + answered]));
        let held = keys(&ids);
        heads.hold(held.into_iter().take(5).chain(keys(&ids[6 + answered..])));
    }
    heads.hold([]);
    assert_confirmed(poll(answer.as_mut()), &ids);
}
