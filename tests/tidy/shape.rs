//! Sizes and first lines: what makes a file readable from top to bottom.
//!
//! Owns the limits of the house. There is no list of exceptions: a file that grew is split, along
//! its nouns, into `foo.rs` and `foo/`.

use super::file::{File, Offence};
use super::lexer::Class;

/// Lines of a file, its tests included.
pub(crate) const FILE_LINES_MAX: usize = 600;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of a line; what lies in literals does not count, nor a line with a URL in it.
const LINE_COLUMNS_MAX: usize = 100;

pub(crate) fn file_length(file: &File, found: &mut Vec<Offence>) {
    let n_lines = file.source.lines().count();
    let is_source = file.is_rust() || file.path.ends_with(".py");
    if is_source && n_lines > FILE_LINES_MAX {
        let what = format!("{n_lines} lines, at most {FILE_LINES_MAX}: split it along its nouns");
        found.push(file.offence_of_all(what));
    }
}

pub(crate) fn function_length(file: &File, found: &mut Vec<Offence>) {
    if !file.is_rust() {
        return;
    }
    for function in file.functions() {
        let (first, last) =
            (file.source.line_of(function.span.start), file.source.line_of(function.span.end));
        let n_lines = last - first + 1;
        if n_lines > FUNCTION_LINES_MAX {
            let what = format!(
                "function `{}` has {n_lines} lines, at most {FUNCTION_LINES_MAX}: keep the control \
                 flow here and move the leaves out",
                function.name
            );
            found.push(file.offence(function.span.start, what));
        }
    }
}

pub(crate) fn line_length(file: &File, found: &mut Vec<Offence>) {
    if !file.is_rust() {
        return;
    }
    for line in file.source.lines() {
        let text = &file.source.text[line.clone()];
        let characters = text.char_indices().map(|(at, _)| file.source.classes[line.start + at]);
        let n_columns = characters.filter(|class| *class != Class::Literal).count();
        if n_columns > LINE_COLUMNS_MAX && !text.contains("://") {
            let what = format!("{n_columns} columns, at most {LINE_COLUMNS_MAX}");
            found.push(file.offence(line.start, what));
        }
    }
}

pub(crate) fn opening(file: &File, found: &mut Vec<Offence>) {
    let first = file.source.text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//!").is_some_and(|text| !text.trim().is_empty());
    if file.is_rust() && !says {
        let what = "open with `//!`: what the file owns and what it deliberately does not do";
        found.push(file.offence_of_all(what));
    }
}

pub(crate) fn no_mod_rs(file: &File, found: &mut Vec<Offence>) {
    if let Some(folder) = file.path.strip_suffix("/mod.rs") {
        let what = format!("call it {folder}.rs, so that a tab and a search result say what it is");
        found.push(file.offence_of_all(what));
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::*;

    #[test]
    fn files() {
        let lines = |n: usize| "x\n".repeat(n);
        check(file_length, "src/a.rs", &lines(600), &[]);
        check(file_length, "src/a.rs", &lines(601), &["src/a.rs: 601 lines"]);
        check(file_length, "tests/a.py", &lines(601), &["tests/a.py: 601 lines"]);
        check(file_length, "Cargo.lock", &lines(601), &[]);
    }

    #[test]
    fn functions() {
        let of =
            |n: usize| format!("//! x\nfn f() {{\n{}}}\n", "    g(\"}\"); // }\n".repeat(n - 2));
        check(function_length, "src/a.rs", &of(70), &[]);
        check(function_length, "src/a.rs", &of(71), &["src/a.rs:2: function `f` has 71 lines"]);
        let method =
            format!("impl T for U {{\n    async fn g<'a>(\n&'a self) {{ {} }} }}", "\n".repeat(69));
        check(function_length, "tests/a.rs", &method, &["tests/a.rs:2: function `g` has 71 lines"]);
    }

    #[test]
    fn lines() {
        let spaces = " ".repeat(90);
        check(line_length, "src/a.rs", &format!("{spaces}0123456789\n"), &[]);
        check(
            line_length,
            "src/a.rs",
            &format!("\n{spaces}01234567890\n"),
            &["src/a.rs:2: 101 columns"],
        );
        check(
            line_length,
            "src/a.rs",
            &format!("{spaces}// \u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}"),
            &[],
        );
        check(line_length, "src/a.rs", &format!("// {spaces} long words"), &["src/a.rs:1: 104"]);
        check(line_length, "src/a.rs", &format!("// {spaces} https://example.com"), &[]);
        check(line_length, "src/a.rs", &format!("f(\"{spaces} long words\")"), &[]);
        check(line_length, "src/a.rs", &format!("f(r#\"\n{spaces} long words\n\"#)"), &[]);
        check(line_length, "README.md", &format!("{spaces} long words"), &[]);
    }

    #[test]
    fn openings_and_names() {
        check(opening, "src/a.rs", "//! What it owns.\n", &[]);
        for text in ["", "//!\n", "// What\n", "use a;\n//! late\n", "\n//! late\n"] {
            check(opening, "src/a.rs", text, &["src/a.rs: open with"]);
        }
        check(no_mod_rs, "src/a/mod.rs", "", &["src/a/mod.rs: call it src/a.rs"]);
        check(no_mod_rs, "src/a/kmod.rs", "", &[]);
    }
}
