//! From a request's first byte to its last: every text, attribute, id and number, told to a
//! visitor.
//!
//! Walks by `schema`, in the order of the bytes, without a copy or an allocation. What the schema
//! does not know is told as [`Visit::opaque`], so that whoever searches for something has seen
//! every byte in which it could stand.
//!
//! Refuses what no decoder takes: values that reach over their message, nesting beyond
//! [`DEPTH_MAX`]. Deliberately does not check that texts are UTF-8.

use super::schema::{Kind, Message, N_MESSAGES};
use super::wire::{Field, Malformed, Reader, kind};
use crate::event::signal::Signal;

/// Messages inside of each other. Official decoders stop at 100; attributes of attributes go three
/// levels deep in practice.
pub const DEPTH_MAX: usize = 60;
/// Field numbers that the table has room for.
pub(super) const NUMBERS: usize = 32;

/// Who is told what stands where. Positions are those of the whole request.
pub trait Visit {
    /// A span, a log record or a metric begins: the field whose value it is.
    fn begin_item(&mut self, _item: Field) {}

    /// It ends.
    fn end_item(&mut self) {}

    /// A resource begins, with all that is its.
    fn begin_resource(&mut self) {}

    /// A number of `message`.
    fn number(&mut self, _message: Message, _field: Field) {}

    /// A trace or span id of `message`, of any length.
    fn id(&mut self, _message: Message, _field: Field) {}

    /// A text of `message` that is no attribute's.
    fn text(&mut self, _message: Message, _field: Field) {}

    /// Bytes of which the schema says nothing: an unknown field.
    fn opaque(&mut self, _field: Field) {}

    /// An attribute, or a member of one. Whether to look into its value, if that is a list or an
    /// array: then [`Visit::attribute`] and [`Visit::element`] follow, and one [`Visit::leave`].
    fn attribute(&mut self, _attribute: Attribute) -> bool {
        false
    }

    /// An element of an array; the answer as of [`Visit::attribute`].
    fn element(&mut self, _value: Value) -> bool {
        false
    }

    /// An attribute or element into which the visitor wanted to look ends.
    fn leave(&mut self) {}
}

/// A `KeyValue`.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// The message that it is an attribute of.
    pub owner: Message,
    /// The whole of it.
    pub field: Field,
    /// Its key; without one, an empty range at its beginning.
    pub key: Field,
    /// What it is.
    pub value: Value,
    /// It has two keys or two values, of which readers take the last: nobody writes that.
    pub is_odd: bool,
}

/// An `AnyValue`.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// The whole of it, if there is any.
    pub any: Option<Field>,
    /// The one member that is set; its number is the number of [`Message::AnyValue`]'s field.
    pub member: Option<Field>,
}

impl Value {
    /// Whether it is a text.
    #[must_use]
    pub fn text(&self) -> Option<Field> {
        self.member.filter(|member| member.tag == tags::TEXT)
    }
}

/// The tags of `AnyValue`'s members.
pub mod tags {
    use super::super::wire::{kind, tag};

    /// `string_value`
    pub const TEXT: u32 = tag(1, kind::BYTES);
    /// `bool_value`
    pub const BOOL: u32 = tag(2, kind::VARINT);
    /// `int_value`
    pub const INT: u32 = tag(3, kind::VARINT);
    /// `double_value`
    pub const DOUBLE: u32 = tag(4, kind::FIXED64);
    /// `array_value`
    pub const ARRAY: u32 = tag(5, kind::BYTES);
    /// `kvlist_value`
    pub const LIST: u32 = tag(6, kind::BYTES);
    /// `bytes_value`
    pub const BYTES: u32 = tag(7, kind::BYTES);
}

/// What a length-delimited field is: one of the constants, or [`role::MESSAGE`] plus the message.
mod role {
    pub(super) const UNKNOWN: u8 = 0;
    pub(super) const PACKED: u8 = 1;
    pub(super) const TEXT: u8 = 2;
    pub(super) const ID: u8 = 3;
    pub(super) const ATTRIBUTE: u8 = 4;
    pub(super) const MESSAGE: u8 = 8;
}

