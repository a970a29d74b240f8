//! Makes what detectors find: one generator per kind, in every form that the validators take.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// SplitMix64.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `n - 1`; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub(crate) fn of(&mut self, alphabet: &[u8], len: usize) -> String {
        (0..len).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// At least `least` bytes, and less than `spread` more.
    fn some(&mut self, alphabet: &[u8], least: usize, spread: usize) -> String {
        let len = least + self.below(spread);
        self.of(alphabet, len)
    }

    pub(crate) fn digits(&mut self, len: usize) -> String {
        self.of(b"0123456789", len)
    }

    /// Printable ASCII that needs no escape in JSON; mostly words.
    pub(crate) fn noise(&mut self, len: usize) -> String {
        if self.below(2) == 0 {
            return self.of(b"abcdefghijklmnop qrstuvwxyz ABCXYZ 0129 _-.", len);
        }
        let any = |_| match 0x20 + self.below(95) as u8 {
            b'"' | b'\\' => 'x',
            byte => char::from(byte),
        };
        (0..len).map(any).collect()
    }

    /// With a byte or two changed, taken out, put in or in the other case.
    pub(crate) fn damaged(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(2) {
            let at = self.below(bytes.len());
            let other = self.of(b"0123456789abcXYZ :=-._/@%+", 1).as_bytes()[0];
            match self.below(4) {
                0 if bytes.len() > 1 => drop(bytes.remove(at)),
                1 => bytes.insert(at, other),
                2 => bytes.make_ascii_lowercase(),
                _ => bytes[at] = other,
            }
        }
        String::from_utf8(bytes).expect("ASCII")
    }
}

/// The text in both alphabets, padded and not, also behind a mark.
pub(crate) fn base64_of(rng: &mut Rng, text: &str) -> Vec<String> {
    let shifted = format!("{}{text}", rng.some(b"abc: ", 0, 4));
    let mut all = Vec::new();
    for text in [text, &shifted] {
        all.push(STANDARD.encode(text));
        all.push(STANDARD_NO_PAD.encode(text));
        all.push(URL_SAFE.encode(text));
        all.push(format!("id_{}", URL_SAFE_NO_PAD.encode(text)));
    }
    all
}

pub(crate) type Generator = fn(&mut Rng) -> String;

pub(crate) const GENERATORS: &[Generator] = &[
    card, ssn, any_iban, phone, address_v4, address_v6, hardware, web_token, scheme, pem,
    assignment, option, url, email, percent,
];

fn with_luhn(mut number: String) -> String {
    number.pop();
    for digit in '0'..='9' {
        let sum: u32 = format!("{number}{digit}")
            .bytes()
            .rev()
            .enumerate()
            .map(|(i, byte)| match (i % 2, u32::from(byte - b'0')) {
                (0, digit) => digit,
                (_, digit) if digit > 4 => digit * 2 - 9,
                (_, digit) => digit * 2,
            })
            .sum();
        if sum.is_multiple_of(10) {
            number.push(digit);
            return number;
        }
    }
    unreachable!("one of ten digits fits")
}

fn grouped(text: &str, sizes: &[usize], separator: &str) -> String {
    let (mut rest, mut parts) = (text, Vec::new());
    for size in sizes {
        let (part, later) = rest.split_at((*size).min(rest.len()));
        parts.push(part);
        rest = later;
    }
    parts.push(rest);
    parts.retain(|part| !part.is_empty());
    parts.join(separator)
}

fn card(rng: &mut Rng) -> String {
    const ISSUERS: [(&str, usize); 22] = [
        ("4", 13),
        ("4", 16),
        ("4", 19),
        ("51", 16),
        ("2221", 16),
        ("2720", 16),
        ("2200", 16),
        ("2204", 19),
        ("34", 15),
        ("37", 15),
        ("300", 14),
        ("36", 14),
        ("38", 16),
        ("3528", 16),
        ("5018", 13),
        ("5018", 16),
        ("5600", 15),
        ("6011", 16),
        ("62", 19),
        ("65", 16),
        ("8100", 16),
        ("9792", 16),
    ];
    let (prefix, len) = ISSUERS[rng.below(ISSUERS.len())];
    let number = with_luhn(format!("{prefix}{}", rng.digits(len - prefix.len())));
    let sizes = rng.pick::<[usize]>(&[
        &[],
        &[4, 4, 4, 4],
        &[4, 6],
        &[4, 6, 4],
        &[8],
        &[4, 4, 4],
        &[6],
        &[3, 3, 3, 3],
    ]);
    grouped(&number, sizes, rng.pick(&[" ", "-", ".", "_", "+", "/"]))
}

