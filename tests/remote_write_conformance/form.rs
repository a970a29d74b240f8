//! How a request looks from outside: method, headers, packing, and the versions.

use super::fake_remote_write::{Act, Speaks};
use super::served::{FRAUD, Served, UP, gauge, point};

#[test]
fn post_with_the_four_headers() {
    let served = Served::start(Speaks::Both, ", tenant: ml, headers: { THANOS-TENANT: team }");
    served.send_one(1);
    served.settled(1);
    let request = &served.fake.requests()[0];
    assert_eq!(request.line, "POST /api/v1/write HTTP/1.1");
    for (name, value) in [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
        ("x-prometheus-remote-write-version", "2.0.0"),
        ("user-agent", concat!("sidewake/", env!("CARGO_PKG_VERSION"))),
        ("x-scope-orgid", "ml"),
        ("thanos-tenant", "team"),
    ] {
        assert_eq!(request.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    served.end();
}

/// The very body is sent again as 1.0, what follows is 1.0 from the first request on.
#[test]
fn receivers_of_1_0_are_recognised() {
    for speaks in [Speaks::One, Speaks::OneSaid, Speaks::OneFails] {
        let served = Served::start(speaks, "");
        for n in 1..=3 {
            served.send_one(n);
            assert_eq!(served.settled(n), (n, 0), "{speaks:?}");
        }
        let requests = served.fake.requests();
        let forms: Vec<bool> = requests.iter().map(|request| request.is_two).collect();
        assert_eq!(forms, [true, false, false, false], "{speaks:?}");
        for request in &requests[1..] {
            assert_eq!(request.headers["content-type"], "application/x-protobuf");
            assert_eq!(request.headers["x-prometheus-remote-write-version"], "0.1.0");
        }
        assert_eq!(served.times(UP), [1, 2, 3], "{speaks:?}");
        served.end();
    }
}

#[test]
fn no_fallback_on_success_with_the_headers_or_on_other_failures() {
    let served = Served::start(Speaks::Both, "");
    served.fake.will([Act::status(503), Act::status(429), Act::Break]);
    for n in 1..=3 {
        served.send_one(n);
        served.settled(n);
    }
    // Of a receiver that has shown that it speaks 2.0, 400 is about the request.
    served.fake.will([Act::status(400)]);
    served.send_one(4);
    assert_eq!(served.settled(4), (3, 1));
    assert!(served.fake.requests().iter().all(|request| request.is_two));
    served.end();
}

#[test]
fn one_version_only() {
    let served = Served::start(Speaks::Both, ", protocol: 1.0");
    served.send_one(1);
    served.settled(1);
    assert!(served.fake.requests().iter().all(|request| !request.is_two));
    served.end();
    let served = Served::start(Speaks::OneSaid, ", protocol: 2.0");
    served.send_one(1);
    super::rig::until("the route says why", || {
        let (_, status) = served.daemon.get("/status");
        status.contains("unauthorised") && status.contains("not understood as 2.0")
    });
    assert!(served.fake.requests().iter().all(|request| request.is_two));
    served.end();
}

/// What is sent together shares one request, and one table of symbols.
#[test]
fn many_series_in_a_request() {
    let served = Served::start(Speaks::Both, "");
    let points = (0..1000).map(|n| point(&[("n", &n.to_string()), ("host", "h")], 1, n as f64));
    served.send(FRAUD, vec![gauge("many", points.collect())]);
    served.settled(1);
    let requests = served.fake.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].series.len(), 1000);
    assert!(requests[0].raw.len() < 60_000, "{} bytes", requests[0].raw.len());
    served.end();
}