const MESSAGES: [Message; N_MESSAGES] = {
    use Message as M;
    [
        M::Traces,
        M::ResourceSpans,
        M::ScopeSpans,
        M::Span,
        M::SpanEvent,
        M::SpanLink,
        M::Status,
        M::Logs,
        M::ResourceLogs,
        M::ScopeLogs,
        M::LogRecord,
        M::Metrics,
        M::ResourceMetrics,
        M::ScopeMetrics,
        M::Metric,
        M::Gauge,
        M::Sum,
        M::Histogram,
        M::ExponentialHistogram,
        M::Summary,
        M::NumberPoint,
        M::HistogramPoint,
        M::ExponentialPoint,
        M::Buckets,
        M::SummaryPoint,
        M::Quantile,
        M::Exemplar,
        M::Resource,
        M::EntityRef,
        M::Scope,
        M::KeyValue,
        M::AnyValue,
        M::ArrayValue,
        M::KeyValueList,
    ]
};

const ROLES: [[u8; NUMBERS]; N_MESSAGES] = {
    let mut roles = [[role::UNKNOWN; NUMBERS]; N_MESSAGES];
    let mut m = 0;
    while m < N_MESSAGES {
        assert!(MESSAGES[m] as usize == m, "BUG: MESSAGES is out of order");
        let fields = MESSAGES[m].fields();
        let mut f = 0;
        while f < fields.len() {
            roles[m][fields[f].number as usize] = match fields[f].kind {
                Kind::Text => role::TEXT,
                Kind::TraceId | Kind::SpanId => role::ID,
                Kind::Message(Message::KeyValue) => role::ATTRIBUTE,
                Kind::Message(message) => role::MESSAGE + message as u8,
                Kind::Bytes => role::UNKNOWN,
                _ if fields[f].is_repeated => role::PACKED,
                _ => role::UNKNOWN,
            };
            f += 1;
        }
        m += 1;
    }
    roles
};

/// A field's wire type, and one: what decoders take its number for. 0 where there is none, or
/// where any will do.
const WIRE_TYPES: [[u8; NUMBERS]; N_MESSAGES] = {
    let mut types = [[0; NUMBERS]; N_MESSAGES];
    let mut m = 0;
    while m < N_MESSAGES {
        let fields = MESSAGES[m].fields();
        let mut f = 0;
        while f < fields.len() {
            let wire = match fields[f].kind {
                Kind::Text | Kind::Bytes | Kind::TraceId | Kind::SpanId | Kind::Message(_) => {
                    kind::BYTES
                }
                Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => kind::FIXED64,
                Kind::Fixed32 => kind::FIXED32,
                _ => kind::VARINT,
            };
            // Repeated numbers are packed, or not.
            let is_any = fields[f].is_repeated && wire != kind::BYTES;
            types[m][fields[f].number as usize] = if is_any { 0 } else { wire as u8 + 1 };
            f += 1;
        }
        m += 1;
    }
    types
};

/// That a known field of `message` has the wire type that it must have.
///
/// # Why
/// Every decoder refuses the whole request otherwise, and with it those of other clients that go
/// with it in one body.
#[inline]
fn check_type(message: Message, field: Field) -> Result<(), Malformed> {
    let types = &WIRE_TYPES[message as usize];
    match types.get(field.number() as usize) {
        Some(&wanted) if wanted != 0 && u32::from(wanted) != field.kind() + 1 => {
            Err(Malformed { at: field.at, what: "a known field of another wire type" })
        }
        _ => Ok(()),
    }
}

/// Walks a request of `signal`.
///
/// # Errors
/// [`Malformed`] for what is no such request.
pub fn walk(bytes: &[u8], signal: Signal, visit: &mut impl Visit) -> Result<(), Malformed> {
    Walk { bytes, visit }.message(Message::request_of(signal), 0, bytes.len(), 0)
}

/// The fields of `KeyValue`.
const KEY: u32 = super::wire::tag(1, kind::BYTES);
const VALUE: u32 = super::wire::tag(2, kind::BYTES);

/// Whether `tag` is one of `AnyValue`'s members.
#[inline]
fn is_member(tag: u32) -> bool {
    use tags::{ARRAY, BOOL, BYTES, DOUBLE, INT, LIST, TEXT};
    matches!(tag, TEXT | BOOL | INT | DOUBLE | ARRAY | LIST | BYTES)
}

