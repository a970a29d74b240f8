//! Storage Write against the fake: streams, offsets, rows and acts.

use prost_types::field_descriptor_proto::{Label, Type};
use serde_json::json;

use super::bigquery_proto::storage::append_rows_request::Rows;
use super::client::{
    COLUMNS, Came, Grpc, Row, Rpc, TABLE, WITHIN, default_stream, descriptor, field, first, further,
};
use super::fake_bigquery::{
    Act, CallAct, FakeBigQuery, Options, Outcome, StorageErrorCode as Error, code,
};

const NOW: i64 = 1_780_000_000_123_456;

async fn fake_with(options: Options) -> (FakeBigQuery, Grpc) {
    let fake = FakeBigQuery::start(options).await;
    fake.add_table("ml", "t", &COLUMNS);
    let client = Grpc::to(&fake).await;
    (fake, client)
}

async fn fake() -> (FakeBigQuery, Grpc) {
    fake_with(Options::default()).await
}

async fn opened(client: &mut Grpc) -> Rpc {
    client.append(&default_stream()).await
}

fn rows(ids: &[&str]) -> Vec<Row> {
    ids.iter().map(|id| Row::named(id)).collect()
}

fn stored(fake: &FakeBigQuery) -> Vec<String> {
    let rows = fake.rows("ml.t");
    rows.iter().map(|row| row["id"].as_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn rows_come_as_they_were_meant() {
    let (fake, mut client) = fake().await;
    let mut rpc = opened(&mut client).await;
    let full = Row {
        id: Some("a".to_owned()),
        n: Some(0),
        at: Some(NOW),
        j: Some("{\"a\": 1.0, \"big\": 9007199254740993}".to_owned()),
        tags: vec!["x".to_owned(), String::new()],
    };
    let came = rpc.say(&first(&default_stream(), None, &[full, Row::named("")])).await;
    assert_eq!(came.stored_at(), None, "the default stream tells no offset");
    assert_eq!(rpc.say(&further(None, &rows(&["c"]))).await.stored_at(), None);
    assert_eq!(rpc.end().await.ended_with(), (0, 0));
    let rows = fake.rows("ml.t");
    let whole = json!({
        "id": "a", "n": 0, "at": NOW, "tags": ["x", ""],
        "j": "{\"a\": 1.0, \"big\": 9007199254740993}",
    });
    assert_eq!(json!(rows[0]), whole);
    let bare = json!({ "id": "", "n": null, "at": null, "j": null, "tags": [] });
    assert_eq!(json!(rows[1]), bare);
    assert_eq!((rows.len(), fake.offences()), (3, vec![]));
    let appends = fake.appends();
    assert_eq!((appends[0].n_rows, appends[0].has_schema), (2, true));
    assert_eq!((appends[1].n_rows, appends[1].has_schema), (1, false));
    assert!(appends.iter().all(|one| one.is_acknowledged() && one.stream == default_stream()));
}

#[tokio::test]
async fn offsets_are_held_to() {
    let (fake, mut client) = fake().await;
    let name = client.create().await.expect("a stream");
    assert!(name.starts_with(TABLE));
    let mut rpc = client.append(&name).await;
    let came = rpc.say(&first(&name, Some(0), &rows(&["a", "b"]))).await;
    assert_eq!(came.stored_at(), Some(0));
    assert_eq!(rpc.say(&further(Some(2), &rows(&["c"]))).await.stored_at(), Some(2));
    let again = rpc.say(&further(Some(0), &rows(&["a", "b"]))).await.refused_with();
    assert_eq!(again, (code::ALREADY_EXISTS, Error::OffsetAlreadyExists.into()));
    let gap = rpc.say(&further(Some(7), &rows(&["h"]))).await.refused_with();
    assert_eq!(gap, (code::OUT_OF_RANGE, Error::OffsetOutOfRange.into()));
    assert_eq!(client.finalize(&name).await, Ok(3));
    let late = rpc.say(&further(Some(3), &rows(&["d"]))).await.refused_with();
    assert_eq!(late.1, i32::from(Error::StreamFinalized));
    assert_eq!(stored(&fake), ["a", "b", "c"]);
    assert_eq!((fake.streams()[0].n_rows, fake.streams()[0].is_finalized), (3, true));
    assert_eq!(fake.offences(), Vec::<String>::new());
    let outcomes: Vec<Outcome> = fake.appends().into_iter().map(|one| one.outcome).collect();
    let finalized = Outcome::Refused(code::INVALID_ARGUMENT);
    let gap = Outcome::Refused(code::OUT_OF_RANGE);
    assert_eq!(outcomes, [Outcome::Stored, Outcome::Stored, Outcome::There, gap, finalized]);
}

#[tokio::test]
async fn an_offset_on_the_default_stream_and_a_second_connection_are_offences() {
    let (fake, mut client) = fake().await;
    let mut rpc = opened(&mut client).await;
    let came = rpc.say(&first(&default_stream(), Some(0), &rows(&["a"]))).await;
    assert_eq!(came.refused_with(), (code::INVALID_ARGUMENT, 0));
    let name = client.create().await.expect("a stream");
    let mut one = client.append(&name).await;
    one.say(&first(&name, Some(0), &rows(&["a"]))).await.stored_at();
    let mut two = client.append(&name).await;
    let came = two.say(&first(&name, Some(1), &rows(&["b"]))).await;
    assert_eq!(came.ended_with(), (code::ABORTED, 0));
    let offences = fake.offences();
    assert_eq!(offences.len(), 2, "{offences:?}");
    // One that was left is no second one.
    drop((one, two));
    let mut three = client.append(&name).await;
    assert_eq!(three.say(&first(&name, Some(1), &rows(&["b"]))).await.stored_at(), Some(1));
    assert_eq!(fake.offences().len(), 2);
}

#[tokio::test]
async fn what_a_first_request_must_have() {
    let stream = default_stream();
    let mut nameless = first(&stream, None, &rows(&["a"]));
    nameless.write_stream.clear();
    let mut short = first(&stream, None, &rows(&["a"]));
    short.write_stream = format!("{TABLE}/_default");
    let mut bare = further(None, &rows(&["a"]));
    bare.write_stream.clone_from(&stream);
    for request in [nameless, short, bare] {
        let (fake, mut client) = fake().await;
        let mut rpc = opened(&mut client).await;
        assert_eq!(rpc.say(&request).await.refused_with().0, code::INVALID_ARGUMENT);
        assert!(!fake.offences().is_empty(), "{request:?}");
        assert_eq!(fake.n_rows("ml.t"), 0);
    }
    let (fake, mut client) = fake().await;
    let mut rpc = client.append_with("write_stream=another").await;
    rpc.say(&first(&stream, None, &rows(&["a"]))).await.stored_at();
    assert!(fake.offences()[0].starts_with("x-goog-request-params"), "{:?}", fake.offences());
}

#[tokio::test]
async fn descriptors_that_do_not_fit() {
    let with = |change: &dyn Fn(&mut prost_types::DescriptorProto)| {
        let mut request = first(&default_stream(), None, &rows(&["a"]));
        let Some(Rows::ProtoRows(data)) = &mut request.rows else { panic!("rows") };
        let mut changed = descriptor();
        change(&mut changed);
        data.writer_schema.as_mut().expect("a schema").proto_descriptor = Some(changed);
        request
    };
    let extra = with(&|one| one.field.push(field("more", 9, Type::String, Label::Optional)));
    let (fake_, mut client) = fake().await;
    let mut rpc = opened(&mut client).await;
    let refused = rpc.say(&extra).await.refused_with();
    assert_eq!(refused, (code::INVALID_ARGUMENT, Error::SchemaMismatchExtraFields.into()));
    // It may be that the table is about to have it.
    assert_eq!((fake_.offences().len(), fake_.refusals().len()), (0, 1));
    let foreign = |one: &mut prost_types::DescriptorProto| {
        one.field[3].r#type = Some(Type::Message.into());
        one.field[3].type_name = Some(".google.protobuf.Struct".to_owned());
    };
    for request in [
        with(&|one| one.field[1].r#type = Some(Type::Uint64.into())),
        with(&|one| one.field[2].r#type = Some(Type::String.into())),
        with(&|one| one.field[4].label = Some(Label::Optional.into())),
        with(&|one| one.field.truncate(0)),
        with(&foreign),
    ] {
        let (fake, mut client) = fake().await;
        let mut rpc = opened(&mut client).await;
        assert_eq!(rpc.say(&request).await.refused_with(), (code::INVALID_ARGUMENT, 0));
        assert_eq!(fake.offences().len(), 1, "{:?}", fake.offences());
    }
}

#[tokio::test]
async fn one_bad_row_keeps_all_out() {
    let good = Row::named("a");
    for bad in [
        Row { id: None, ..good.clone() },
        Row { j: Some("{no".to_owned()), ..good.clone() },
        Row { at: Some(NOW / 1000), ..good.clone() },
        Row { at: Some(NOW - 11 * 366 * 86_400_000_000 * 3), ..good.clone() },
    ] {
        let (fake, mut client) = fake().await;
        let mut rpc = opened(&mut client).await;
        let request = first(&default_stream(), None, &[good.clone(), bad, good.clone()]);
        let Came::Said(said) = rpc.say(&request).await else { panic!("ended") };
        let told: Vec<(i64, i32)> = said.row_errors.iter().map(|e| (e.index, e.code)).collect();
        assert_eq!(told, [(1, 1)], "{said:?}");
        assert_eq!((fake.n_rows("ml.t"), fake.offences().len()), (0, 1));
        // The connection is as good as before.
        rpc.say(&further(None, std::slice::from_ref(&good))).await.stored_at();
    }
}

#[tokio::test]
async fn acts_are_done_in_their_order() {
    let (fake, mut client) = fake().await;
    let mut rpc = opened(&mut client).await;
    fake.will([
        Act::say(code::ABORTED),
        Act::SayError(code::INVALID_ARGUMENT, Error::StreamFinalized),
        Act::RowErrors(vec![0, 1]),
        Act::UpdatedSchema,
        Act::Slow(1),
        Act::fail(code::UNAVAILABLE),
    ]);
    let stream = default_stream();
    let came = rpc.say(&first(&stream, None, &rows(&["a"]))).await;
    assert_eq!(came.refused_with(), (code::ABORTED, 0));
    let finalized = (code::INVALID_ARGUMENT, Error::StreamFinalized.into());
    assert_eq!(rpc.say(&further(None, &rows(&["a"]))).await.refused_with(), finalized);
    let Came::Said(said) = rpc.say(&further(None, &rows(&["a", "b", "c"]))).await else {
        panic!("ended")
    };
    assert_eq!(said.row_errors.len(), 2);
    let Came::Said(said) = rpc.say(&further(None, &rows(&["a"]))).await else { panic!("ended") };
    assert_eq!(said.updated_schema.expect("a schema").fields.len(), COLUMNS.len());
    rpc.say(&further(None, &rows(&["b"]))).await.stored_at();
    let came = rpc.say(&further(None, &rows(&["c"]))).await;
    assert_eq!(came.ended_with(), (code::UNAVAILABLE, 0));
    assert_eq!(stored(&fake), ["a", "b"]);
    fake.always(Act::fail(code::UNAUTHENTICATED));
    let mut rpc = opened(&mut client).await;
    let came = rpc.say(&first(&stream, None, &rows(&["c"]))).await;
    assert_eq!(came.ended_with(), (code::UNAUTHENTICATED, 0));
    assert_eq!(fake.offences(), Vec::<String>::new());
}

#[tokio::test]
async fn connections_break_and_hang() {
    let (fake, mut client) = fake().await;
    for (act, is_stored) in [(Act::Break, 0), (Act::StoreAndBreak, 1)] {
        fake.will([act]);
        let mut rpc = opened(&mut client).await;
        let came = rpc.say(&first(&default_stream(), None, &rows(&["a"]))).await;
        assert!(matches!(came, Came::Broken), "{came:?}");
        assert_eq!(fake.n_rows("ml.t"), is_stored);
        client = Grpc::to(&fake).await;
    }
    assert!(fake.appends().iter().all(|one| !one.is_acknowledged()));
    fake.will([Act::Hang, Act::StoreAndHang]);
    let mut rpc = opened(&mut client).await;
    rpc.send(&first(&default_stream(), None, &rows(&["b"])));
    rpc.send(&further(None, &rows(&["c"])));
    // Appends that came, and rows that are stored, while each of them hangs.
    for (n_appends, n_rows) in [(3, 1), (4, 3)] {
        let hangs = async {
            while fake.n_appends() < n_appends || fake.n_rows("ml.t") < n_rows {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN, hangs).await.expect("it came");
        assert_eq!(fake.n_rows("ml.t"), n_rows);
        fake.release();
        rpc.came().await.stored_at();
    }
    assert_eq!(stored(&fake), ["a", "b", "c"]);
}

#[tokio::test]
async fn calls_fail_as_told() {
    let (fake, mut client) = fake().await;
    fake.will_call([
        CallAct::Fail(code::RESOURCE_EXHAUSTED, "Exceeds quota".to_owned()),
        CallAct::Serve,
        CallAct::DoAndBreak,
    ]);
    assert_eq!(client.create().await, Err(code::RESOURCE_EXHAUSTED));
    let name = client.create().await.expect("a stream");
    assert_eq!(client.create().await, Err(-1));
    assert_eq!(fake.streams().len(), 2);
    let mut client = Grpc::to(&fake).await;
    fake.drop_table("ml.t");
    assert_eq!(client.create().await, Err(code::NOT_FOUND));
    let mut rpc = client.append(&name).await;
    let came = rpc.say(&first(&name, Some(0), &rows(&["a"]))).await.ended_with();
    assert_eq!(came, (code::NOT_FOUND, Error::TableNotFound.into()));
    fake.add_table("ml", "t", &COLUMNS);
    let mut rpc = client.append(&name).await;
    let came = rpc.say(&first(&name, Some(0), &rows(&["a"]))).await.ended_with();
    assert_eq!(came, (code::NOT_FOUND, Error::StreamNotFound.into()));
    assert_eq!(fake.offences(), Vec::<String>::new());
}

#[tokio::test]
async fn requests_that_are_too_large() {
    for too_large_ends in [false, true] {
        let options = Options { request_bytes_max: 300, too_large_ends, ..Options::default() };
        let (fake, mut client) = fake_with(options).await;
        let mut rpc = opened(&mut client).await;
        rpc.say(&first(&default_stream(), None, &rows(&["a"]))).await.stored_at();
        let large = vec![Row::named("a-row-of-some-length"); 30];
        let came = rpc.say(&further(None, &large)).await;
        let said = if too_large_ends { came.ended_with() } else { came.refused_with() };
        assert_eq!(said, (code::INVALID_ARGUMENT, 0));
        assert_eq!((fake.n_rows("ml.t"), fake.refusals().len()), (1, 1));
        assert_eq!(fake.offences(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn tokens_are_asked_for() {
    let options = Options { needs_token: true, ..Options::default() };
    let (fake, mut client) = fake_with(options).await;
    fake.accept("good");
    let mut rpc = opened(&mut client).await;
    assert_eq!(rpc.end().await.ended_with().0, code::UNAUTHENTICATED);
    assert_eq!(fake.offences().len(), 1);
    client.token = Some("bad".to_owned());
    rpc = opened(&mut client).await;
    assert_eq!(rpc.end().await.ended_with().0, code::UNAUTHENTICATED);
    client.token = Some("good".to_owned());
    rpc = opened(&mut client).await;
    rpc.say(&first(&default_stream(), None, &rows(&["a"]))).await.stored_at();
    fake.revoke_tokens();
    // It is looked at when an RPC begins.
    rpc.say(&further(None, &rows(&["b"]))).await.stored_at();
    let rpc = opened(&mut client).await;
    assert_eq!(rpc.end().await.ended_with().0, code::UNAUTHENTICATED);
    assert_eq!((fake.offences().len(), fake.refusals().len()), (1, 2));
}
