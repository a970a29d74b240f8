//! Lists and maps of the tree as serde walks them, and the place that an error gets on the way out.

use std::io;

use serde::de::value::{BytesDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};
use zeroize::Zeroizing;

use super::super::tree::{Entry, Node, Value};
use super::Cursor;
use super::fault::{Error, Fault};

/// The items of a list.
pub(super) struct Items<'a> {
    list: Cursor<'a>,
    rest: std::slice::Iter<'a, Node>,
    index: usize,
}

impl<'a> Items<'a> {
    pub(super) fn new(list: Cursor<'a>, items: &'a [Node]) -> Self {
        Self { list, rest: items.iter(), index: 0 }
    }
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let document = self.list.document;
        let Some(node) = self.rest.by_ref().find(|node| document.has(node)) else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        let result = seed.deserialize(Cursor { node, ..self.list });
        result.map(Some).map_err(|error| error.or_at(node.span(), node.id).out_of(index))
    }
}

/// The entries of a map.
pub(super) struct Entries<'a> {
    map: Cursor<'a>,
    /// Those to come, the next one last.
    rest: Vec<&'a Entry>,
    /// The entry whose key was read.
    now: Option<&'a Entry>,
    /// A field that is not in the map: a secret's content.
    value: Option<Zeroizing<Vec<u8>>>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(map: Cursor<'a>, entries: &'a [Entry]) -> Self {
        let present = |entry: &&Entry| map.document.has(&entry.node);
        Self { map, rest: entries.iter().rev().filter(present).collect(), now: None, value: None }
    }

    /// The same with the entry `key` moved to the front.
    pub(super) fn with_first(mut self, key: &str) -> Self {
        if let Some(at) = self.rest.iter().position(|entry| entry.key == key) {
            let entry = self.rest.remove(at);
            self.rest.push(entry);
        }
        self
    }

    /// The same with the field `value`, read from the file that `file` names.
    pub(super) fn with_file(mut self, is_text: bool) -> Result<Self, Error> {
        let file = self.rest.iter().find(|entry| entry.key == "file");
        if let Some(Entry { node, .. }) = file
            && let Value::Scalar(path) = &node.value
        {
            let bytes = self.map.read_file(&path.text, is_text);
            let bytes = bytes.map_err(|error| error.or_at(node.span(), node.id).out_of("file"))?;
            self.value = Some(bytes);
        }
        Ok(self)
    }
}

impl Cursor<'_> {
    /// What a secret's file holds; text without the newline that editors leave.
    fn read_file(&self, path: &str, is_text: bool) -> Result<Zeroizing<Vec<u8>>, Error> {
        let bytes = self.env.read(path.as_ref()).map(Zeroizing::new).map_err(|error| {
            Fault::wrong(
                format!("cannot read \"{path}\": {}", reason_of(&error)),
                "Create or mount the file, readable for the user that sidewake runs as.",
            )
        })?;
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.trim_end_matches(['\r', '\n']),
            Err(_) if is_text => {
                let message = format!("\"{path}\" holds bytes that are not text");
                return Err(Fault::wrong(message, "Write the secret as one line of text.").into());
            }
            Err(_) => return Ok(bytes),
        };
        if text.is_empty() {
            let message = format!("\"{path}\" is empty");
            return Err(Fault::wrong(message, "Write the secret into it.").into());
        }
        Ok(Zeroizing::new(text.as_bytes().to_vec()))
    }
}

/// Why a file cannot be read, in words that do not change with the platform.
pub(in crate::config) fn reason_of(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.now = self.rest.pop();
        let key: &str = match (self.now, &self.value) {
            (Some(entry), _) => &entry.key,
            (None, Some(_)) => "value",
            (None, None) => return Ok(None),
        };
        let key: StrDeserializer<'_, Error> = key.into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| match self.now {
            Some(entry) => error.or_at(entry.key_span.clone(), entry.node.id),
            None => error,
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(Entry { key, key_span, node }) = self.now.take() else {
            let value = self.value.take().unwrap_or_default();
            return seed.deserialize(BytesDeserializer::new(&value));
        };
        seed.deserialize(Cursor { node, ..self.map }).map_err(|error| {
            // What is absent stands nowhere: point at the name of what lacks it.
            let absent =
                matches!(node.value, Value::Null) || matches!(error.fault, Fault::MissingField(_));
            let span = if absent { key_span.clone() } else { node.span() };
            error.or_at(span, node.id).out_of(key.as_str())
        })
    }
}
