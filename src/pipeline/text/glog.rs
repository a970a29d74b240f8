//! glog and klog: Triton, TensorFlow Serving and everything by Google. `LMMDD hh:mm:ss.ffffff PID
//! file:line] message`, where `L` is the level's letter and there is no year; TensorFlow writes
//! `YYYY-MM-DD hh:mm:ss.ffffff: L file:line] message`.

use super::{Cursor, TextUnderstanding};
use crate::event::record::{Kind, Level};
use crate::pipeline::classify::Rule;
use crate::pipeline::time;

pub(super) fn glog(at: &mut Cursor<'_>, found: &mut TextUnderstanding, observed_ns: i64) {
    let Some((letter, rest)) = at.rest().split_first() else { return };
    let Some((time, len)) = time::parse_glog(rest, observed_ns) else { return };
    found.time = Some(time);
    found.level = Level::parse(&[*letter]).unwrap_or(Level::Unset);
    found.set_rule(Rule::TextTriton);
    at.skip(1 + len);
    message(at, found);
}

/// TensorFlow's form, behind its time: `: I tensorflow_serving/core/loader_harness.cc:86] …`.
pub(super) fn tensorflow(at: &mut Cursor<'_>, found: &mut TextUnderstanding) -> bool {
    let [b':', b' ', letter @ (b'I' | b'W' | b'E' | b'F'), b' ', rest @ ..] = at.rest() else {
        return false;
    };
    if memchr::memmem::find(rest.get(..160).unwrap_or(rest), b".cc:").is_none() {
        return false;
    }
    found.level = Level::parse(&[*letter]).unwrap_or(Level::Unset);
    found.set_rule(Rule::TextTensorFlow);
    at.skip(4);
    message(at, found);
    true
}

/// `PID file:line] message`.
fn message(at: &mut Cursor<'_>, found: &mut TextUnderstanding) {
    let Some(origin) = at.until(b']', 256) else { return };
    at.skip_spaces();
    found.message = Some(at.rest_range());
    // A server loads its models in few files.
    let in_file = |name: &[u8]| memchr::memmem::find(origin, name).is_some();
    let says = |word: &[u8]| memchr::memmem::find(at.rest(), word).is_some();
    let lives = says(b"load") || says(b"READY") || found.level >= Level::Error;
    if lives && (in_file(b"model_repository_manager") || in_file(b"model_lifecycle")) {
        found.kind = Kind::Model;
        found.set_rule(Rule::TextTritonModel);
    } else if in_file(b"loader_harness.cc") || (lives && in_file(b"basic_manager.cc")) {
        found.kind = Kind::Model;
        found.set_rule(Rule::TextTensorFlow);
    }
}
