//! What a detector can find, and sets of it.
//!
//! The numbers are an order of severity: where two findings overlap, the lower number names the
//! union. They are not stored anywhere.

/// A kind of personal data or secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Entity {
    /// A PEM block, of any label.
    Pem = 0,
    /// The value of a secret-like key, in JSON or in free text; a password in a URL.
    Secret = 1,
    /// A vendor's key, known by its prefix.
    ApiKey = 2,
    /// What follows `Bearer` or `Basic`.
    BearerToken = 3,
    /// A JSON web token.
    Jwt = 4,
    /// A payment card number: issuer prefix, length and Luhn digit agree.
    CreditCard = 5,
    /// A US social security number of a valid range.
    UsSsn = 6,
    /// A bank account number whose ISO 7064 check digits are right.
    Iban = 7,
    /// An address with `@`.
    Email = 8,
    /// A telephone number.
    Phone = 9,
    /// An IPv4 or IPv6 address.
    IpAddress = 10,
    /// A 48-bit hardware address.
    MacAddress = 11,
    /// A declared field in which nothing was recognised; no detector finds it.
    Value = 12,
}

impl Entity {
    /// All that detectors can find, in the order of severity.
    pub const DETECTABLE: [Entity; 12] = [
        Entity::Pem,
        Entity::Secret,
        Entity::ApiKey,
        Entity::BearerToken,
        Entity::Jwt,
        Entity::CreditCard,
        Entity::UsSsn,
        Entity::Iban,
        Entity::Email,
        Entity::Phone,
        Entity::IpAddress,
        Entity::MacAddress,
    ];

    /// Number of entities, [`Entity::Value`] included.
    pub const COUNT: usize = Self::DETECTABLE.len() + 1;

    /// The word in the config, in masks and in pseudonyms.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Entity::Pem => "pem",
            Entity::Secret => "secret",
            Entity::ApiKey => "api_key",
            Entity::BearerToken => "bearer_token",
            Entity::Jwt => "jwt",
            Entity::CreditCard => "credit_card",
            Entity::UsSsn => "us_ssn",
            Entity::Iban => "iban",
            Entity::Email => "email",
            Entity::Phone => "phone",
            Entity::IpAddress => "ip_address",
            Entity::MacAddress => "mac_address",
            Entity::Value => "value",
        }
    }

    /// The detectable entity named by `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::DETECTABLE.into_iter().find(|entity| entity.as_str() == word)
    }
}

/// A set of entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntitySet(u16);

impl EntitySet {
    /// Nothing.
    pub const NONE: EntitySet = EntitySet(0);
    /// Everything that detectors can find.
    pub const ALL: EntitySet = EntitySet((1 << Entity::DETECTABLE.len()) - 1);

    /// Whether `entity` is in the set.
    #[must_use]
    #[inline]
    pub const fn has(self, entity: Entity) -> bool {
        self.0 & (1 << entity as u16) != 0
    }

    /// The set with `entity`.
    #[must_use]
    pub const fn with(self, entity: Entity) -> Self {
        Self(self.0 | (1 << entity as u16))
    }

    /// The set without `entity`.
    #[must_use]
    pub const fn without(self, entity: Entity) -> Self {
        Self(self.0 & !(1 << entity as u16))
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The entities in the set, in the order of severity.
    pub fn iter(self) -> impl Iterator<Item = Entity> {
        Entity::DETECTABLE.into_iter().filter(move |entity| self.has(*entity))
    }
}

impl FromIterator<Entity> for EntitySet {
    fn from_iter<I: IntoIterator<Item = Entity>>(entities: I) -> Self {
        entities.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_sets() {
        for entity in Entity::DETECTABLE {
            assert_eq!(Entity::parse(entity.as_str()), Some(entity));
            assert!(EntitySet::ALL.has(entity));
            assert!(!EntitySet::ALL.without(entity).has(entity));
        }
        assert_eq!(Entity::parse("value"), None);
        assert_eq!(EntitySet::ALL.iter().count(), Entity::DETECTABLE.len());
        let two: EntitySet = [Entity::Email, Entity::Pem].into_iter().collect();
        assert_eq!(two.iter().collect::<Vec<_>>(), [Entity::Pem, Entity::Email]);
    }
}
