//! What must never leave: planted secrets in every spelling and place, and declared fields in
//! whatever a line is, JSON or not.

#[path = "bench/plan.rs"]
#[expect(dead_code, reason = "shared with the benchmarks")]
mod plan;
#[path = "leaks/run.rs"]
mod run;

use plan::Protection;
use run::run;

/// No line that `lines` become holds `secret`.
fn check(lines: &[&str], secret: &str) {
    let plan = plan::plan(Protection::Fields, 1.0);
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    let out = run(&plan, &lines);
    assert_eq!(out.len(), 3 * lines.len());
    for (_, _, text) in out {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// Each of these leaked or broke once.
#[test]
fn found_by_hand() {
    let mail = "bob@example.com";
    // A container behind an empty one.
    check(&[&format!(r#"{{"a":[],"b":["{mail}"]}}"#)], mail);
    check(&[r#"{"a":[],"b":["x"]}"#, &format!(r#"{{"a":[],"b":["{mail}"]}}"#)], mail);
    check(&[r#"{"a":[],"b":[],"c":["x"]}"#, r#"{"a":[],"b":[],"c":["pw=hunter2"]}"#], "hunter2");
    // Short values.
    check(&[r#"{"m":"pw=q1"}"#], "q1");
    check(&[r#"{"m":"ab1::"}"#, r#"{"ab1::":1}"#], "ab1::");
    // Numbers in arrays under a key that says what they are.
    for value in ["[4111111111111111]", "[[1,4111111111111111],2]", "[{\"a\":1},4111111111111111]"]
    {
        check(&[&format!(r#"{{"card_number":{value}}}"#)], "4111111111111111");
        check(&[r#"{"card_number":[1]}"#, &format!(r#"{{"card_number":{value}}}"#)], "411111");
    }
    // An empty key is a key.
    check(&[r#"{"":1,"password":"hunter2"}"#], "hunter2");
    check(&[r#"{"":1,"password":"hunter2","b":2}"#], "hunter2");
    check(&[r#"{"a":{"":{}, "password":"hunter2"}}"#], "hunter2");
    // JSON behind white space.
    check(&[r#"  {"user_id":"u-1234","password":"hunter2"}"#], "u-1234");
    // The second of two.
    check(&[r#"{"user_id":"u-1","user_id":"u-1234","x":1}"#], "u-1");
    check(&[r#"{"us\u0065r_id":"u-1234","x":1}"#], "u-1234");
}

/// Members beyond the 65,536th are members.
#[test]
fn lines_of_very_many_members() {
    let many = "\"a\":\"b\",".repeat(65_535);
    for member in [r#""m":"bob@example.com""#, r#""user_id":"bob@""#, r#""password":"bob@""#] {
        for first in ["", r#""timestamp":"2026-11-23T20:00:00Z","#] {
            for tail in ["", ",\"a\":1", ",\"a\":1,\"b\":2,\"c\":3"] {
                check(&[&format!("{{{first}{many}{member}{tail}}}")], "bob@");
            }
        }
    }
}
