//! Which files are meant: include and exclude patterns, and the walk that finds them.
//!
//! The walk also names every directory in which a match could appear, so that they can be watched.
//! Deliberately skips what is compressed: a rotated file is read before that, or is not ours.

use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::super::SourceError;

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Endings of compressed files.
const COMPRESSED: [&str; 5] = ["gz", "zst", "bz2", "xz", "zip"];

/// The patterns of one source.
#[derive(Debug)]
pub(super) struct Globs {
    include: Vec<Include>,
    exclude: Vec<Pattern>,
}

/// A pattern, taken apart into directories.
#[derive(Debug)]
struct Include {
    whole: Pattern,
    /// The directories before the first wildcard.
    root: PathBuf,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// `**`: any number of directories.
    AnyDepth,
    Name(Pattern),
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<PathBuf>,
    pub(super) dirs: Vec<PathBuf>,
}

impl Globs {
    /// Compiles the patterns; relative ones are meant from the working directory.
    pub(super) fn new(include: &[String], exclude: &[String]) -> Result<Self, SourceError> {
        let pattern = |text: &str| {
            Pattern::new(text).map_err(|error| SourceError::Options {
                what: format!("the pattern {text:?}: {}", error.msg),
            })
        };
        let absolute = |text: &String| {
            let path = std::path::absolute(text).map_err(SourceError::System)?;
            Ok::<_, SourceError>(path.to_string_lossy().into_owned())
        };
        let include = include.iter().map(|text| {
            let text = absolute(text)?;
            let whole = pattern(&text)?;
            let mut root = PathBuf::new();
            let mut parts = Vec::new();
            for part in Path::new(&text).components() {
                let name = part.as_os_str().to_string_lossy();
                let is_plain = !name.contains(['*', '?', '[']);
                match part {
                    Component::Normal(_) if !is_plain || !parts.is_empty() => {
                        let any = name == "**";
                        parts.push(if any { Part::AnyDepth } else { Part::Name(pattern(&name)?) });
                    }
                    part => root.push(part),
                }
            }
            if parts.is_empty()
                && let Some(name) = root.file_name()
            {
                parts.push(Part::Name(pattern(&Pattern::escape(&name.to_string_lossy()))?));
                root.pop();
            }
            Ok(Include { whole, root, parts })
        });
        let include = include.collect::<Result<_, SourceError>>()?;
        let exclude = exclude.iter().map(|text| pattern(&absolute(text)?));
        Ok(Self { include, exclude: exclude.collect::<Result<_, SourceError>>()? })
    }

    /// Whether the file at `path` is meant.
    pub(super) fn matches(&self, path: &Path) -> bool {
        self.include.iter().any(|include| include.whole.matches_path_with(path, OPTIONS))
            && !self.excludes(path)
    }

    fn excludes(&self, path: &Path) -> bool {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        COMPRESSED.contains(&ending)
            || self.exclude.iter().any(|pattern| pattern.matches_path_with(path, OPTIONS))
    }

    /// Looks for everything that is meant. What cannot be read is passed over: it may be another's.
    pub(super) fn walk(&self) -> Found {
        let mut found = Found::default();
        for include in &self.include {
            self.descend(&include.root, &include.parts, &mut found);
        }
        found.files.sort();
        found.files.dedup();
        found.dirs.sort();
        found.dirs.dedup();
        found
    }

    fn descend(&self, dir: &Path, parts: &[Part], found: &mut Found) {
        let Ok(entries) = std::fs::read_dir(dir) else { return };
        found.dirs.push(dir.to_owned());
        // `**` may stand for no directory at all.
        if let [Part::AnyDepth, rest @ ..] = parts
            && !rest.is_empty()
        {
            self.descend(dir, rest, found);
        }
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            match parts {
                [Part::AnyDepth, ..] if kind.is_dir() => self.descend(&entry.path(), parts, found),
                [Part::AnyDepth] => self.take(entry.path(), found),
                [Part::Name(pattern), rest @ ..] if pattern.matches(&name.to_string_lossy()) => {
                    match rest {
                        [] if !kind.is_dir() => self.take(entry.path(), found),
                        [] => {}
                        rest if kind.is_dir() || kind.is_symlink() => {
                            self.descend(&entry.path(), rest, found);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }

    fn take(&self, path: PathBuf, found: &mut Found) {
        if !self.excludes(&path) {
            found.files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_what_it_matches() {
        let dir = tempfile::tempdir().expect("dir");
        let root = dir.path().to_string_lossy().into_owned();
        for file in ["a.log", "b.log.gz", "b.txt", "x/a.log", "x/y/c.log", "x/skip.log", "[z].log"]
        {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("dirs");
            std::fs::write(path, "").expect("file");
        }
        let cases: &[(&str, &[&str])] = &[
            ("a.log", &["a.log"]),
            ("*.log", &["[z].log", "a.log"]),
            ("*/*.log", &["x/a.log"]),
            ("**/*.log", &["[z].log", "a.log", "x/a.log", "x/y/c.log"]),
            ("x/**", &["x/a.log", "x/y/c.log"]),
            ("?.t*", &["b.txt"]),
            ("*.log*", &["[z].log", "a.log"]),
            ("nowhere/*.log", &[]),
        ];
        for (pattern, expected) in cases {
            let globs = Globs::new(&[format!("{root}/{pattern}")], &[format!("{root}/**/skip*")]);
            let globs = globs.expect("compiles");
            let found = globs.walk();
            let expected: Vec<_> = expected.iter().map(|name| dir.path().join(name)).collect();
            assert_eq!(found.files, expected, "{pattern}");
            assert!(expected.iter().all(|path| globs.matches(path)), "{pattern}");
            let dirs_watched = expected
                .iter()
                .all(|path| found.dirs.iter().any(|dir| Some(dir.as_path()) == path.parent()));
            assert!(dirs_watched, "{pattern}");
        }
        let error = Globs::new(&["/a/[".into()], &[]).expect_err("broken");
        assert!(error.to_string().contains("/a/["), "{error}");
    }
}
