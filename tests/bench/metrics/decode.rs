//! Requests of remote write 2.0, read as far as counting takes.

/// What one request holds.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Time in milliseconds and bits of each sample that was exposed.
    pub(crate) exposed: Vec<(u64, u64)>,
    /// Samples that the scraper made.
    pub(crate) n_own: usize,
}

/// Series that a scraper makes.
const OWN: [&[u8]; 6] = [
    b"target_info",
    b"up",
    b"scrape_duration_seconds",
    b"scrape_samples_scraped",
    b"scrape_samples_post_metric_relabeling",
    b"scrape_series_added",
];

/// Reads a request; `None` where it is none.
pub(crate) fn request(mut message: &[u8]) -> Option<Told> {
    let (mut symbols, mut told) = (Vec::new(), Told::default());
    while !message.is_empty() {
        match field(&mut message)? {
            (4, _, text) => symbols.push(text),
            (5, _, one) => series(one, &symbols, &mut told)?,
            _ => {}
        }
    }
    Some(told)
}

fn series(mut message: &[u8], symbols: &[&[u8]], told: &mut Told) -> Option<()> {
    let mut is_own = false;
    while !message.is_empty() {
        match field(&mut message)? {
            (1, _, mut refs) => {
                while !refs.is_empty() {
                    let (name, value) = (varint(&mut refs)?, varint(&mut refs)?);
                    let value = *symbols.get(value as usize)?;
                    let is_name = *symbols.get(name as usize)? == b"__name__";
                    is_own |= is_name && OWN.contains(&value);
                }
            }
            (2, _, mut sample) => {
                let (mut time_ms, mut bits) = (0, 0);
                while !sample.is_empty() {
                    match field(&mut sample)? {
                        (1, number, _) => bits = number,
                        (2, number, _) => time_ms = number,
                        _ => {}
                    }
                }
                match is_own {
                    true => told.n_own += 1,
                    false => told.exposed.push((time_ms, bits)),
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// The next field: its number, and its value as a number or as bytes.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, u64, &'a [u8])> {
    let tag = varint(bytes)?;
    let length = match tag & 7 {
        0 => return Some((tag >> 3, varint(bytes)?, &[])),
        1 => {
            let (value, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            return Some((tag >> 3, u64::from_le_bytes(*value), &[]));
        }
        2 => varint(bytes)? as usize,
        _ => return None,
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((tag >> 3, 0, value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
