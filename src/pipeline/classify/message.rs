//! The kind by the words of an event name or message (ml.md 2.4, step 2).
//!
//! One pass cuts the text into words (`prediction_completed`, `PredictionCompleted` and
//! "Prediction completed" are the same two), and each known word sets a bit; the verdict is a
//! function of the bits.
//!
//! # Why
//! An event *name* was chosen by a person to say what the event is, so it outranks structure. A
//! *sentence* only mentions things, so it needs two matching words and ranks below structure.

use super::{Rule, Verdict};
use crate::event::record::Kind;

/// Bytes of a message that are looked at: what it is about stands early.
const MAX_LEN: usize = 160;
/// A longer text is no event name.
const MAX_NAME_LEN: usize = 64;

mod word {
    pub(super) const MODEL: u16 = 1;
    pub(super) const LIFE: u16 = 1 << 1;
    pub(super) const PREDICT: u16 = 1 << 2;
    pub(super) const PREDICTED: u16 = 1 << 3;
    pub(super) const DONE: u16 = 1 << 4;
    pub(super) const REQUEST: u16 = 1 << 5;
    pub(super) const RECEIVED: u16 = 1 << 6;
    pub(super) const STARTED: u16 = 1 << 7;
    pub(super) const DATA: u16 = 1 << 8;
    pub(super) const CHECK: u16 = 1 << 9;
    pub(super) const DRIFT: u16 = 1 << 10;
    pub(super) const SERVICE: u16 = 1 << 11;
    pub(super) const FAILED: u16 = 1 << 12;
    pub(super) const FEATURES: u16 = 1 << 13;
}

/// The verdict of a line whose message is `text`, where everything but the message says
/// `otherwise`: an event name wins, a sentence speaks only where nothing else did.
#[must_use]
pub fn kind_of_message(text: &[u8], otherwise: Verdict) -> Verdict {
    if is_name(text) {
        return name_verdict(text).unwrap_or(otherwise);
    }
    if otherwise.kind != Kind::Application {
        return otherwise;
    }
    sentence_verdict(text).unwrap_or(otherwise)
}

/// One word without spaces, as event names are.
fn is_name(text: &[u8]) -> bool {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-:/".contains(byte);
    !text.is_empty() && text.len() <= MAX_NAME_LEN && text.iter().all(in_name)
}

/// The verdict of an event name; `None` if it is a sentence or says nothing.
pub(super) fn name_verdict(text: &[u8]) -> Option<Verdict> {
    use word::*;
    if !is_name(text) {
        return None;
    }
    let words = words(text);
    let has = |wanted: u16| words & wanted == wanted;
    let any = |wanted: u16| words & wanted != 0;
    let (kind, rule) = if has(DRIFT) || has(DATA | CHECK) {
        (Kind::Data, Rule::EventData)
    } else if (has(REQUEST | RECEIVED)
        || has(FEATURES | RECEIVED)
        || has(PREDICT | REQUEST)
        || has(PREDICT | STARTED))
        && !any(DONE | FAILED | SERVICE)
    {
        (Kind::Request, Rule::EventRequest)
    } else if has(MODEL) && any(LIFE | FAILED) && !any(PREDICT) {
        (Kind::Model, Rule::EventModel)
    } else if any(PREDICT | PREDICTED) && !(has(SERVICE) && any(LIFE | STARTED)) {
        (Kind::Prediction, Rule::EventPrediction)
    } else {
        return None;
    };
    Some(Verdict::new(kind, rule))
}

/// The verdict of a sentence.
pub(in crate::pipeline) fn sentence_verdict(text: &[u8]) -> Option<Verdict> {
    use word::*;
    let words = words(text);
    if words == 0 {
        return None;
    }
    let has = |wanted: u16| words & wanted == wanted;
    let any = |wanted: u16| words & wanted != 0;
    let (kind, rule) = if has(DRIFT | DATA) || has(DRIFT | MODEL) || has(DATA | CHECK) {
        (Kind::Data, Rule::MessageData)
    } else if has(PREDICT | REQUEST | RECEIVED) && !any(DONE) {
        (Kind::Request, Rule::MessageRequest)
    } else if has(MODEL | LIFE) {
        (Kind::Model, Rule::MessageModel)
    } else if has(PREDICTED) || (has(PREDICT | DONE) && !any(SERVICE)) {
        (Kind::Prediction, Rule::MessagePrediction)
    } else {
        return None;
    };
    Some(Verdict::new(kind, rule))
}

/// The bits of all known words in the text.
fn words(text: &[u8]) -> u16 {
    let text = text.get(..MAX_LEN).unwrap_or(text);
    let mut bits = 0;
    let mut word = [0u8; 16];
    let mut len = 0;
    let mut was_lower = false;
    for byte in text {
        let is_upper = byte.is_ascii_uppercase();
        // A capital behind a small letter begins a word: `modelLoaded`.
        if !byte.is_ascii_alphabetic() || (is_upper && was_lower) {
            bits |= meaning(word.get(..len).unwrap_or_default());
            len = 0;
        }
        was_lower = byte.is_ascii_lowercase();
        if byte.is_ascii_alphabetic() {
            if let Some(place) = word.get_mut(len) {
                *place = byte.to_ascii_lowercase();
            }
            len += 1; // a word beyond the buffer has no meaning
        }
    }
    bits | meaning(word.get(..len).unwrap_or_default())
}