struct Walk<'a, V> {
    bytes: &'a [u8],
    visit: &'a mut V,
}

impl<V: Visit> Walk<'_, V> {
    fn message(
        &mut self,
        message: Message,
        start: usize,
        end: usize,
        depth: usize,
    ) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed { at: start, what: "messages nested too deep" });
        }
        let mut reader = Reader::new(self.bytes, start, end);
        while let Some(field) = reader.read()? {
            self.field(message, field, depth)?;
        }
        Ok(())
    }

    /// A field of `message`, by what the schema says of it.
    fn field(&mut self, message: Message, field: Field, depth: usize) -> Result<(), Malformed> {
        check_type(message, field)?;
        if field.kind() != kind::BYTES {
            self.visit.number(message, field);
            return Ok(());
        }
        let roles = &ROLES[message as usize];
        match roles.get(field.number() as usize).copied().unwrap_or(role::UNKNOWN) {
            role::ATTRIBUTE => self.attribute(message, field, depth + 1)?,
            role::TEXT => self.visit.text(message, field),
            role::ID => self.visit.id(message, field),
            role::PACKED => {}
            role::UNKNOWN => self.visit.opaque(field),
            inner => {
                let inner = MESSAGES[usize::from(inner - role::MESSAGE)];
                self.inner(inner, field, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A span: its commonest fields by their tags, which the compiler makes jumps of; the others
    /// as those of any message.
    fn span(&mut self, span: Field, depth: usize) -> Result<(), Malformed> {
        use super::wire::tag;
        const SPAN: Message = Message::Span;
        const TRACE_ID: u32 = tag(1, kind::BYTES);
        const SPAN_ID: u32 = tag(2, kind::BYTES);
        const PARENT_ID: u32 = tag(4, kind::BYTES);
        const NAME: u32 = tag(5, kind::BYTES);
        const KIND: u32 = tag(6, kind::VARINT);
        const START: u32 = tag(7, kind::FIXED64);
        const END: u32 = tag(8, kind::FIXED64);
        const ATTRIBUTE: u32 = tag(9, kind::BYTES);
        const FLAGS: u32 = tag(16, kind::FIXED32);
        const {
            let roles = &ROLES[SPAN as usize];
            assert!(roles[1] == role::ID && roles[2] == role::ID && roles[4] == role::ID);
            assert!(roles[5] == role::TEXT && roles[9] == role::ATTRIBUTE);
        }
        let mut reader = Reader::of(self.bytes, span);
        while let Some(field) = reader.read()? {
            match field.tag {
                ATTRIBUTE => self.attribute_here(SPAN, field, depth + 1)?,
                TRACE_ID | SPAN_ID | PARENT_ID => self.visit.id(SPAN, field),
                NAME => self.visit.text(SPAN, field),
                START | END | KIND | FLAGS => self.visit.number(SPAN, field),
                _ => self.field(SPAN, field, depth)?,
            }
        }
        Ok(())
    }

    fn inner(&mut self, message: Message, field: Field, depth: usize) -> Result<(), Malformed> {
        if message == Message::AnyValue {
            // The body of a log record; an attribute's value does not come here.
            return self.element(field, depth);
        }
        if !message.is_item() {
            use Message::{ResourceLogs, ResourceMetrics, ResourceSpans};
            if matches!(message, ResourceSpans | ResourceMetrics | ResourceLogs) {
                self.visit.begin_resource();
            }
            return self.message(message, field.start, field.end, depth);
        }
        self.visit.begin_item(field);
        if message == Message::Span {
            self.span(field, depth)?;
        } else {
            self.message(message, field.start, field.end, depth)?;
        }
        self.visit.end_item();
        Ok(())
    }

    #[inline(never)]
    fn attribute(&mut self, owner: Message, field: Field, depth: usize) -> Result<(), Malformed> {
        self.attribute_here(owner, field, depth)
    }

    /// [`Self::attribute`] inside of its caller: what passes through memory on the way costs more
    /// than the walk itself.
    #[inline(always)]
    fn attribute_here(
        &mut self,
        owner: Message,
        field: Field,
        depth: usize,
    ) -> Result<(), Malformed> {
        let Some(attribute) = self.usual_attribute(owner, field) else {
            return self.any_attribute(owner, field, depth);
        };
        if self.visit.attribute(attribute) {
            self.look_into(attribute.value, depth)?;
            self.visit.leave();
        }
        Ok(())
    }

    /// A key and a value with one member, as everybody writes them; `None` for anything else.
    #[inline(always)]
    fn usual_attribute(&self, owner: Message, field: Field) -> Option<Attribute> {
        let mut parts = Reader::of(self.bytes, field);
        let key = parts.read().ok()?.filter(|key| key.tag == KEY)?;
        let any = parts.read().ok()?.filter(|any| any.tag == VALUE && parts.is_done())?;
        let mut members = Reader::of(self.bytes, any);
        let member = members.read().ok()??;
        let is_usual = members.is_done() && is_member(member.tag);
        let value = Value { any: Some(any), member: Some(member) };
        is_usual.then_some(Attribute { owner, field, key, value, is_odd: false })
    }

    /// An attribute of any form.
    #[inline(never)]
    fn any_attribute(
        &mut self,
        owner: Message,
        field: Field,
        depth: usize,
    ) -> Result<(), Malformed> {
        let empty = Field { end: field.start, start: field.start, ..field };
        let mut attribute = Attribute {
            owner,
            field,
            key: empty,
            value: Value { any: None, member: None },
            is_odd: false,
        };
        let (mut has_key, mut has_value) = (false, false);
        let mut reader = Reader::of(self.bytes, field);
        while let Some(part) = reader.read()? {
            match part.tag {
                KEY => {
                    attribute.is_odd |= std::mem::replace(&mut has_key, true);
                    attribute.key = part;
                }
                VALUE => {
                    attribute.is_odd |= std::mem::replace(&mut has_value, true);
                    let (value, is_odd) = self.value(part)?;
                    attribute.is_odd |= is_odd;
                    attribute.value = value;
                }
                _ => {
                    check_type(Message::KeyValue, part)?;
                    if part.kind() == kind::BYTES {
                        self.visit.opaque(part);
                    }
                }
            }
        }
        if self.visit.attribute(attribute) {
            self.look_into(attribute.value, depth)?;
            self.visit.leave();
        }
        Ok(())
    }

    fn value(&mut self, any: Field) -> Result<(Value, bool), Malformed> {
        let mut value = Value { any: Some(any), member: None };
        let mut is_odd = false;
        let mut reader = Reader::of(self.bytes, any);
        while let Some(part) = reader.read()? {
            match part.tag {
                tag if is_member(tag) => is_odd |= value.member.replace(part).is_some(),
                _ => {
                    check_type(Message::AnyValue, part)?;
                    if part.kind() == kind::BYTES {
                        self.visit.opaque(part);
                    }
                }
            }
        }
        Ok((value, is_odd))
    }

    fn element(&mut self, any: Field, depth: usize) -> Result<(), Malformed> {
        let (value, is_odd) = self.value(any)?;
        if is_odd {
            // Of two values the last one counts; the first could hold anything.
            self.visit.opaque(any);
        }
        if self.visit.element(value) {
            self.look_into(value, depth)?;
            self.visit.leave();
        }
        Ok(())
    }

    fn look_into(&mut self, value: Value, depth: usize) -> Result<(), Malformed> {
        const ITEMS: u32 = super::wire::tag(1, kind::BYTES);
        let Some(member) = value.member else { return Ok(()) };
        if !matches!(member.tag, tags::ARRAY | tags::LIST) {
            return Ok(());
        }
        if depth > DEPTH_MAX {
            return Err(Malformed { at: member.at, what: "values nested too deep" });
        }
        let mut reader = Reader::of(self.bytes, member);
        while let Some(item) = reader.read()? {
            match (member.tag, item.tag) {
                (tags::ARRAY, ITEMS) => self.element(item, depth + 2)?,
                (_, ITEMS) => self.attribute(Message::KeyValueList, item, depth + 2)?,
                _ => {
                    check_type(Message::ArrayValue, item)?;
                    if item.kind() == kind::BYTES {
                        self.visit.opaque(item);
                    }
                }
            }
        }
        Ok(())
    }
}
