//! One spelling per value, so that the same person has one token.

use std::net::IpAddr;

use crate::protect::entity::Entity;
use crate::protect::views;

/// Hands the canonical form of `value` to `take`, piece by piece.
pub(super) fn feed(entity: Entity, value: &[u8], take: &mut dyn FnMut(&[u8])) {
    let plain = views::plain(value);
    let value = plain.trim_ascii();
    match entity {
        Entity::Email => lower_case(value, take),
        Entity::CreditCard | Entity::UsSsn | Entity::Iban | Entity::MacAddress => {
            mapped(value, take, |byte| {
                byte.is_ascii_alphanumeric().then(|| byte.to_ascii_uppercase())
            });
        }
        Entity::Phone => phone(value, take),
        Entity::IpAddress => address(value, take),
        Entity::Pem
        | Entity::Secret
        | Entity::ApiKey
        | Entity::BearerToken
        | Entity::Jwt
        | Entity::Value => take(value),
    }
}

fn lower_case(value: &[u8], take: &mut dyn FnMut(&[u8])) {
    match std::str::from_utf8(value) {
        Ok(text) if !text.is_ascii() => take(text.to_lowercase().as_bytes()),
        _ => mapped(value, take, |byte| Some(byte.to_ascii_lowercase())),
    }
}

/// Feeds what `map` makes of each byte, in pieces from the stack.
fn mapped(value: &[u8], take: &mut dyn FnMut(&[u8]), map: impl Fn(u8) -> Option<u8>) {
    let (mut piece, mut n) = ([0u8; 64], 0);
    for byte in value.iter().filter_map(|byte| map(*byte)) {
        piece[n] = byte;
        n += 1;
        if n == piece.len() {
            take(&piece);
            n = 0;
        }
    }
    take(&piece[..n]);
}

/// Digits with the country code where it is known: `+44 (0)20 7123 4567`, `0044 20…` and
/// `(212) 555-0199`, `+1 212 555 0199` are one number each.
fn phone(value: &[u8], take: &mut dyn FnMut(&[u8])) {
    let trunk = memchr::memmem::find(value, b"(0)").filter(|at| *at > 0);
    let (head, tail) = match trunk {
        Some(at) => (&value[..at], &value[at + 3..]),
        None => (value, &value[..0]),
    };
    let digits = || head.iter().chain(tail).copied().filter(u8::is_ascii_digit);
    let n = digits().count();
    let zeros = digits().take_while(|digit| *digit == b'0').count();
    let skip = if zeros == 2 { 2 } else { 0 };
    if n == 10 && zeros == 0 && !value.starts_with(b"+") {
        take(b"1");
    }
    let mut number = [0u8; 24];
    let mut len = 0;
    for (slot, digit) in number.iter_mut().zip(digits().skip(skip)) {
        *slot = digit;
        len += 1;
    }
    take(&number[..len]);
}

fn address(value: &[u8], take: &mut dyn FnMut(&[u8])) {
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse::<IpAddr>().ok());
    match parsed {
        Some(address) => take(address.to_canonical().to_string().as_bytes()),
        None => take(value),
    }
}
