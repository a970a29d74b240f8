//! Both text formats on tables: what is taken and what it says, what is not and why.

use super::*;

/// All that is read, a line each, or the first complaint.
fn read(body: &str, is_openmetrics: bool) -> Result<Vec<String>, String> {
    let wrong = |error: ParseError| error.to_string();
    let mut reader = Reader::new(body.as_bytes(), is_openmetrics).map_err(wrong)?;
    let (mut labels, mut lines) = (Vec::new(), Vec::new());
    while let Some(line) = reader.next(&mut labels).map_err(wrong)? {
        lines.push(match line {
            Line::Help(name, text) => format!("help {name}={text:?}"),
            Line::Type(name, family_type) => format!("type {name}={}", family_type.as_str()),
            Line::Unit(name, unit) => format!("unit {name}={unit}"),
            Line::Sample(sample) => shown(&labels, &sample),
        });
    }
    Ok(lines)
}

fn shown(labels: &[Pair<'_>], sample: &Sample<'_>) -> String {
    let pairs = |labels: &[Pair<'_>]| {
        let pairs: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        pairs.join(",")
    };
    let mut text = format!("{} {:?}", pairs(labels), sample.value);
    if let Some(time) = sample.time_ns {
        text.push_str(&format!(" @{time}"));
    }
    for Exemplar { labels, value, time_ns } in &sample.exemplars {
        text.push_str(&format!(" # {} {value:?} {time_ns:?}", pairs(labels)));
    }
    text
}

#[test]
fn what_the_older_format_takes() {
    for (body, lines) in [
        ("", &[][..]),
        ("\n\n  \n\t\n", &[]),
        ("a 1\n", &["__name__=\"a\" 1.0"]),
        // The newline at the end may be missing.
        ("a 1", &["__name__=\"a\" 1.0"]),
        ("a:b_C9 \t 1 \t\n", &["__name__=\"a:b_C9\" 1.0"]),
        ("  a 1", &["__name__=\"a\" 1.0"]),
        ("a{} 1", &["__name__=\"a\" 1.0"]),
        ("a{}1", &["__name__=\"a\" 1.0"]),
        ("a {b=\"c\"} 1", &["__name__=\"a\",b=\"c\" 1.0"]),
        ("a{ b = \"c\" , d = \"e\" , } 1", &["__name__=\"a\",b=\"c\",d=\"e\" 1.0"]),
        ("a{b=\"\"} 1", &["__name__=\"a\",b=\"\" 1.0"]),
        ("a{b=\"x\\\\y\\\"z\\nw\\q\"} 1", &["__name__=\"a\",b=\"x\\\\y\\\"z\\nw\\\\q\" 1.0"]),
        ("a{b=\"}, # {é\"} 1", &["__name__=\"a\",b=\"}, # {é\" 1.0"]),
        ("a{b=\"\\é\\\\\"} 1", &["__name__=\"a\",b=\"\\\\é\\\\\" 1.0"]),
        (
            "a +Inf\na -Inf\na NaN",
            &["__name__=\"a\" inf", "__name__=\"a\" -inf", "__name__=\"a\" NaN"],
        ),
        ("a 1 1700000000123", &["__name__=\"a\" 1.0 @1700000000123000000"]),
        ("a 1 0 ", &["__name__=\"a\" 1.0 @0"]),
        ("# HELP a b\\\\c\\nd \\\" \"e\n", &["help a=\"b\\\\c\\nd \\\\\\\" \\\"e\""]),
        ("# HELP a\n#  TYPE   a  counter  \n", &["help a=\"\"", "type a=counter"]),
        ("# TYPE a untyped\n#TYPE b gauge", &["type a=unknown", "type b=gauge"]),
        ("# UNIT a seconds\n# EOF\n#\n# TYPEa\n  # x\na 1", &["__name__=\"a\" 1.0"]),
        // Names of any characters, quoted.
        ("{\"a.b\"} 1", &["__name__=\"a.b\" 1.0"]),
        (
            "{\"a \\\"b\\\"\", \"c.d\"=\"e\", f=\"g\"} 1",
            &["__name__=\"a \\\"b\\\"\",c.d=\"e\",f=\"g\" 1.0"],
        ),
        ("{b=\"c\",\"a.b\"} 1", &["b=\"c\",__name__=\"a.b\" 1.0"]),
        ("# TYPE \"a.b\" histogram\n# HELP \"a.b\" c", &["type a.b=histogram", "help a.b=\"c\""]),
    ] {
        assert_eq!(
            read(body, false).as_deref(),
            Ok(&lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()[..]),
            "{body:?}"
        );
    }
}

#[test]
fn what_the_older_format_refuses() {
    for (body, complaint) in [
        ("a", "line 1: expected a value, and the line ends"),
        ("a \n", "line 1: expected a value"),
        ("\na x\n", "line 2: \"x\" is no value"),
        ("a-b 1", "line 1: expected a value, not '-'"),
        ("9a 1", "line 1: expected a metric's name, not '9'"),
        ("é 1", "line 1: expected a metric's name, not 'é'"),
        ("a 1 x", "line 1: \"x\" is no time"),
        ("a 1 1.5", "line 1: \"1.5\" is no time"),
        ("a 1 1 1", "line 1: expected the end of the line, not '1'"),
        ("a 0x1p1", "line 1: \"0x1p1\" is no value"),
        ("a 1_0", "line 1: \"1_0\" is no value"),
        ("a{b=\"c\"", "line 1: expected \",\" or \"}\", and the line ends"),
        ("a{b=\"c", "line 1: a quote that does not end"),
        ("a{b=\"c\\", "line 1: a quote that does not end"),
        ("a{b=\"c\n\"} 1", "line 1: a quote that does not end"),
        ("a{b=c} 1", "line 1: expected a quoted value, not 'c'"),
        ("a{b} 1", "line 1: expected \"=\", not '}'"),
        ("a{=\"c\"} 1", "line 1: expected a label's name, not '='"),
        ("a{,} 1", "line 1: expected a label's name, not ','"),
        ("a{b=\"c\",,} 1", "line 1: expected a label's name, not ','"),
        ("a{b=\"c\" d=\"e\"} 1", "line 1: expected \",\" or \"}\", not 'd'"),
        ("a{b:c=\"d\"} 1", "line 1: expected \"=\", not ':'"),
        ("a{b=\"1\",b=\"2\"} 1", "line 1: label \"b\" is there twice"),
        ("a{__name__=\"b\"} 1", "line 1: the name of a metric is no label here"),
        ("a{\"b\"} 1", "line 1: a second name of the metric"),
        ("{b=\"c\"} 1", "line 1: a sample without a name"),
        ("{\"\"} 1", "line 1: expected a label's name, not '}'"),
        ("{} 1", "line 1: a sample without a name"),
        ("a 1\r\n", "line 1: \"1\\r\" is no value"),
        ("a 1 # {b=\"c\"} 1", "line 1: \"#\" is no time"),
        ("# TYPE a info", "line 1: \"info\" is no type"),
        ("# TYPE a", "line 1: \"\" is no type"),
        ("# TYPE a-b counter", "line 1: expected a metric's name, not '-'"),
        ("# HELP", "line 1: expected a space before a metric's name"),
        ("# HELP 9", "line 1: expected a metric's name, not '9'"),
    ] {
        assert_eq!(read(body, false), Err(complaint.to_owned()), "{body:?}");
    }
    let broken = Reader::new(b"a 1\nb{c=\"\xff\"} 1\n", false).expect_err("no text");
    assert_eq!(broken.to_string(), "line 2: not UTF-8");
}

#[test]
fn what_openmetrics_takes() {
    for (body, lines) in [
        ("# EOF", &[][..]),
        ("# EOF\n", &[]),
        ("a 1\n# EOF\n", &["__name__=\"a\" 1.0"]),
        ("a 1 1.5\n# EOF", &["__name__=\"a\" 1.0 @1500000000"]),
        (
            "a{b=\"c\",d=\"e\"} 1e3 1700000000.123\n# EOF",
            &["__name__=\"a\",b=\"c\",d=\"e\" 1000.0 @1700000000123000000"],
        ),
        (
            "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n# HELP a_seconds x \\\"y\\\"\n# EOF",
            &[
                "type a_seconds=histogram",
                "unit a_seconds=seconds",
                "help a_seconds=\"x \\\"y\\\"\"",
            ],
        ),
        (
            "# TYPE a stateset\n# TYPE b info\n# TYPE c gaugehistogram\n# TYPE d unknown\n# UNIT d \n# HELP d \n# EOF",
            &[
                "type a=stateset",
                "type b=info",
                "type c=gaugehistogram",
                "type d=unknown",
                "unit d=",
                "help d=\"\"",
            ],
        ),
        (
            "a_total 1 # {trace_id=\"x\"} 0.5\n# EOF",
            &["__name__=\"a_total\" 1.0 # trace_id=\"x\" 0.5 None"],
        ),
        (
            "a_bucket{le=\"1\"} 1 2 # {} 0.5 1.5\n# EOF",
            &["__name__=\"a_bucket\",le=\"1\" 1.0 @2000000000 #  0.5 Some(1500000000)"],
        ),
        ("{\"a.b\",\"c d\"=\"e\"} 1\n# EOF", &["__name__=\"a.b\",c d=\"e\" 1.0"]),
        ("# TYPE \"a.b\" counter\n# EOF", &["type a.b=counter"]),
    ] {
        assert_eq!(
            read(body, true).as_deref(),
            Ok(&lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>()[..]),
            "{body:?}"
        );
    }
}

#[test]
fn what_openmetrics_refuses() {
    for (body, complaint) in [
        ("", "line 1: \"# EOF\" is missing"),
        ("a 1\n", "line 2: \"# EOF\" is missing"),
        ("# EOF\n\n", "line 2: something behind \"# EOF\""),
        ("# EOF\na 1\n", "line 2: something behind \"# EOF\""),
        ("# EOF ", "line 1: neither HELP, TYPE, UNIT nor EOF behind \"#\""),
        ("\n# EOF", "line 1: expected a metric's name, and the line ends"),
        (" a 1\n# EOF", "line 1: expected a metric's name, not ' '"),
        ("# a comment\n# EOF", "line 1: neither HELP, TYPE, UNIT nor EOF behind \"#\""),
        ("#TYPE a counter\n# EOF", "line 1: expected a space before HELP, TYPE, UNIT or EOF"),
        ("# TYPE a untyped\n# EOF", "line 1: \"untyped\" is no type"),
        ("# TYPE a  counter\n# EOF", "line 1: \" counter\" is no type"),
        ("# UNIT a seconds\n# EOF", "line 1: \"a\" does not end with its unit \"seconds\""),
        (
            "# UNIT aseconds seconds\n# EOF",
            "line 1: \"aseconds\" does not end with its unit \"seconds\"",
        ),
        ("# HELP a\n# EOF", "line 1: expected a space before what is said of it"),
        ("a  1\n# EOF", "line 1: expected a value"),
        ("a\t1\n# EOF", "line 1: expected a value, not '\\t'"),
        ("a 1 \n# EOF", "line 1: expected a time"),
        ("a 1  2\n# EOF", "line 1: expected a time"),
        ("a 1 2 \n# EOF", "line 1: expected the end of the line"),
        ("a{b=\"c\"}1\n# EOF", "line 1: expected a space before the value"),
        ("a {b=\"c\"} 1\n# EOF", "line 1: \"{b=\\\"c\\\"}\" is no value"),
        ("a 1 NaN\n# EOF", "line 1: \"NaN\" is no time"),
        ("a 1 #\n# EOF", "line 1: expected a space before the exemplar's labels"),
        ("a 1 # 1\n# EOF", "line 1: expected an exemplar's labels, not '1'"),
        ("a 1 # {b=\"c\"}\n# EOF", "line 1: expected a space before the exemplar's value"),
        ("a 1 # {b=\"c\"} x\n# EOF", "line 1: \"x\" is no exemplar's value"),
        ("a 1 # {b=\"c\"} 1 x\n# EOF", "line 1: \"x\" is no time"),
        ("a 1 # {b=\"c\"} 1 1 1\n# EOF", "line 1: expected the end of the line, not ' '"),
        ("a 1 # {b=\"c\",b=\"d\"} 1\n# EOF", "line 1: label \"b\" is there twice"),
        ("a 1 # {\"b\"} 1\n# EOF", "line 1: an exemplar has no name"),
    ] {
        let read = read(body, true);
        let error = read.as_ref().expect_err(body);
        assert!(error.starts_with(complaint), "{body:?}: {error}");
    }
}

proptest::proptest! {
    /// Whatever comes is read or refused, and read twice it says the same.
    #[test]
    fn anything_is_read_or_refused(body in "[a-z_{}=\"\\\\# 0-9.,é\n\tEOFTYPHELUNIT-]{0,200}") {
        for is_openmetrics in [false, true] {
            proptest::prop_assert_eq!(read(&body, is_openmetrics), read(&body, is_openmetrics));
        }
    }

    /// What a label is written as, whatever it holds, is read as what it is.
    #[test]
    fn values_are_what_was_written(value in "\\PC{0,40}|[\\\\\"\nn]{0,8}") {
        let written = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        for is_openmetrics in [false, true] {
            let body = format!("a{{b=\"{written}\"}} 1\n# EOF\n");
            let expected = format!("__name__=\"a\",b={value:?} 1.0");
            proptest::prop_assert_eq!(read(&body, is_openmetrics), Ok(vec![expected]));
        }
    }
}
