//! Errors that say where, what, and what to write instead.

/// A mistake in a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    /// Byte offset of the mistake within the condition.
    pub offset: usize,
    /// Its length in bytes; 0 at the end of the condition.
    pub len: usize,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What to write, a full sentence; empty where there is nothing to say.
    pub hint: String,
}

impl ConditionError {
    pub(super) fn new(at: (usize, usize), message: impl Into<String>) -> Self {
        Self { offset: at.0, len: at.1 - at.0, message: message.into(), hint: String::new() }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}