fn meaning(word: &[u8]) -> u16 {
    use word::*;
    if word.len() < 3 {
        return 0;
    }
    match word {
        b"model" | b"models" | b"bento" | b"replica" | b"checkpoint" | b"weights"
        | b"safetensors" | b"tokenizer" => MODEL,
        b"engine" => MODEL | SERVICE,
        b"load" | b"loads" | b"loaded" | b"loading" | b"unload" | b"unloaded" | b"unloading"
        | b"reload" | b"reloaded" | b"reloading" | b"preload" | b"preloaded" | b"warm"
        | b"warmup" | b"warmed" | b"warming" | b"ready" | b"download" | b"downloaded"
        | b"downloading" | b"compile" | b"compiled" | b"compiling" | b"compilation"
        | b"deployed" | b"promoted" | b"initialized" | b"initializing" => LIFE,
        b"prediction" | b"predictions" | b"predict" | b"predicting" | b"inference"
        | b"inferences" | b"infer" | b"scoring" => PREDICT,
        b"predicted" | b"inferred" | b"scored" => PREDICTED,
        b"completed" | b"complete" | b"finished" | b"done" | b"made" | b"successful"
        | b"succeeded" | b"success" | b"took" | b"result" | b"results" | b"response"
        | b"output" | b"returned" | b"generated" => DONE,
        b"request" | b"requests" | b"requested" => REQUEST,
        b"received" | b"incoming" | b"got" => RECEIVED,
        b"started" | b"start" | b"starting" | b"begin" | b"began" => STARTED,
        b"data" | b"dataset" | b"schema" | b"column" | b"columns" => DATA,
        b"feature" | b"features" => DATA | FEATURES,
        b"input" | b"inputs" => FEATURES,
        b"validation" | b"validated" | b"validate" | b"quality" | b"profiled" | b"mismatch"
        | b"anomaly" | b"anomalies" | b"nulls" | b"null" | b"missing" | b"unseen" => CHECK,
        b"drift" | b"drifted" => DRIFT,
        b"server" | b"service" | b"worker" | b"workers" | b"app" | b"api" | b"client" => SERVICE,
        b"failed" | b"failure" | b"error" => FAILED,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as loggers choose them; `application` means that the name says nothing.
    #[test]
    fn names() {
        for (name, kind) in [
            ("prediction_completed", Kind::Prediction),
            ("PredictionCompleted", Kind::Prediction),
            ("prediction.failed", Kind::Prediction),
            ("inference", Kind::Prediction),
            ("predict", Kind::Prediction),
            ("model_inference", Kind::Prediction),
            ("gen_ai.client.inference.operation.details", Kind::Prediction),
            ("inference_request_completed", Kind::Prediction),
            ("request_received", Kind::Request),
            ("inference_request", Kind::Request),
            ("prediction_started", Kind::Request),
            ("features_received", Kind::Request),
            ("model_loaded", Kind::Model),
            ("modelLoaded", Kind::Model),
            ("model_load_failed", Kind::Model),
            ("model-warmup-done", Kind::Model),
            ("data_validation", Kind::Data),
            ("drift_detected", Kind::Data),
            ("prediction_drift", Kind::Data),
            ("schema_mismatch", Kind::Data),
            ("inference_server_started", Kind::Application),
            ("request_started", Kind::Application),
            ("request_finished", Kind::Application),
            ("user_login", Kind::Application),
            ("startup", Kind::Application),
            ("", Kind::Application),
        ] {
            let got = kind_of_message(name.as_bytes(), Verdict::DEFAULT);
            assert_eq!(got.kind, kind, "{name} by {:?}", got.rule);
        }
    }

    #[test]
    fn sentences() {
        for (text, kind) in [
            ("Loaded model 'iris' successfully.", Kind::Model),
            ("Loading weights took 3.1 seconds", Kind::Model),
            ("Model fraud is ready", Kind::Model),
            ("Prediction completed in 23 ms", Kind::Prediction),
            ("predicted class: setosa", Kind::Prediction),
            ("Received inference request abc", Kind::Request),
            ("Data drift detected in amount", Kind::Data),
            ("Schema mismatch: column age is missing", Kind::Data),
            ("Prediction service done starting", Kind::Application),
            ("Application startup complete.", Kind::Application),
            ("model prediction requested by user", Kind::Application),
            ("the remodeled engine-room", Kind::Application),
            ("", Kind::Application),
        ] {
            let got = kind_of_message(text.as_bytes(), Verdict::DEFAULT);
            assert_eq!(got.kind, kind, "{text} by {:?}", got.rule);
        }
    }

    /// A sentence does not overrule structure; a name does.
    #[test]
    fn names_outrank_structure() {
        let otherwise = Verdict::new(Kind::Prediction, Rule::StructurePrediction);
        assert_eq!(kind_of_message(b"Loaded model x", otherwise), otherwise);
        assert_eq!(kind_of_message(b"model_loaded", otherwise).kind, Kind::Model);
        assert_eq!(kind_of_message(b"ok", otherwise), otherwise);
    }
}
