//! The REST API: data sets and tables, and what is refused there.
//!
//! Owns tables and how a request is routed and answered in Google's form. Rows that come by
//! insertAll are in `insert`, tokens in `tokens`; there are no queries.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::connection::{Body, Connection};
use super::rows::Row;
use super::schema::{self, Column};
use super::{Called, FakeBigQuery, RestAct, State, insert, tokens};

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    /// As GET tells it.
    pub(crate) resource: Value,
    pub(crate) rows: Vec<Row>,
    /// Of the rows that came by insertAll.
    pub(crate) insert_ids: HashSet<String>,
    columns: Vec<Column>,
    /// As writers see them, and how often that changed.
    written: Vec<Column>,
    version: u64,
    n_changes: u64,
}

impl Table {
    pub(crate) fn written(&self) -> &[Column] {
        &self.written
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The column that rows are partitioned by.
    pub(crate) fn partitioned_by(&self) -> Option<&str> {
        self.resource["timePartitioning"]["field"].as_str()
    }

    pub(crate) fn store(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    pub(crate) fn catch_up(&mut self) {
        if self.written != self.columns {
            self.written.clone_from(&self.columns);
            self.version += 1;
        }
    }

    pub(crate) fn alter(&mut self, other: &Value) {
        for key in ["schema", "timePartitioning", "expirationTime"] {
            self.resource[key] = other[key].clone();
        }
        self.resource.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        self.columns = schema::judge(&self.resource).expect("a table");
        schema::in_old_names(&mut self.resource["schema"]);
        self.change();
        self.catch_up();
    }

    fn change(&mut self) {
        self.n_changes += 1;
        self.resource["etag"] = json!(format!("etag-{}", self.n_changes));
    }
}

/// A status and what goes with it.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The metadata server says of itself that it is one.
    pub(crate) is_metadata: bool,
}

impl Said {
    pub(crate) fn ok(body: Value) -> Self {
        Self { status: 200, body, is_metadata: false }
    }