fn ssn(rng: &mut Rng) -> String {
    let number =
        format!("{:03}{:02}{:04}", 1 + rng.below(665), 1 + rng.below(99), 1 + rng.below(9999));
    match rng.below(4) {
        0 => grouped(&number, &[3, 2], "-"),
        1 => grouped(&number, &[3, 2], " "),
        2 => {
            format!("{}{number}", rng.pick(&["ssn ", "SSN: ", "ssn=", "social security #", "ssn"]))
        }
        _ => format!("tax id {number}"),
    }
}

/// A number of `country` and `len` whose check digits are right.
pub(crate) fn iban(country: [u8; 2], len: usize, letters: bool, rng: &mut Rng) -> String {
    let alphabet: &[u8] = if letters { b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345" } else { b"0123456789" };
    let body = rng.of(alphabet, len - 4);
    let country = String::from_utf8_lossy(&country).into_owned();
    let value = format!("{body}{country}00").bytes().fold(0u32, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        letter => (sum * 100 + u32::from(letter - b'A' + 10)) % 97,
    });
    format!("{country}{:02}{body}", 98 - value)
}

/// Plain, in fours, and in parts of any length.
pub(crate) fn printed(number: &str, rng: &mut Rng) -> Vec<String> {
    let sizes: Vec<usize> = (0..9).map(|_| 1 + rng.below(6)).collect();
    vec![
        number.to_owned(),
        number.to_lowercase(),
        grouped(number, &[4; 9], " "),
        grouped(number, &[4; 9], "-"),
        grouped(number, &sizes, rng.pick(&[" ", "-"])),
    ]
}

fn any_iban(rng: &mut Rng) -> String {
    let (country, len, letters) = [
        (b"DE", 22, false),
        (b"GB", 22, true),
        (b"NO", 15, false),
        (b"FR", 27, true),
        (b"MT", 31, true),
        (b"LC", 32, true),
        (b"BE", 16, false),
        (b"NL", 18, true),
    ][rng.below(8)];
    let number = iban(*country, len, letters, rng);
    let mut all = printed(&number, rng);
    let printed = all.swap_remove(rng.below(all.len()));
    format!("{}{printed}", rng.pick(&["", "", "IBAN", "iban", "Iban ", "x/"]))
}

fn phone(rng: &mut Rng) -> String {
    let part = |rng: &mut Rng| format!("{}{}", 2 + rng.below(8), 20 + rng.below(80));
    let (area, exchange) = (part(rng), part(rng));
    let line = rng.digits(4);
    let mark = rng.pick(&[" ", "-", "."]);
    match rng.below(12) {
        0 => format!("+1{area}{exchange}{line}"),
        1 => format!("+1{mark}{area}{mark}{exchange}{mark}{line}"),
        2 => format!("({area}) {exchange}-{line}"),
        3 => format!("{area}{mark}{exchange}{mark}{line}"),
        4 => format!("1-{area}-{exchange}{line}"),
        5 => format!("+44 (0){} {} {}", 20, rng.digits(4), rng.digits(4)),
        6 => format!("+{}{}", rng.pick(&["49", "33", "7", "351", "420"]), rng.digits(10)),
        7 => format!("020 {} {}", rng.digits(4), rng.digits(4)),
        8 => format!("0044 20 {} {}", rng.digits(4), rng.digits(4)),
        9 => format!("{} {}", rng.pick(&["tel", "phone:", "mobile=", "fax #"]), rng.digits(8)),
        10 => format!("+({area}){exchange}-{line}"),
        _ => {
            let area = 30 + rng.below(70);
            format!("0{area}/{}", rng.digits(7))
        }
    }
}

fn address_v4(rng: &mut Rng) -> String {
    let mut octet = || (rng.next() % 256) as u8;
    format!("{}.{}.{}.{}", octet().max(1), octet(), octet(), octet())
}

