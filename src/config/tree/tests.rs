//! Positions, duplicates and references in parsed documents.

use super::*;

struct NoEnv;

impl Env for NoEnv {
    fn var(&self, name: &str) -> Option<String> {
        (name == "SET").then(|| "a: [b".to_owned())
    }

    fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn parse(text: &str) -> (Document, Vec<Diagnostic>) {
    Document::parse("t.yaml", text, &NoEnv).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

fn text<'a>(document: &'a Document, path: &[Step]) -> Option<&'a str> {
    match &document.find(path)?.1.value {
        Value::Scalar(scalar) => Some(&scalar.text),
        _ => None,
    }
}

/// A scalar is what was written: `10`, `1e3`, `on` and `0755` stay text until somebody asks.
#[test]
fn scalars_keep_their_text() {
    let (document, problems) =
        parse("a: 10\nb: 1e3\nc: on\nd: 0755\ne: 'x'\nf: &n 7 # c\ng: *n\nh: 10%\ni: true\n1: z\n");
    assert!(problems.is_empty());
    for (key, want) in [
        ("a", "10"),
        ("b", "1e3"),
        ("c", "on"),
        ("d", "0755"),
        ("e", "x"),
        ("f", "7"),
        ("g", "7"),
        ("h", "10%"),
        ("i", "true"),
        ("1", "z"),
    ] {
        assert_eq!(text(&document, &steps![key]), Some(want), "{key}");
    }
}

#[test]
fn a_variable_cannot_inject_yaml() {
    let (document, problems) = parse("x: ${SET}\ny: [\"${SET}\", z]\n");
    assert!(problems.is_empty());
    assert_eq!(text(&document, &steps!["x"]), Some("a: [b"));
    assert_eq!(text(&document, &steps!["y", 0]), Some("a: [b"));
    assert_eq!(text(&document, &steps!["y", 1]), Some("z"));
}

#[test]
fn duplicates_are_all_found_and_the_first_counts() {
    let (document, problems) = parse("a: 1\na: ${NO}\nb: { c: 1, c: 2, c: 3 }\n");
    assert_eq!(problems.len(), 3);
    assert_eq!(problems[0].note.as_deref(), Some("It is first defined at t.yaml:1:1."));
    assert_eq!(text(&document, &steps!["a"]), Some("1"));
}

/// What is skipped has no place, but its name is still known.
#[test]
fn skipped_nodes_are_not_found() {
    let (document, problems) = parse("a: { x: \"${NO}\", y: 1 }\nb: [\"${NO}\", 2]\n");
    assert_eq!(problems.len(), 2);
    assert_eq!(document.keys(&steps!["a"]), ["x", "y"]);
    assert_eq!(text(&document, &steps!["a", "x"]), None);
    assert_eq!(text(&document, &steps!["b", 0]), Some("2"));
}

/// No message may carry a secret that is written in the file, wherever it points.
#[test]
fn secrets_are_not_shown() {
    let (document, _) = parse(
        "s: { token: hunter2, key: { file: /f }, url: \"http://u:hunter2@h/\" }\n\
         t: { headers: { X: hunter2 }, fields: { password: drop }, password: '${SET}' }\n\
         u: { password: \"${NO:-hunter2}\" }\n\
         v: { command: [serve, --api-key, hunter2, 'x --password hunter2', password=hunter2] }\n\
         w: { url: 'http://h/x?sig=hunter2' }\n\
         x: { tokens: [hunter2, { a: 1 }] }\n",
    );
    let shown = ["s", "t", "u", "v", "w", "x"]
        .map(|key| document.at_key(&steps![key], "m").place.expect("it has a place").shown);
    let shown = shown.concat();
    assert!(!shown.contains("hunter2"), "{shown}");
    for kept in ["/f", "drop", "${SET}"] {
        assert!(shown.contains(kept), "{kept} in {shown}");
    }
    for broken in [
        "a: [\ntoken: hunter2 : x\n",
        "s:\n\ttoken: hunter2",
        "x: { password: hunter2",
        "x: [a, --token, hunter2",
    ] {
        let problem = &Document::parse("t", broken, &NoEnv).expect_err("it is broken")[0];
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
}

#[test]
fn bombs_and_cycles_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let items = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{items}]\n"));
    }
    let deep = "[".repeat(100_000);
    for text in [bomb.as_str(), deep.as_str(), "{a: &a [*a]}"] {
        let problem = &Document::parse("t", text, &NoEnv).expect_err("it is hostile")[0];
        assert!(problem.hint.is_some(), "{problem}");
    }
}