    /// Google's form of an error.
    pub(crate) fn error(status: u16, reason: &str, message: &str) -> Self {
        let errors = json!([{ "message": message, "domain": "global", "reason": reason }]);
        let error = json!({ "code": status, "message": message, "errors": errors });
        Self { status, body: json!({ "error": error }), is_metadata: false }
    }
}

/// Serves one request; an `Err` drops the connection.
pub(crate) async fn serve(
    fake: &FakeBigQuery,
    connection: &Connection,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    let broken = || std::io::Error::other("told to break");
    let (head, body) = request.into_parts();
    let text =
        |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: BTreeMap<String, String> =
        head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let path = head.uri.path().to_owned();
    let bytes = body.collect().await.map_err(|_| broken())?.to_bytes();
    let bytes = unpacked(&headers, bytes)?;
    let called = Called {
        at: Instant::now(),
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        status: 0,
    };
    let is_token = tokens::is_path(&path);
    let (act, index, n_releases) = {
        let mut state = fake.state();
        let acts = if is_token { &mut state.token_acts } else { &mut state.rest_acts };
        let act = acts.pop_front().unwrap_or(RestAct::Serve);
        state.called.push(called.clone());
        (act, state.called.len() - 1, fake.n_releases())
    };
    let said = match &act {
        RestAct::Break => {
            connection.break_off();
            return Err(broken());
        }
        RestAct::Say(status, reason) => Said::error(*status, reason, "told to"),
        _ => {
            if matches!(act, RestAct::Hang) {
                fake.release_after(n_releases).await;
            }
            let mut state = fake.state();
            match is_token {
                true => tokens::serve(fake, &mut state, &called, &path, &bytes),
                false => state.serve(fake, &called, &path, &act, bytes.len()),
            }
        }
    };
    if matches!(act, RestAct::DoAndBreak) {
        connection.break_off();
        return Err(broken());
    }
    fake.state().called[index].status = said.status;
    Ok(answered(&said))
}

fn answered(said: &Said) -> Response<Body> {
    let body = match said.status {
        204 => String::new(),
        _ => said.body.to_string(),
    };
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut response = Response::builder()
        .status(said.status)
        .header("content-type", "application/json; charset=UTF-8");
    if said.is_metadata {
        response = response.header("metadata-flavor", "Google");
    }
    if let Some(etag) = said.body["etag"].as_str() {
        response = response.header("etag", etag);
    }
    response.body(BodyExt::boxed(body)).expect("a response")
}

fn unpacked(headers: &BTreeMap<String, String>, bytes: Bytes) -> Result<Bytes, std::io::Error> {
    if headers.get("content-encoding").is_none_or(|encoding| encoding != "gzip") {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut out)?;
    Ok(out.into())
}

impl State {
    fn serve(
        &mut self,
        fake: &FakeBigQuery,
        called: &Called,
        path: &str,
        act: &RestAct,
        n_bytes: usize,
    ) -> Said {
        if fake.options.needs_token {
            let header = called.headers.get("authorization").map(String::as_str);
            if let Err(no) = self.authorized(header.unwrap_or_default(), path) {
                let message = format!("Request had invalid authentication credentials: {no}");
                return Said::error(401, "authError", &message);
            }
        }
        let project = &fake.options.project;
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let ["bigquery", "v2", "projects", asked, "datasets", rest @ ..] = &parts[..] else {
            self.offend(format!("no such path: {} {path}", called.method));
            return Said::error(404, "notFound", path);
        };
        if asked != project {
            self.refuse(format!("project {asked}"));
            return Said::error(404, "notFound", &format!("Not found: Project {asked}"));
        }
        let body = &called.body;
        let is_there = |dataset: &str| self.datasets.iter().any(|one| one == dataset);
        match (called.method.as_str(), rest) {
            ("POST", []) => self.make_dataset(body),
            (_, [dataset, ..]) if !is_there(dataset) => {
                self.refuse(format!("no data set {dataset}"));
                let message = format!("Not found: Dataset {project}:{dataset}");
                Said::error(404, "notFound", &message)
            }
            ("GET", [dataset]) => Said::ok(json!({
                "kind": "bigquery#dataset", "id": format!("{project}:{dataset}"), "location": "US",
                "datasetReference": { "projectId": project, "datasetId": dataset },
            })),
            ("POST", [dataset, "tables"]) => self.make_table(project, dataset, body),
            (method, [dataset, "tables", table, further @ ..]) => {
                let name = format!("{dataset}.{table}");
                if !self.tables.contains_key(&name) {
                    self.refuse(format!("no table {name}"));
                    let message = format!("Not found: Table {project}:{name}");
                    return Said::error(404, "notFound", &message);
                }
                match (method, further) {
                    ("GET", []) => Said::ok(self.tables[&name].resource.clone()),
                    ("PATCH", []) => self.patch(&name, called),
                    ("DELETE", []) => {
                        self.tables.remove(&name);
                        self.streams.forget(&name);
                        Said { status: 204, body: Value::Null, is_metadata: false }
                    }
                    ("POST", ["insertAll"]) => {
                        insert::insert(self, &fake.options, &name, body, act, n_bytes)
                    }
                    _ => self.no_such(called),
                }
            }
            _ => self.no_such(called),
        }
    }

    fn no_such(&mut self, called: &Called) -> Said {
        self.offend(format!("the fake has no {} {}", called.method, called.path));
        Said::error(404, "notFound", &called.path)
    }

    fn make_dataset(&mut self, body: &Value) -> Said {
        let name = body["datasetReference"]["datasetId"].as_str().unwrap_or_default().to_owned();
        if self.datasets.contains(&name) {
            return Said::error(409, "duplicate", &format!("Already Exists: Dataset {name}"));
        }
        self.datasets.push(name);
        Said::ok(body.clone())
    }