fn address_v6(rng: &mut Rng) -> String {
    let mut bytes = [0u8; 16];
    bytes.iter_mut().for_each(|byte| *byte = rng.next() as u8);
    let cut = 2 * rng.below(8);
    bytes[cut..(cut + 2 * rng.below(8)).min(16)].fill(0);
    let address = std::net::Ipv6Addr::from(bytes);
    match rng.below(5) {
        0 => format!("[{address}]:8080"),
        1 => format!("::ffff:{}", address_v4(rng)),
        2 => format!("{:x}::{}", 256 + rng.below(65_000), rng.below(10)),
        3 => format!("a{:x}::", 16 + rng.below(200)),
        _ => address.to_string(),
    }
}

fn hardware(rng: &mut Rng) -> String {
    let digits = rng.of(b"0123456789abcdefABCDEF", 12);
    match rng.below(3) {
        0 => grouped(&digits, &[2; 6], ":"),
        1 => grouped(&digits, &[2; 6], "-"),
        _ => grouped(&digits, &[4; 3], "."),
    }
}

fn web_token(rng: &mut Rng) -> String {
    const URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    let parts: Vec<String> = (0..1 + rng.below(4)).map(|n| rng.of(URL, 4 + 3 * n)).collect();
    let head = rng.some(URL, 7, 10);
    format!("eyJ{head}.{}", parts.join("."))
}

fn scheme(rng: &mut Rng) -> String {
    let gap = rng.pick(&[" ", ":", "=", ": ", "  "]);
    if rng.below(2) == 0 {
        let word = rng.pick(&["Bearer", "bearer", "BEARER", "bEARER"]);
        let token = rng.some(b"abcdefXYZ0129._~+/-", 6, 30);
        return format!("{word}{gap}{token}9");
    }
    let word = rng.pick(&["Basic", "basic", "BASIC", "bAsIc"]);
    format!("{word}{gap}{}", STANDARD.encode(format!("u:{}", rng.some(b"abc123", 0, 9))))
}

fn pem(rng: &mut Rng) -> String {
    let label = rng.pick(&["PRIVATE KEY", "CERTIFICATE", "X"]);
    let word = rng.pick(&["BEGIN", "END"]);
    format!("-----{word} {label}-----{}", rng.some(b"ABCabc019+/", 0, 40))
}

fn assignment(rng: &mut Rng) -> String {
    let key = rng.pick(&[
        "password",
        "pw",
        "pwd",
        "password2",
        "secret",
        "api_key",
        "apiKey1",
        "token",
        "db-password",
        "access_token",
        "client.secret",
        "passwd9",
        "Authorization",
        "cookie",
    ]);
    if rng.below(6) == 0 {
        return format!("('{key}', '{}')", rng.some(b"abcXYZ019", 1, 12));
    }
    let marks = ["=", ":", " = ", ": ", "=>", ":=", "':'", "'] = '", "' : u'", ":      ", "    = "];
    let mark = rng.pick(&marks);
    let value = match rng.below(4) {
        0 => rng.some(b"0123456789", 1, 9),
        1 => format!("Secret('{}')", rng.some(b"abcXYZ019", 1, 12)),
        _ => rng.some(b"abcXYZ019", 1, 12),
    };
    format!("{key}{mark}{value}")
}

fn option(rng: &mut Rng) -> String {
    let key = rng.pick(&["--password", "--token", "--api-key", "--secret"]);
    let value = rng.some(b"abc123", 1, 9);
    match rng.below(3) {
        0 => format!("{key} {value}"),
        1 => format!("'{key}','{value}'"),
        _ => format!("'{key}', '{value}'"),
    }
}

fn url(rng: &mut Rng) -> String {
    let scheme = rng.pick(&["s3", "postgres", "https", "a"]);
    let password = rng.some(b"abc123/", 1, 9);
    match rng.below(3) {
        0 => format!("{scheme}://u:{password}@h"),
        1 => format!("{scheme}://{}@host", rng.of(b"abc123", 16)),
        _ => format!("/x?sig={password}&key={password}"),
    }
}

fn email(rng: &mut Rng) -> String {
    let local = rng.some(b"abcXYZ019._+-", 1, 12);
    format!("a{local}@{}", rng.pick(&["b.co", "example.com", "mail.example.org", "[10.1.2.3]"]))
}

fn percent(rng: &mut Rng) -> String {
    let generators: [Generator; 4] = [email, card, address_v4, assignment];
    let text = generators[rng.below(4)](rng);
    let encode = |byte: u8| match byte.is_ascii_alphanumeric() && !byte.is_multiple_of(3) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
