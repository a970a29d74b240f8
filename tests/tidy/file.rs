//! One file of the repository, as the rules see it.
//!
//! Owns what more than one rule asks: which bytes are test code, where functions and inline modules
//! are, and how an offence is said. Does not judge.

use std::fmt;
use std::ops::Range;

use super::lexer::Source;

/// A file by its path from the repository's root, with `/`.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) source: Source,
    /// The whole file is test code.
    is_test: bool,
    test_regions: Vec<Range<usize>>,
}

/// One rule broken at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Offence {
    pub(crate) path: String,
    /// From 1; 0 where the file as a whole offends.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// A function: its name and from its `fn` to its closing brace.
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) span: Range<usize>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let source = Source::new(text);
        let test_regions = test_regions(&source);
        let is_test = path.starts_with("tests/");
        Self { path: path.to_owned(), source, is_test, test_regions }
    }

    /// An offence at a byte of this file.
    pub(crate) fn offence(&self, at: usize, what: impl Into<String>) -> Offence {
        Offence { path: self.path.clone(), line: self.source.line_of(at), what: what.into() }
    }

    /// An offence of the file as a whole.
    pub(crate) fn offence_of_all(&self, what: impl Into<String>) -> Offence {
        Offence { path: self.path.clone(), line: 0, what: what.into() }
    }

    /// Whether the byte at `at` is only compiled for tests.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.is_test || self.test_regions.iter().any(|region| region.contains(&at))
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The modules that are declared for tests only and lie in files of their own: their paths
    /// without `.rs`.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let folder = match stem {
            "src/lib" | "src/main" => "src",
            _ => stem,
        };
        let declared = self.test_regions.iter().filter_map(|region| {
            let item = self.source.code[region.clone()].trim_end_matches(';');
            let name = item.rsplit_once("mod ")?.1.trim();
            name.bytes().all(super::lexer::is_word).then(|| format!("{folder}/{name}"))
        });
        declared.collect()
    }

    /// Takes the whole file for test code if it is, or lies in, one of the test-only modules.
    pub(crate) fn mark_test(&mut self, modules: &[String]) {
        let stem = self.path.trim_end_matches(".rs");
        let is_within = |module: &String| {
            stem.strip_prefix(module.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.is_test |= modules.iter().any(is_within);
    }

    /// All functions with a body, nested ones too.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let words: Vec<_> = self.source.words().collect();
        let mut functions = Vec::new();
        for pair in words.windows(2) {
            let [(at, "fn"), (name_at, name)] = *pair else { continue };
            // `fn(u8)` is a type and `fn $name` a macro's pattern.
            if !self.source.code[at + 2..name_at].trim().is_empty() {
                continue;
            }
            if let Some((open, b'{')) = self.source.body_or_end(name_at) {
                functions.push(Function { name, span: at..self.source.closing(open) });
            }
        }
        functions
    }

    /// How many inline modules enclose the byte at `at`.
    pub(crate) fn inline_depth(&self, at: usize) -> usize {
        let modules = self.source.words().filter(|(_, word)| *word == "mod");
        let regions = modules.filter_map(|(start, _)| match self.source.body_or_end(start)? {
            (open, b'{') => Some(open..self.source.closing(open)),
            _ => None,
        });
        regions.filter(|region| region.contains(&at)).count()
    }
}

/// The items under `#[cfg(test)]`, `#[cfg(all(test, …))]`, `#[test]` and `#[tokio::test]`.
fn test_regions(source: &Source) -> Vec<Range<usize>> {
    let mut regions = Vec::new();
    for (start, _) in source.code.match_indices("#[") {
        let end = source.closing(start + 1);
        let words: Vec<_> = words_of(&source.code[start..end]);
        let is_cfg = words.first() == Some(&"cfg") && words.contains(&"test");
        let is_for_tests = is_cfg && !words.contains(&"not");
        let is_a_test = words.first() == Some(&"test") || words.starts_with(&["tokio", "test"]);
        if !is_for_tests && !is_a_test {
            continue;
        }
        match source.body_or_end(end + 1) {
            Some((open, b'{')) => regions.push(start..source.closing(open) + 1),
            Some((end, _)) => regions.push(start..end + 1),
            None => {}
        }
    }
    regions
}

fn words_of(code: &str) -> Vec<&str> {
    let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_test_code() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n\
                    #[cfg(all(test, unix))]\n#[expect(x)]\nfn d() {}\n#[cfg(not(test))]\nfn e() {}\n\
                    #[tokio::test(start_paused = true)]\nasync fn f() {}\n#[cfg(test)]\nuse x;\nfn g() {}";
        let file = File::new("src/a.rs", text);
        let functions = file.functions();
        let in_tests = functions.iter().filter(|f| file.is_test(f.span.start)).map(|f| f.name);
        assert_eq!(in_tests.collect::<String>(), "bdf");
        assert_eq!(functions.iter().map(|f| f.name).collect::<String>(), "abcdefg");
    }

    #[test]
    fn test_modules_in_files_of_their_own() {
        let parent = File::new("src/spool.rs", "mod a;\n#[cfg(test)]\nmod tests;\nmod b;");
        assert_eq!(parent.test_modules(), ["src/spool/tests"]);
        assert_eq!(File::new("src/lib.rs", "#[cfg(test)] mod t;").test_modules(), ["src/t"]);
        for (path, is_test) in [
            ("src/spool/tests.rs", true),
            ("src/spool/tests/crash.rs", true),
            ("src/spool/tests_of_all.rs", false),
            ("src/spool/a.rs", false),
        ] {
            let mut file = File::new(path, "fn a() {}");
            file.mark_test(&parent.test_modules());
            assert_eq!(file.is_test(0), is_test, "{path}");
        }
    }

    #[test]
    fn functions_and_depth() {
        let text = "trait T { fn only(&self); fn f(x: fn(u8)) where Self: Sized {\n} }\n\
                    mod m { mod n { const X: u8 = 0; } }";
        let file = File::new("src/a.rs", text);
        assert_eq!(file.functions().iter().map(|f| f.name).collect::<Vec<_>>(), ["f"]);
        assert_eq!(file.inline_depth(text.find("const").expect("const")), 2);
        assert_eq!(file.inline_depth(0), 0);
    }
}
