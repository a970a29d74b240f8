//! Floor 0: a problem in a file, shown with its line and a caret.
