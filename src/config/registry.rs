//! One line per component: the enum of all, its reader and its schema.

/// Makes an enum of components out of `"type" => Variant(Config)` lines. In YAML a component is a
/// map with the key `type`, which decides what its other keys mean.
///
/// # Why
/// serde's own `tag` buffers the map, and what is buffered has lost its place in the file. This
/// visitor reads `type` first ([`super::de`] puts it there) and hands the rest of the map on as it
/// is.
macro_rules! registry {
    ($(#[$about:meta])* $vis:vis enum $name:ident {
        $($(#[$doc:meta])* $word:literal => $variant:ident($config:ty),)+
    }) => {
        $(#[$about])*
        $vis enum $name {
            $($(#[$doc])* $variant($config),)+
        }

        impl $name {
            /// All values of `type`.
            pub const TYPES: &[&str] = &[$($word),+];

            /// The value of `type`.
            #[must_use]
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $word,)+
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
                use serde::Deserialize;
                use serde::de::value::MapAccessDeserializer;
                use serde::de::{Error, MapAccess};

                struct Visitor;

                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a map of fields with \"type\"")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        if map.next_key::<String>()?.as_deref() != Some("type") {
                            return Err(A::Error::missing_field("type"));
                        }
                        let word: $crate::config::registry::Word<$name> = map.next_value()?;
                        let fields = MapAccessDeserializer::new(map);
                        match word.text.as_str() {
                            $($word => <$config>::deserialize(fields).map($name::$variant),)+
                            _ => unreachable!("BUG: Word holds one of TYPES"),
                        }
                    }
                }

                de.deserialize_struct($crate::config::de::TAGGED, &["type"], Visitor)
            }
        }

        impl $crate::config::registry::Types for $name {
            const TYPES: &'static [&'static str] = $name::TYPES;
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let variants = vec![$($crate::config::schema::tagged(
                    $word,
                    <$config as schemars::JsonSchema>::json_schema(generator),
                )),+];
                schemars::json_schema!({ "oneOf": variants })
            }
        }
    };
}
pub(super) use registry;

/// The values of `type` of a registry.
pub(super) trait Types {
    /// All of them.
    const TYPES: &'static [&'static str];
}

/// A value of `type`, known to be one of `T`'s. It is checked while it is read, so that the error
/// points at it.
pub(super) struct Word<T> {
    pub(super) text: String,
    of: std::marker::PhantomData<T>,
}

impl<'de, T: Types> serde::Deserialize<'de> for Word<T> {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        if T::TYPES.contains(&text.as_str()) {
            return Ok(Self { text, of: std::marker::PhantomData });
        }
        Err(serde::de::Error::unknown_variant(&text, T::TYPES))
    }
}
