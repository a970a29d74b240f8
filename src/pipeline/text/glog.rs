//! glog and klog: Triton and everything by Google. `LMMDD hh:mm:ss.ffffff PID file:line] message`,
//! where `L` is the level's letter and there is no year.

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
    let Some(origin) = at.until(b']', 256) else { return };
    at.skip_spaces();
    found.message = Some(at.rest_range());
    // Triton loads models in these two files only.
    let in_file = |name: &[u8]| memchr::memmem::find(origin, name).is_some();
    let says = |word: &[u8]| memchr::memmem::find(at.rest(), word).is_some();
    let lives = says(b"load") || says(b"READY") || says(b"UNAVAILABLE");
    if lives && (in_file(b"model_repository_manager") || in_file(b"model_lifecycle")) {
        found.kind = Kind::Model;
        found.set_rule(Rule::TextTritonModel);
    }
}
