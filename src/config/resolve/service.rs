//! Whose telemetry it is: from the file, then OpenTelemetry's variables, then the downward API.

use super::super::{Service, raw};
use super::Resolver;
use crate::sinks::row::UNNAMED_SERVICE;

/// Variables that pod specs commonly fill from the downward API, and the attributes that they mean.
const DOWNWARD: [(&str, &str); 7] = [
    ("POD_NAME", "k8s.pod.name"),
    ("POD_NAMESPACE", "k8s.namespace.name"),
    ("POD_UID", "k8s.pod.uid"),
    ("NODE_NAME", "k8s.node.name"),
    ("CONTAINER_NAME", "k8s.container.name"),
    ("CLUSTER_NAME", "k8s.cluster.name"),
    ("HOSTNAME", "host.name"),
];

impl Resolver<'_> {
    pub(super) fn service(&self, raw: raw::Service) -> Service {
        let mut attributes = Attributes::default();
        attributes.offer("service.name", raw.name);
        attributes.offer("service.version", raw.version);
        attributes.offer("deployment.environment.name", raw.environment);
        for (name, value) in raw.attributes {
            attributes.offer(&name, Some(value));
        }
        attributes.offer("service.name", self.env.var("OTEL_SERVICE_NAME"));
        // Environment variable specification of OpenTelemetry: k=v,k=v with percent-encoded values.
        let listed = self.env.var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        for (name, value) in listed.split(',').filter_map(|pair| pair.split_once('=')) {
            attributes.offer(name.trim(), Some(percent_decoded(value.trim())));
        }
        for (variable, name) in DOWNWARD {
            attributes.offer(name, self.env.var(variable));
        }
        attributes.offer("service.name", Some(UNNAMED_SERVICE.to_owned()));
        attributes.finish()
    }
}

/// Attributes by name; the first offer counts.
#[derive(Default)]
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn offer(&mut self, name: &str, value: Option<String>) {
        let value = value.filter(|value| !value.is_empty());
        if let Some(value) = value
            && !self.0.iter().any(|(known, _)| known == name)
        {
            self.0.push((name.to_owned(), value));
        }
    }

    fn finish(mut self) -> Service {
        self.0.sort();
        let get = |name: &str| {
            self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        Service {
            name: get("service.name").unwrap_or_default(),
            version: get("service.version"),
            attributes: self.0,
        }
    }
}

/// `%2C` as `,`; what is no escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn percent_escapes() {
        for (text, want) in
            [("a%2Cb", "a,b"), ("%C3%BC", "ü"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("", "")]
        {
            assert_eq!(percent_decoded(text), want);
        }
    }
}
