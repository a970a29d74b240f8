//! Keys that are secrets, keys that only look like it, and what else a key says.

use super::*;

#[test]
fn secret_keys() {
    for key in [
        "password",
        "Password",
        "db_password",
        "DB-PASSWORD",
        "dbPassword",
        "user.password",
        "passwd",
        "pwd",
        "userpassword",
        "secret",
        "client_secret",
        "clientSecret",
        "token",
        "access_token",
        "accessToken",
        "id_token",
        "refresh-token",
        "X-Auth-Token",
        "hf_token",
        "api_key",
        "apiKey",
        "APIKey",
        "X-API-Key",
        "apikey",
        "authorization",
        "Authorization",
        "proxy-authorization",
        "cookie",
        "Set-Cookie",
        "private_key",
        "aws_secret_access_key",
        "session",
        "session_id",
        "sessionToken",
        "JSESSIONID",
        "credentials",
        "one_time_password",
        "password2",
        "db_pass",
        "cvv",
        "otp",
        "pin",
        "access_tokens",
        "api key",
        "access_key_id",
        "bearer_token",
        "headers.authorization",
        "password.value",
        "credentials.data",
    ] {
        assert!(of_path(key.as_bytes()).has(KeyHint::SECRET), "{key}");
    }
}

/// The quick question lets every key through that the full one takes.
#[test]
fn quick_no_is_a_no() {
    let lists = [&words::STRONG, &words::ALONE];
    for word in lists.into_iter().flat_map(words::Vocabulary::iter) {
        assert!(words::may_be_secret(word.as_bytes()), "{word}");
    }
    for pair in ["db_pw", "api key", "auth data", "connection string", "seed phrase", "pin no"] {
        assert_eq!(
            is_secret(pair.as_bytes()),
            of_key(pair.as_bytes()).has(KeyHint::SECRET),
            "{pair}"
        );
    }
}

#[test]
fn keys_that_are_no_secrets() {
    for key in [
        "max_tokens",
        "maxTokens",
        "token_count",
        "input_tokens",
        "num_tokens",
        "tokenizer",
        "total_tokens",
        "tokens",
        "prompt_tokens",
        "completionTokens",
        "eos_token",
        "pad_token_id",
        "token_id",
        "token_ids",
        "time_to_first_token",
        "time_per_output_token",
        "token_logprobs",
        "password_length",
        "days_since_password_change",
        "has_password",
        "n_password_attempts",
        "session_duration",
        "session_count",
        "sessions",
        "avg_session_time",
        "key",
        "primary_key",
        "sort_key",
        "secretary",
        "passed",
        "pass_rate",
        "forward_pass",
        "pinned",
        "spin",
        "cookies_enabled",
        "author",
        "authenticated",
        "keyword",
        "monkey",
        "score",
        "",
        ".",
        "[]",
        "token_type",
        "public_key",
        "cache_key",
        "partition_key",
        "request_id",
        "compass",
    ] {
        assert!(!of_path(key.as_bytes()).has(KeyHint::SECRET), "{key}");
    }
}

#[test]
fn other_hints() {
    for (key, hint) in [
        ("features.card_number", KeyHint::CARD),
        ("cardNumber", KeyHint::CARD),
        ("card.number", KeyHint::CARD),
        ("pan", KeyHint::CARD),
        ("cc_num", KeyHint::CARD),
        ("ssn", KeyHint::SSN),
        ("customer.social_security_number", KeyHint::SSN),
        ("phone", KeyHint::PHONE),
        ("mobilePhone", KeyHint::PHONE),
        ("contact_number", KeyHint::PHONE),
        ("client_ip", KeyHint::IP),
        ("remoteAddr", KeyHint::IP),
        ("X-Forwarded-For", KeyHint::IP),
        ("ipv4", KeyHint::IP),
        ("model_version", KeyHint::VERSION),
        ("versions.torch", KeyHint::VERSION),
        ("user_agent", KeyHint::VERSION),
        ("inputs[].version", KeyHint::VERSION),
        ("trace_id", KeyHint::TRACE.and(KeyHint::REQUEST)),
        ("request_id", KeyHint::REQUEST),
        ("inferenceId", KeyHint::REQUEST),
        ("x-request-id", KeyHint::REQUEST),
        ("parentSpanId", KeyHint::TRACE),
    ] {
        assert!(of_path(key.as_bytes()).has(hint), "{key}");
    }
    for key in ["discard", "scorecard_id", "company", "phone_last_seen_ts", "n_phones", "shipping"]
    {
        assert_eq!(of_path(key.as_bytes()), KeyHint::NONE, "{key}");
    }
}
