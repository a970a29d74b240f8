//! Loki's settings.

use std::fmt;
use std::num::NonZeroUsize;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::units::HumanDuration;

use super::super::de::wrong;
use super::super::named::Named;
use super::super::secret_text::SecretText;
use super::http::{Auth, Endpoint, Rate, RequestBatch, Retry, Tls};
use crate::diagnostic::offer;

/// Grafana Loki, through its push API.
#[derive(Clone, Debug, serde::Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Loki {
    /// Scheme, host and port of Loki or of the gateway in front of it.
    pub endpoint: Endpoint,
    /// The tenant (X-Scope-OrgID). Default: none.
    #[serde(default)]
    pub tenant: Option<Tenant>,
    /// Labels beside "tier" and "service_name": a map of fixed ones, or a list of attributes that may
    /// become labels. A list may hold maps too.
    #[serde(default)]
    pub labels: Labels,
    /// When a request is sent.
    #[serde(default)]
    pub batch: RequestBatch,
    /// The longest wait for an answer. Default: 10s.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// Requests under way at one time. Default: 2.
    #[serde(default = "default_concurrency")]
    pub concurrency: NonZeroUsize,
    /// How fast Loki may be fed. Default: no limit.
    #[serde(default)]
    pub rate: Rate,
    /// How long Loki is left alone when it fails.
    #[serde(default)]
    pub retry: Retry,
    /// Headers for a gateway.
    #[serde(default)]
    pub headers: Named<SecretText>,
    /// How requests are authorised. Default: not at all.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// TLS beyond the certificates that are built in.
    #[serde(default)]
    pub tls: Tls,
}

fn default_timeout() -> HumanDuration {
    HumanDuration::secs(10)
}

fn default_concurrency() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(1)
}

/// A Loki tenant: letters, digits and `! - _ . * ' ( )`, at most 150 bytes, not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant(pub String);

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        let valid = |b: u8| b.is_ascii_alphanumeric() || b"!-_.*'()".contains(&b);
        let named = !matches!(text.as_str(), "" | "." | "..");
        if named && text.len() <= 150 && text.bytes().all(valid) {
            return Ok(Self(text));
        }
        Err(wrong(
            format_args!("\"{text}\" is not a tenant of Loki"),
            "Use letters, digits and ! - _ . * ' ( ), at most 150 of them. Pushes go to one tenant.",
        ))
    }
}

impl JsonSchema for Tenant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tenant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"] })
    }
}

/// Labels of Loki streams beside those that sidewake sets itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Label names with their one value.
    pub fixed: Vec<(String, String)>,
    /// Attributes that become labels where an event has them.
    pub dynamic: Vec<DynamicLabel>,
}

/// What may become a label: things with few values. The rest goes to structured metadata, since every
/// value of a label is a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DynamicLabel {
    /// `k8s.namespace.name`
    Namespace,
    /// `k8s.container.name`
    Container,
    /// `k8s.cluster.name`
    Cluster,
    /// `k8s.node.name`
    Node,
    /// `deployment.environment.name`
    Env,
    /// stdout or stderr.
    Stream,
    /// The event's kind.
    Kind,
    /// The event's level.
    Level,
    /// The source's name in the config.
    Source,
}

impl DynamicLabel {
    /// All of them.
    pub const ALL: [DynamicLabel; 9] = [
        DynamicLabel::Namespace,
        DynamicLabel::Container,
        DynamicLabel::Cluster,
        DynamicLabel::Node,
        DynamicLabel::Env,
        DynamicLabel::Stream,
        DynamicLabel::Kind,
        DynamicLabel::Level,
        DynamicLabel::Source,
    ];

    /// The label's name, which is also the word in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DynamicLabel::Namespace => "namespace",
            DynamicLabel::Container => "container",
            DynamicLabel::Cluster => "cluster",
            DynamicLabel::Node => "node",
            DynamicLabel::Env => "env",
            DynamicLabel::Stream => "stream",
            DynamicLabel::Kind => "kind",
            DynamicLabel::Level => "level",
            DynamicLabel::Source => "source",
        }
    }

    /// The resource attribute that the label is read from; `None` where it is a fact of the event.
    #[must_use]
    pub fn attribute(self) -> Option<&'static str> {
        match self {
            DynamicLabel::Namespace => Some("k8s.namespace.name"),
            DynamicLabel::Container => Some("k8s.container.name"),
            DynamicLabel::Cluster => Some("k8s.cluster.name"),
            DynamicLabel::Node => Some("k8s.node.name"),
            DynamicLabel::Env => Some("deployment.environment.name"),
            DynamicLabel::Stream
            | DynamicLabel::Kind
            | DynamicLabel::Level
            | DynamicLabel::Source => None,
        }
    }
}

impl<'de> Deserialize<'de> for DynamicLabel {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        Self::ALL.into_iter().find(|label| label.as_str() == text).ok_or_else(|| {
            let known = offer(&text, "Values", Self::ALL.map(DynamicLabel::as_str));
            wrong(
                format_args!("\"{text}\" cannot be a label: it may have many values"),
                format_args!("{known} Query all others as structured metadata: | {text}=\"…\""),
            )
        })
    }
}

/// An item of a list of labels.
enum Item {
    Fixed(Named<String>),
    Dynamic(DynamicLabel),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct ItemVisitor;

        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an attribute, or { label: value }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
                let text = serde::de::value::StrDeserializer::new(text);
                DynamicLabel::deserialize(text).map(Item::Dynamic)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                Named::deserialize(map).map(Item::Fixed)
            }
        }

        de.deserialize_any(ItemVisitor)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct LabelsVisitor;

        impl<'de> Visitor<'de> for LabelsVisitor {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of labels or a list of attributes")
            }

            fn visit_unit<E: Error>(self) -> Result<Labels, E> {
                Ok(Labels::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Labels, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                let Named(fixed) = Named::deserialize(map)?;
                Ok(Labels { fixed, dynamic: Vec::new() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Labels, A::Error> {
                let mut labels = Labels::default();
                while let Some(item) = items.next_element()? {
                    match item {
                        Item::Fixed(Named(fixed)) => labels.fixed.extend(fixed),
                        Item::Dynamic(label) => labels.dynamic.push(label),
                    }
                }
                Ok(labels)
            }
        }

        de.deserialize_any(LabelsVisitor)
    }
}

impl JsonSchema for Labels {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fixed = generator.subschema_for::<Named<String>>();
        let dynamic = DynamicLabel::ALL.map(DynamicLabel::as_str);
        json_schema!({
            "anyOf": [
                fixed,
                { "type": "array", "items": { "anyOf": [fixed, { "enum": dynamic }] } },
                { "type": "null" },
            ],
        })
    }
}
