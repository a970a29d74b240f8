//! As PID 1 (here: as the reaper of a subtree) orphans are waited for, and the child's own exit
//! code survives that. A process of its own: waiting for any child is for the whole process.

use sidewake::sources::exec::{self, Exec};
use sidewake::sources::{Context, Source, Stop};

#[path = "sources_fake/intake.rs"]
mod fake;

#[test]
fn orphans_are_waited_for() {
    let this = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(this)).expect("subreaper");
    // Each grandchild becomes an orphan and ends; the child tells their ids, and ends itself when
    // the last of them is no zombie any more (or after ten seconds, which fails the test).
    let script = "for i in 1 2 3; do pids=\"$pids $(true & echo $!)\"; done; echo $pids; n=0; \
                  for p in $pids; do while [ -e /proc/$p ] && [ $n -lt 1000 ]; do \
                  n=$((n+1)); sleep 0.01; done; done; [ $n -lt 1000 ] && exit 4";
    let mut options = exec::Options::new(vec!["sh".into(), "-c".into(), script.into()]);
    options.reap_orphans = true;
    let fake = fake::Fake::new(4096);
    let source = Box::new(Exec::new(Context::default(), options));
    let stop = Stop::new().expect("descriptors");
    let ended = source.run(Box::new(fake.clone()), stop).expect("no error");
    assert_eq!(ended.exit_code, Some(4));
    let log = fake.log();
    let pids = log.texts().join(" ");
    assert_eq!(pids.split(' ').count(), 3);
    for pid in pids.split(' ') {
        assert!(!std::path::Path::new("/proc").join(pid).exists(), "{pid} is a zombie");
    }
}