    fn make_table(&mut self, project: &str, dataset: &str, body: &Value) -> Said {
        let reference = &body["tableReference"];
        let table = reference["tableId"].as_str().unwrap_or_default();
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if reference["projectId"] != *project
            || reference["datasetId"] != *dataset
            || table.is_empty()
            || !table.chars().all(is_word)
        {
            self.offend(format!("tableReference: {reference}"));
            return Said::error(400, "invalid", "Invalid table reference");
        }
        if self.tables.contains_key(&format!("{dataset}.{table}")) {
            let message = format!("Already Exists: Table {project}:{dataset}.{table}");
            return Said::error(409, "duplicate", &message);
        }
        match self.add_table(project, dataset, table, body.clone()) {
            Ok(resource) => Said::ok(resource),
            Err(no) => {
                self.offend(format!("table {table}: {no}"));
                Said::error(400, "invalid", &no)
            }
        }
    }

    pub(crate) fn add_table(
        &mut self,
        project: &str,
        dataset: &str,
        table: &str,
        mut resource: Value,
    ) -> Result<Value, String> {
        let columns = schema::judge(&resource)?;
        resource["kind"] = json!("bigquery#table");
        resource["id"] = json!(format!("{project}:{dataset}.{table}"));
        resource["tableReference"] =
            json!({ "projectId": project, "datasetId": dataset, "tableId": table });
        resource["type"] = json!("TABLE");
        resource["location"] = json!("US");
        resource["creationTime"] = json!("1780000000000");
        schema::in_old_names(&mut resource["schema"]);
        let mut made = Table {
            resource,
            rows: Vec::new(),
            insert_ids: HashSet::new(),
            written: columns.clone(),
            columns,
            version: 1,
            n_changes: 0,
        };
        made.change();
        let told = made.resource.clone();
        self.tables.insert(format!("{dataset}.{table}"), made);
        Ok(told)
    }

    fn patch(&mut self, name: &str, called: &Called) -> Said {
        let lags = self.lags;
        let table = self.tables.get_mut(name).expect("it is there");
        let etag = called.headers.get("if-match");
        if etag.is_some_and(|etag| table.resource["etag"] != **etag && etag != "*") {
            self.refuse(format!("{name}: etag {etag:?}"));
            return Said::error(412, "conditionNotMet", "Precondition Failed");
        }
        match patched(table, &called.body) {
            Ok(()) => {
                if !lags {
                    table.catch_up();
                }
                Said::ok(table.resource.clone())
            }
            Err(no) => {
                self.offend(format!("patch of {name}: {no}"));
                Said::error(400, "invalid", &no)
            }
        }
    }
}

/// Changes what a patch names, and nothing where it may not.
fn patched(table: &mut Table, patch: &Value) -> Result<(), String> {
    let changes = patch.as_object().ok_or("a patch is an object")?;
    let mut resource = table.resource.clone();
    for (key, change) in changes {
        match (key.as_str(), change) {
            ("labels", Value::Object(labels)) => {
                for (label, value) in labels {
                    resource["labels"][label] = value.clone();
                }
                if let Some(labels) = resource["labels"].as_object_mut() {
                    labels.retain(|_, value| !value.is_null());
                }
            }
            ("timePartitioning", said) => {
                let old = resource["timePartitioning"].clone();
                if said["type"] != old["type"] || said["field"] != old["field"] {
                    return Err("Cannot convert partitioned/clustered table".to_owned());
                }
                resource[key] = said.clone();
            }
            ("etag" | "kind" | "id" | "tableReference", said) if *said == resource[key] => {}
            ("tableReference", _) => return Err("tableReference cannot be changed".to_owned()),
            (_, change) => resource[key] = change.clone(),
        }
    }
    if let Some(object) = resource.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    let columns = schema::judge(&resource)?;
    schema::may_become(&table.columns, &columns)?;
    schema::in_old_names(&mut resource["schema"]);
    table.resource = resource;
    table.columns = columns;
    table.change();
    Ok(())
}
